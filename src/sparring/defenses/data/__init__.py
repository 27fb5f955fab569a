"""Defenses against poisoned training data. `sanitizer("knn:k=10")(data, ...)` gives a keep-mask with scores.

One file a defense. Sanitizers look at the training set: knn, spectral, roni, trimmed, activation. Neural Cleanse looks
at a trained net, and fine-pruning repairs one. STRIP watches at test time (`defenses/detect/strip.py`), and clipping
with noise changes the training (`defenses/training/clipping.py`).
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields
from functools import cache

from pydantic import ValidationError

from sparring.defenses.data.sanitizer import SANITIZERS, Sanitizer
from sparring.errors import InputError
from sparring.spec import parse_spec

__all__ = ["sanitizer", "sanitizers"]


def sanitizer(spec: str) -> Sanitizer:
    """A sanitizer from its spec: "knn", "trimmed:share=0.2".

    Raises:
        InputError: no such sanitizer or field, or a value that does not fit.
    """
    _import_all()
    read = parse_spec(spec)
    kind = SANITIZERS.find(read.name)
    known = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    for key in read.fields:
        if key not in known:
            raise InputError(f"{read.name} has no field {key!r}; it has {', '.join(known)}")
    try:
        return kind(**read.fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{read.name}: {first['loc'][0]}={first.get('input')!r}: {first['msg']}") from None


def sanitizers() -> dict[str, type[Sanitizer]]:
    """The class of every sanitizer, by name."""
    _import_all()
    return dict(sorted(SANITIZERS.each().items()))


@cache
def _import_all() -> None:
    """Import every file of this folder; each registers its sanitizer."""
    for module in pkgutil.iter_modules(__path__, __name__ + "."):
        importlib.import_module(module.name)
