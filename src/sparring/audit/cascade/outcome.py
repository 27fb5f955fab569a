"""What one stage of the cascade did, and the order in which all of them are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.trace_summary import Path
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.stage import Stage
from sparring.result import Result

Place = tuple[int, ...]
CLAIMED, LADDER, ELSEWHERE, CURVE = 0, 1, 2, 3
"first number of an outcome's `place`: run as claimed, of the suite, learnt from another radius, from the curve"

STANDING, WRONG = -1, -2
"codes in `Cascade.broken_by`: nothing has broken it; wrong before any attack"


@dataclass(frozen=True)
class Outcome:
    """What one stage did.

    Attributes:
        stage: the attack. rows: [r] numbers of the images it was run on. result: on these.
        tried: of them, images that still stood. broke: [b] numbers of those it broke first.
        robust: images that still stand afterwards, of all.
        place: where it is in the order of all that may be run, the same in every shard.
        moved: [r] bool, the point handed over is not the image itself; only of attacks run as claimed.
        path: how its search went on the sanity subset; only of stages that are `full_on_subset`.
    """

    stage: Stage
    rows: Tensor
    result: Result
    tried: int
    broke: Tensor
    robust: Figure
    place: Place = (0, 0)
    moved: Tensor | None = None
    path: Path | None = None

    def alone(self, among: Tensor) -> Figure:
        """Of the images `among` (numbers) that it was run on: how many stand against it alone."""
        where = torch.isin(self.rows, among)
        return Figure(int((~self.result.success[where]).sum()), int(where.sum()))

    @property
    def queries(self) -> int:
        return int(self.result.queries.sum())

    @property
    def gradients(self) -> int:
        return int(self.result.gradients.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "attack": self.stage.title,
            "spec": self.stage.spec,
            "family": self.stage.family,
            "images": len(self.rows),
            "tried": self.tried,
            "broke": len(self.broke),
            "robust_accuracy_after": self.robust.value,
            "standing_after": self.robust.hits,
            "queries": self.queries,
            "gradients": self.gradients,
            "seconds": self.result.seconds,
        }
