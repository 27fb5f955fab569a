"""Attacks on the training data, and what the adversary knows. `poison("label-flip:share=0.2")(data, seed=0)`.

One file an attack. A new one is a new file and no other change: the catalogue finds the files, and imports them when it
is first asked for one by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from sparring.poisoning.base import POISONS, Poison, PoisonInfo, build
from sparring.spec import parse_spec

__all__ = ["poison", "poisons"]


def poison(spec: str) -> Poison:
    """An attack on training data from its spec: "badnets:share=0.05,target=7".

    Raises:
        InputError: no such attack or field, or a value that does not fit.
    """
    _import_all()
    read = parse_spec(spec)
    return build(POISONS.find(read.name), dict(read.fields))


def poisons() -> list[PoisonInfo]:
    """All attacks on training data, by name."""
    _import_all()
    return [info for _, info in sorted(POISONS.each().items())]


@cache
def _import_all() -> None:
    """Import every file of this folder; each attack registers itself."""
    for module in pkgutil.iter_modules(__path__, __name__ + "."):
        if not module.name.endswith(".repeat"):  # it is above the catalogue
            importlib.import_module(module.name)
