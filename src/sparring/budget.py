"""How much an attack may ask of the model, per sample. Hard: never one pass more."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.errors import InputError


class BudgetSpent(Exception):
    """No sample can pay for the next question. Raised inside a run, caught by the attack call."""


@dataclass(frozen=True)
class Budget:
    """Limits of one attack call; None = no limit.

    Args:
        queries: forward passes for each sample, the first look at the clean image included.
        gradients: backward passes for each sample.
        passes: forward plus backward passes for each sample.
        seconds: wall time of the call; the question that is under way is finished.
    """

    queries: int | None = None
    gradients: int | None = None
    passes: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("queries", "gradients", "passes", "seconds"):
            limit = getattr(self, name)
            if limit is not None and not limit >= (1 if name in ("queries", "passes") else 0):
                raise InputError(f"budget {name}={limit}: at least 1 is needed, to look at the clean image")
