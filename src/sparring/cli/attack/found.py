"""What an attack leaves to be written and printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.model import Model
    from sparring.result import Result
    from sparring.threat import Goal


@dataclass(frozen=True)
class Found:
    """What came of an attack, and what is needed to write it down.

    Attributes:
        x: [n, ...] the images that were attacked. index: [n] their numbers in the data set. classes: names, if known.
        about: plain values for the reports.
    """

    result: Result
    x: Tensor
    index: Tensor
    goal: Goal
    model: Model
    classes: tuple[str, ...] | None
    about: dict[str, Any]
    batch_size: int
