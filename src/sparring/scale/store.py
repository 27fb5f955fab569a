"""The store of a run: a folder with a plan, and one file a shard. All that a crash, a second machine or a proof needs.

    RUN/plan.json                 what is to be done, and to what; a run with another plan is refused
    RUN/shards/00007.safetensors  what came of images 7 * size to 8 * size - 1: tensors, and plain values in the header
    RUN/shards/head.safetensors   a shard may have a name instead: what must be known before all others
    RUN/leases/00007              who works on it now, see `lease`

A shard is a pure function of the plan and its number, so it does not matter who made it, when, or how often. It says
which plan it was made for: what somebody writes who still works on an older plan is put aside.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.errors import InputError
from sparring.scale.lease import Lease
from sparring.storage import os_errors_as, sweep, write, write_new

Record = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and plain values: what a shard leaves behind."""
Number = int | str
"""Of a shard, from 0; a name for what is no numbered one."""


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
        if path.exists() or not write_new(path, json_bytes(plan)):
            known = read_plan(folder)
            if known != plan and not any((folder / "shards").glob("[0-9]*.safetensors")):
                cls.clear(folder)  # nothing would be lost: it is begun again, as it is wanted now
                return cls.open(folder, plan, resume)
            if known != plan:
                raise InputError(
                    f"{folder} holds a run with other settings: {_difference(known, plan)}; give another folder, or "
                    "--force to forget what is there"
                )
            if not resume:
                raise InputError(f"{folder} holds this run already; go on with it (--resume) or give another folder")
            cls(folder, plan).tidy()
        return cls(folder, plan)

    @classmethod
    def read(cls, folder: Path) -> Store:
        """A run that is there."""
        return cls(folder, read_plan(folder))

    @staticmethod
    def clear(folder: Path) -> None:
        """Forget the run in a folder, the plan last, so that what a kill leaves of it is still a run."""
        with os_errors_as(folder):
            for name in ("shards", "leases"):
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
            (folder / "plan.json").unlink(missing_ok=True)

    def __len__(self) -> int:
        """How many shards the run has."""
        return int(self.plan["shards"])

    def path(self, number: Number) -> Path:
        """The file of a shard."""
        return self.folder / "shards" / f"{_name(number)}.safetensors"

    def done(self, number: Number) -> bool:
        """Is the shard's file there? It is whole then, unless the disk has lost something: `load` finds out."""
        return self.path(number).exists()

    def missing(self) -> list[int]:
        """Numbers of the shards that are not done."""
        return [number for number in range(len(self)) if not self.done(number)]

    def digests(self) -> dict[str, str]:
        """SHA-256 of the file of each shard that is there, by its name."""
        names: list[Number] = ["head", *range(len(self))]
        return {_name(one): hashlib.sha256(self.path(one).read_bytes()).hexdigest() for one in names if self.done(one)}

    def load(self, number: Number, keep_damaged: bool = False) -> Record:
        """What a shard left behind.

        Args:
            keep_damaged: leave a damaged file where it is, for readers that must not change the folder.

        Raises:
            InputError: the file is damaged. It is put aside, so that a resumed run makes it again.
        """
        path = self.path(number)
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
                # Copies: else one small tensor that is kept would hold the whole file in memory.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (not a dict)
            record = json.loads(header["record"])
            if record["digest"] != _digest(tensors, record["values"]):
                raise ValueError("its contents do not fit its digest")
            if record["plan"] != plan_digest(self.plan):
                raise ValueError("it was made for another plan")
            return tensors, json.loads(record["values"])
        except FileNotFoundError:
            raise InputError(f"shard {number} of {self.folder} is not there; finish the run with --resume") from None
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            if keep_damaged:
                raise InputError(f"shard {number} of {self.folder} is damaged ({error})") from None
            aside = path.with_suffix(".damaged")
            with os_errors_as(aside):
                path.replace(aside)
            raise InputError(
                f"shard {number} of {self.folder} is damaged ({error}); it was put aside as {aside.name}: run again "
                "with --resume, and only this shard is computed again"
            ) from None

    def save(self, number: Number, record: Record) -> None:
        """Write a shard, whole or not at all."""
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in record[0].items()}
        values = json.dumps(record[1])
        entry = json.dumps({"values": values, "digest": _digest(tensors, values), "plan": plan_digest(self.plan)})
        # One entry: safetensors writes several in any order, and a shard made twice must be the same file.
        write(self.path(number), safetensors.torch.save(tensors, {"record": entry}), durable=True)

    def work(self, make: Callable[[int], Record], order: Iterable[int] | None = None) -> Iterator[int]:
        """Make the missing shards, those that nobody else works on; yields the number of each when it is written."""
        for number in range(len(self)) if order is None else order:
            if self.make(number, lambda number=number: make(number)):  # type: ignore[misc]
                yield number

    def make(self, number: Number, make: Callable[[], Record]) -> bool:
        """Make one shard, unless it is there or somebody else works on it: then False."""
        if self.done(number):
            return False
        lease = Lease(self.folder / "leases" / _name(number))
        if not lease.take():
            return False
        with lease.held():
            if not self.done(number):  # else somebody finished it between the two looks
                self.save(number, make())
        return True

    def tidy(self) -> None:
        """Remove what killed processes have left: leases on shards that are there, files half-written long ago."""
        for folder in (self.folder, self.folder / "shards"):
            sweep(folder)
        with suppress(OSError):
            for lease in (self.folder / "leases").iterdir():
                name = lease.name.lstrip(".").partition(".")[0]
                if (self.folder / "shards" / f"{name}.safetensors").exists():
                    lease.unlink(missing_ok=True)

    def mend(self) -> list[Number]:
        """Put damaged shards aside; returns their numbers."""
        damaged: list[Number] = []
        for number in ("head", *range(len(self))):
            if self.done(number):
                try:
                    self.load(number)
                except InputError:
                    damaged.append(number)
        return damaged


