"""The store of a run: a folder with a plan, and one file a shard. All that a crash, a second machine or a proof needs.

    RUN/plan.json                 what is to be done, and to what; a run with another plan is refused
    RUN/shards/00007.safetensors  what came of images 7 * size to 8 * size - 1: tensors, and plain values in the header
    RUN/leases/00007              who works on it now, see `lease`

A shard is a pure function of the plan and its number, so it does not matter who made it, when, or how often.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.errors import InputError
from sparring.scale.files import write_json, write_whole
from sparring.scale.lease import Lease

Record = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and plain values: what a shard leaves behind."""


class Store:
    """A folder that holds one run.

    Args:
        folder: where. plan: plain values that define the run, `shards` (how many) among them.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder, self.plan = folder, plan

    @classmethod
    def open(cls, folder: Path, plan: dict[str, Any], resume: bool) -> Store:
        """Begin a run, or go on with one.

        Raises:
            InputError: the folder holds another run, or one that is not to be gone on with, or cannot be written.
        """
        path = folder / "plan.json"
        plan = json.loads(json.dumps(plan))  # as it will be read again
        if path.exists():
            known = read_plan(folder)
            differs = [name for name in {**known, **plan} if known.get(name) != plan.get(name)]
            if differs:
                name = sorted(differs)[0]
                raise InputError(
                    f"{folder} holds a run with other settings: {name} is {_brief(known.get(name))} there and "
                    f"{_brief(plan.get(name))} here; give another folder"
                )
            if not resume:
                raise InputError(f"{folder} holds this run already; go on with it (--resume) or give another folder")
        else:
            write_json(path, plan)
        return cls(folder, plan)

    @classmethod
    def read(cls, folder: Path) -> Store:
        """A run that is there."""
        return cls(folder, read_plan(folder))

    def __len__(self) -> int:
        """How many shards the run has."""
        return int(self.plan["shards"])

    def path(self, number: int) -> Path:
        """The file of a shard."""
        return self.folder / "shards" / f"{number:05d}.safetensors"

    def done(self, number: int) -> bool:
        """Is the shard's file there? It is whole then, unless the disk has lost something: `load` finds out."""
        return self.path(number).exists()

    def missing(self) -> list[int]:
        """Numbers of the shards that are not done."""
        return [number for number in range(len(self)) if not self.done(number)]

    def load(self, number: int) -> Record:
        """What a shard left behind.

        Raises:
            InputError: the file is damaged. It is put aside, so that a resumed run makes it again.
        """
        path = self.path(number)
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            record = json.loads(header["record"])
            if record["digest"] != _digest(tensors, record["values"]):
                raise ValueError("its contents do not fit its digest")
            return tensors, json.loads(record["values"])
        except FileNotFoundError:
            raise InputError(f"shard {number} of {self.folder} is not there; finish the run with --resume") from None
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            raise InputError(
                f"shard {number} of {self.folder} is damaged ({error}); it was put aside as {aside.name}: run again "
                "with --resume, and only this shard is made anew"
            ) from None

    def save(self, number: int, record: Record) -> None:
        """Write a shard, whole or not at all."""
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in record[0].items()}
        values = json.dumps(record[1])
        entry = json.dumps({"values": values, "digest": _digest(tensors, values)})
        # One entry: safetensors writes several in any order, and a shard made twice must be the same file.
        write_whole(self.path(number), safetensors.torch.save(tensors, {"record": entry}))

    def work(self, make: Callable[[int], Record], order: Iterator[int] | None = None) -> Iterator[int]:
        """Make the missing shards, those that nobody else works on; yields the number of each when it is written."""
        for number in order or iter(range(len(self))):
            if self.done(number):
                continue
            lease = Lease(self.folder / "leases" / f"{number:05d}")
            if not lease.take():
                continue
            with lease.held():
                if not self.done(number):  # else somebody finished it between the two looks
                    self.save(number, make(number))
            yield number

    def mend(self) -> list[int]:
        """Put damaged shards aside; returns their numbers."""
        damaged = []
        for number in range(len(self)):
            if self.done(number):
                try:
                    self.load(number)
                except InputError:
                    damaged.append(number)
        return damaged


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of the run in a folder, or one line on why there is none."""
    path = folder / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run: there is no plan.json in it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give the folder of a run") from None
    if not isinstance(plan, dict) or not isinstance(plan.get("shards"), int):
        raise InputError(f"{path} is not the plan of a run; give the folder of a run")
    return plan


def _digest(tensors: dict[str, Tensor], values: str) -> str:
    """Of everything in a shard."""
    whole = hashlib.sha256(values.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(tensor.contiguous().numpy().tobytes())
    return whole.hexdigest()


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
