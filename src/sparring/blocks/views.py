"""Views: what the model is shown instead of the point itself. Any gradient attack takes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from torch import Tensor

from sparring.bout import View
from sparring.errors import InputError
from sparring.rng import Noise


@dataclass(frozen=True)
class EOT:
    """Expectation over transformation (Athalye et al. 2018, arXiv:1707.07397): gradients averaged over random copies.

    Args:
        copies: passes for each gradient.
        transform: (points [b, ...], their noise) -> what to show, differentiable and drawn afresh each time; None =
            the point itself, for models that are random themselves.
    """

    copies: int = 20
    transform: Callable[[Tensor, Noise], Tensor] | None = None

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return z if self.transform is None else self.transform(z, noise)

    def __str__(self) -> str:
        return f"eot{self.copies}"


def _lookup(value: Any) -> Any:
    if isinstance(value, str):
        text = value.lower().removeprefix("eot").strip("()")
        if not value.lower().startswith("eot") or not (text or "20").isdigit() or text == "0":
            raise InputError(f"view {value!r} is not known; write eot20 for 20 passes a gradient")
        return EOT(int(text or 20))
    return value


OptionalView = Annotated[
    View | None,
    BeforeValidator(_lookup),
    PlainSerializer(lambda view: None if view is None else str(view)),
    WithJsonSchema({"type": ["string", "null"], "examples": ["eot20"]}),
]
"""A view as a field of an attack: None, a `View`, or its name."""
