"""The Lightning Fabric behind a run: where it computes, with what precision, in how many processes."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sparring.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
PRECISIONS: tuple[Precision, ...] = ("32-true", "16-mixed", "bf16-mixed")


@dataclass(frozen=True)
class Launched:
    """What `torchrun` says to a process that it has started.

    Attributes:
        rank: the number of this process, from 0. processes: how many there are. here: how many of them on this machine.
    """

    rank: int
    processes: int
    here: int


def launched() -> Launched | None:
    """Who this process is among those that `torchrun` has started, on one machine or several; None = it is alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    rank, processes, here = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return Launched(rank, processes, here) if processes > 1 else None


def make_fabric(device: str = "auto", devices: int = 1, precision: Precision = "32-true") -> Fabric:
    """Build the Fabric.

    Args:
        device: "auto" (an accelerator if there is one), "cpu", "cuda", "mps", or one card: "cuda:1".
        devices: how many processes, each with a device of its own; more than one are spawned. Where `torchrun` has
            started the processes, it is theirs that count, and this must be 1.
        precision: "32-true", "16-mixed" or "bf16-mixed".

    Raises:
        MissingExtra: lightning-fabric is not installed.
        InputError: no such device or precision here.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise MissingExtra("training", "train") from None
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}")
    if devices < 1:
        raise InputError(f"devices is {devices}; it must be 1 or more")
    kind, _, index = device.partition(":")
    group = launched()
    if group is not None and (devices != 1 or index):
        raise InputError(
            f"torchrun has started {group.processes} processes, one for each device; leave out --devices, and the "
            f"number of the card ({device!r})"
        )
    if index and (devices > 1 or not index.isdigit()):
        raise InputError(f"device is {device!r} with devices={devices}; name one card (cuda:1) or a number of them")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its notes on start-up are not ours
    try:
        return Fabric(
            accelerator=kind,
            devices=[int(index)] if index else devices if group is None else group.here,
            num_nodes=1 if group is None else group.processes // group.here,
            strategy="ddp" if group is not None else "auto" if devices == 1 else "ddp_spawn",
            precision=precision,
        )
    except (ValueError, RuntimeError) as error:  # Fabric: an accelerator or a card that this machine lacks
        raise InputError(f"cannot train on {devices} x {device!r}: {error}") from None
