"""Checkpoints: one safetensors file an epoch, replaced atomically, with everything that a run needs to go on.

Weights and optimizer state are tensors; epoch, settings and history are JSON in the file's header. One file
and one rename: after a kill at any moment the file is either the old state or the new one, never a mixture.
No pickle, so a checkpoint from a stranger cannot run code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.errors import InputError
from sparring.storage import sweep, write

FORMAT = "sparring-checkpoint-1"
NET, OPTIMIZER = "net/", "optimizer/"


def to_safetensors(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Named tensors on any device as the contents of a safetensors file; `metadata` goes into its header."""
    # A copy each: safetensors refuses tensors that share memory, such as tied weights.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return safetensors.torch.save(copies, metadata or {})


@dataclass
class Checkpoint:
    """A run after some whole epochs.

    Attributes:
        net: its state dict.
        optimizer: the "state" part of its state dict; the rest follows from the settings.
        epoch: whole epochs done; of a generator, iterations.
        settings: what defines the run; a resume with other settings is refused.
        history: one dict of figures an epoch.
        precision: state of mixed precision (the loss scale), empty without it.
    """

    net: dict[str, Tensor]
    optimizer: dict[int, dict[str, Any]]
    epoch: int
    settings: dict[str, Any]
    history: list[dict[str, float]]
    precision: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        tensors = {NET + name: value for name, value in self.net.items()}
        scalars: dict[str, dict[str, Any]] = {}
        for index, state in self.optimizer.items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"{OPTIMIZER}{index}/{name}"] = value
                else:
                    scalars.setdefault(str(index), {})[name] = value
        header = {
            "format": FORMAT,
            "epoch": self.epoch,
            "settings": self.settings,
            "history": self.history,
            "precision": self.precision,
            "optimizer": scalars,
        }
        write(path, to_safetensors(tensors, {"sparring": json.dumps(header)}), durable=True)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read it back, tensors on the CPU.

        Raises:
            InputError: the file is not a checkpoint of ours.
        """
        sweep(path.parent)
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["sparring"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            if header["format"] != FORMAT:
                raise KeyError(header["format"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{path} is not a checkpoint of sparring's ({error}); remove it to start again") from None
        optimizer: dict[int, dict[str, Any]] = {int(i): dict(state) for i, state in header["optimizer"].items()}
        for key, value in tensors.items():
            if key.startswith(OPTIMIZER):
                index, name = key.removeprefix(OPTIMIZER).split("/", 1)
                optimizer.setdefault(int(index), {})[name] = value
        net = {key.removeprefix(NET): value for key, value in tensors.items() if key.startswith(NET)}
        return cls(net, optimizer, header["epoch"], header["settings"], header["history"], header["precision"])

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Refuse to go on with other settings than the run began with.

        Raises:
            InputError: names the settings that differ, with both values.
        """
        wanted = json.loads(json.dumps(settings))
        if wanted != self.settings:
            names = sorted(n for n in wanted.keys() | self.settings.keys() if wanted.get(n) != self.settings.get(n))
            changes = "; ".join(f"{n} was {self.settings.get(n)}, now {wanted.get(n)}" for n in names)
            raise InputError(f"cannot resume this run with other settings ({changes}); give the same or a new folder")
