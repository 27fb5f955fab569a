"""Defenses: stages that change a model's input (`inputs`, `purify`), detectors (`detect`), ways to train (`training`).

And the catalogue of stages: `defend(model, "jpeg|bits:4")`. A new stage is a new file in `inputs` or `purify` and no
other change: the catalogue finds the files, and imports them when a stage is first asked for by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.preprocess import STAGES, Backward, Defended, Pixels, Stage
from sparring.spec import number, parse_chain

__all__ = ["defend", "stages"]

FOLDERS = ("inputs", "purify")
"""Where the stages are that have names."""


def defend(
    model: Model | Callable[..., Any],
    *stages: Stage | Pixels | str,
    backward: Backward | None = None,
    random: bool = False,
) -> Defended:
    """The model behind stages, the first stage first.

    Args:
        model: what `wrap` takes, or defended already: then the new stages come before the others.
        stages: `Stage`s; functions or modules that declare `backward` and `random` as attributes; others, which
            `backward` and `random` below are about; or names, like "bits:4" or "bits:4|levels:2".
        backward: see `Stage`.
        random: see `Stage`.

    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> safe = defend(net, lambda x: x.round(), backward="straight_through")
    >>> x = torch.full((1, 1, 2, 2), 0.6)
    >>> bool((safe.logits(x) == safe.exposed().logits(x)).all())
    True
    """
    inner = wrap(model)
    found = [
        stage
        for given in stages
        for stage in (_named(given, inner) if isinstance(given, str) else [_declared(given, backward, random)])
    ]
    if not found:
        raise InputError('no stage is given; pass functions of pixels, or a name like "bits:4"')
    return Defended(inner, tuple(found))


def stages() -> dict[str, Callable[..., Pixels]]:
    """The class of every stage that has a name, by name."""
    _import_all()
    return dict(sorted(STAGES.each().items()))


@cache
def _import_all() -> None:
    """Import every file of the folders; each registers its stages."""
    for folder in FOLDERS:
        package = importlib.import_module(f"{__name__}.{folder}")
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)


def _declared(given: Stage | Pixels, backward: Backward | None, random: bool) -> Stage:
    if isinstance(given, Stage):
        return given
    own = getattr(given, "backward", None) or backward
    if own is None:
        name = getattr(given, "__name__", type(given).__name__)
        raise InputError(
            f"the stage {name} does not say how a gradient gets back through it; give backward='exact', "
            "'straight_through' or a differentiable twin, so that an attacker who knows it can be played"
        )
    return Stage(given, own, getattr(given, "random", random))


def _named(spec: str, model: Model) -> Iterator[Stage]:
    """The stages of "bits:4|levels:2"."""
    _import_all()
    for written in parse_chain(spec, positional=True):
        kind = STAGES.find(written.name)
        values = [number(value) for value in written.values]
        fields = {key: number(value) for key, value in written.fields.items()}
        try:
            made = kind(*values, box=model.box, **fields)
        except TypeError as error:
            raise InputError(f"the stage {written.text!r} does not fit: {error}") from None
        yield Stage(made, made.backward, made.random, written.text)  # type: ignore[attr-defined]
