"""Views: what the model is shown instead of the point itself. Any gradient attack takes one, by value or by name.

Names are joined by +: "eot20", "di", "di0.7", "si5@0.5", "si+di". The numbers are the first two fields of the view.
What EOT looks through stands in brackets: "eot20(rotation:22.5+brightness)", see `blocks.views.transforms`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from sparring.blocks.views.augment import DI, SI, Joined
from sparring.blocks.views.eot import EOT
from sparring.blocks.views.parts import BSR, SIA
from sparring.blocks.views.transforms import transform
from sparring.bout import View
from sparring.errors import InputError


def _eot(copies: str = "20") -> EOT:
    if int(copies) < 1:
        raise InputError("EOT needs at least 1 copy")
    return EOT(int(copies))


VIEWS: dict[str, Callable[..., View]] = {
    "eot": _eot,
    "si": lambda copies="5", center="0": SI(int(copies), float(center)),
    "sia": lambda copies="20", parts="3", p="1": SIA(int(copies), int(parts), float(p)),
    "bsr": lambda copies="20", parts="2", angle="24": BSR(int(copies), int(parts), float(angle)),
    "di": lambda p=str(DI.p), rate=str(DI.rate): DI(float(p), float(rate)),
}
"""What a name in a spec stands for; called with the numbers behind the name, as text."""


def _named(name: str) -> View:
    """The view that one name stands for: letters, then numbers separated by @, for EOT a transform in brackets."""
    word, inside = name.strip(), None
    if through := re.fullmatch(r"(eot\d*)\((.*[a-z].*)\)", word):
        word, inside = through[1], transform(through[2])
    word, numbers = re.fullmatch(r"([a-z]*)(.*)", word.replace("(", "").replace(")", "")).groups()  # type: ignore[union-attr]
    try:
        view = VIEWS[word](*numbers.split("@") if numbers else ())
    except (KeyError, ValueError, TypeError):
        raise InputError(
            f"view {name.strip()!r} is not known; write eot20 for 20 passes a gradient, si5, di0.5 or several: si5+di"
        ) from None
    return view if inside is None else EOT(view.copies, inside)


def _lookup(value: Any) -> Any:
    if isinstance(value, str):
        return reduce(Joined, map(_named, re.split(r"\+(?![^(]*\))", value.lower())))
    return value


OptionalView = Annotated[
    View | None,
    BeforeValidator(_lookup),
    PlainSerializer(lambda view: None if view is None else str(view)),
    WithJsonSchema({"type": ["string", "null"], "examples": ["eot20", "di+si5"]}),
]
"""A view as a field of an attack: None, a `View`, or its name."""
