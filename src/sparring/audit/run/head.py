"""What is known after the look at all images, before the cascade: kept in a run's folder, needed by every shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.majority_vote import DRAWS
from sparring.audit.inputs.clean import Clean, known
from sparring.audit.inputs.source import Source
from sparring.audit.probes.probe import Probes
from sparring.model import Model
from sparring.scale.store import Record


@dataclass(frozen=True)
class Head:
    """What every shard, and the conclusion, must know of the whole.

    Attributes:
        clean: labels and clean logits of all images, without pixels. subset: [s] numbers of the sanity subset.
        probes: what the model is like. parts: SHA-256 of the images of each shard.
        model, data: for the report. seconds: that it took.
        region: the pixels that may change, kept so that a run can be verified by itself; None = all.
        certified: [N] proved radii, None = none. left_out, settings: as in the plan, for the report; None = not kept
            (runs of version 0.1).
    """

    clean: Clean
    subset: Tensor
    probes: Probes
    parts: tuple[str, ...]
    model: dict[str, Any]
    data: dict[str, Any]
    seconds: float
    region: Tensor | None = None
    certified: Tensor | None = None
    left_out: tuple[str, ...] | None = None
    settings: dict[str, Any] | None = None

    @property
    def draws(self) -> int:
        """Fresh looks that decide success; 0 for models that answer the same twice."""
        return DRAWS if self.probes.random else 0

    def to_record(self) -> Record:
        """For the store."""
        tensors = {"y": self.clean.y, "logits": self.clean.logits, "subset": self.subset}
        optional = {"region": self.region, "certified": self.certified}
        tensors |= {name: value for name, value in optional.items() if value is not None}
        values = {"parts": self.parts, "model": self.model, "data": self.data, "seconds": self.seconds}
        values |= {"left_out": self.left_out, "settings": self.settings}
        return tensors, {**values, "probes": self.probes.to_dict()}

    @classmethod
    def of_record(cls, record: Record, model: Model, source: Source) -> Head:
        """From the store, with the model and the images of the run."""
        tensors, values = record
        logits = tensors["logits"]
        pixels = torch.zeros(0, *values["data"]["shape"])
        clean = Clean(pixels, tensors["y"], logits, *known(model, source, logits.shape[1]))
        probes = Probes.of_dict(values["probes"])
        facts = {name: values[name] for name in ("model", "data", "seconds")}
        left_out = values.get("left_out")
        return cls(
            clean,
            tensors["subset"],
            probes,
            tuple(values["parts"]),
            **facts,
            region=tensors.get("region"),
            certified=tensors.get("certified"),
            left_out=None if left_out is None else tuple(left_out),
            settings=values.get("settings"),
        )