def gather(home: Store, others: Iterable[Store]) -> None:
    """Bring the shards that `home` lacks from other folders of the same run; each is looked at first.

    Raises:
        InputError: one holds another run, or a damaged shard.
    """
    for other in others:
        if other.plan != home.plan:
            raise InputError(
                f"{other.folder} and {home.folder} hold different runs: {_difference(other.plan, home.plan, '', '')}; "
                "merge the shares of one run"
            )
        for number in ("head", *range(len(home))):
            if other.done(number) and not home.done(number):
                home.save(number, other.load(number))


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of the run in a folder, or one line on why there is none."""
    path = folder / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run: there is no plan.json in it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give the folder of a run") from None
    if not isinstance(plan, dict) or type(plan.get("shards")) is not int or not 0 <= plan["shards"] < 2**62:
        raise InputError(f"{path} is not the plan of a run; give the folder of a run")
    return plan


def json_bytes(value: Any) -> bytes:
    """Plain values as the one text of a file of a run, so that it can be compared and hashed."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def plan_digest(plan: dict[str, Any]) -> str:
    """SHA-256 of a plan: what its shards are marked with."""
    return hashlib.sha256(json_bytes(plan)).hexdigest()


def _name(number: Number) -> str:
    return f"{number:05d}" if isinstance(number, int) else number


def _digest(tensors: dict[str, Tensor], values: str) -> str:
    """Of everything in a shard."""
    whole = hashlib.sha256(values.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(tensor.contiguous().numpy().tobytes())
    return whole.hexdigest()


WORDS = {"sha256": "weights", "n": "number"}
"names in a plan that mean nothing to people"
PLURALS = ("claims", "stages", "radii", "controls", "weights", "defenses", "parameters", "shards")


def _difference(a: dict[str, Any], b: dict[str, Any], here: str = " there", there: str = " here") -> str:
    """What two plans do not agree in, in words, with the values of the first difference.

    >>> _difference({"seed": 0, "model": {"mean": 1, "std": 2}}, {"seed": 0, "model": {"mean": 3, "std": 4}})
    'mean and std of the model differ (mean is 1 there and 3 here)'
    >>> _difference({"seed": 0}, {"seed": 1})
    'seed differs (0 there and 1 here)'
    """
    parts: list[str] = []
    shown = ""
    for name in sorted({**a, **b}):
        one, other = a.get(name), b.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            inner = [key for key in {**one, **other} if one.get(key) != other.get(key)]
            words, key = f"{_and([WORDS.get(key, key) for key in inner])} of the {name}", f"{inner[0]} is "
            one, other = one.get(inner[0]), other.get(inner[0])
        else:
            words, key = name.replace("_", " "), f"{name.replace('_', ' ')} is "
        parts.append(words)
        shown = shown or f"{key}{_brief(one)}{here} and {_brief(other)}{there}"
    several = len(parts) > 1 or " and " in parts[0] or parts[0].partition(" of ")[0] in PLURALS
    if len(parts) == 1 and " of the " not in parts[0]:
        shown = shown.split(" is ", 1)[1]
    return f"{_and(parts)} {'differ' if several else 'differs'} ({shown})"


def _and(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
