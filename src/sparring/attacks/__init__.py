"""The catalogue of attacks: `attack("pgd:steps=40")`, `attacks(norm="L2")`.

One file an algorithm, in folders named by what the attacker sees. A new attack is a new file and no other change: the
catalogue finds the files, and imports them when it is first asked.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import torch

from sparring._callable import callable_module
from sparring.attack import REGISTRY, Attack, AttackInfo, build
from sparring.blocks.learned.attack import LearnedAttack
from sparring.blocks.learned.weights import Weights
from sparring.errors import InputError
from sparring.model import Access, Model
from sparring.norms import Norm
from sparring.norms import norm as _norm
from sparring.spec import parse_spec
from sparring.threat import NUMBER, parse_eps

__all__ = ["attack", "attacks", "find", "load_attack"]

FITTED = "fitted"
"fitted:FOLDER is the fitted attack in a folder"

_MADE_FOR = "an attack that sees them, like sia, bsr or mifgsm"


def attack(spec: str, *, surrogates: Sequence[Model | Callable[..., Any]] | None = None) -> Attack:
    """An attack from its spec: "pgd", "pgd:steps=40,restarts=5,loss=dlr". Fractions are understood.

    A fitted attack is "uap:weights=FOLDER", or "fitted:FOLDER", which takes name and fields from its card.

    Args:
        spec: its name and fields. surrogates: nets to make the points on; the model is then asked for its class alone,
            once for each image, and any access will do. Their classes must be those of the model, numbered alike.
            Attacks that search with surrogates (bases) take them and keep to their own queries.

    Raises:
        InputError: no such attack or field, or a value that does not fit; an attack that has no use for surrogates.
    """
    kind, colon, folder = spec.partition(":")
    if colon and kind.strip() == FITTED and "=" not in folder:
        return load_attack(unquote(folder.strip()))
    read = parse_spec(spec)
    made = build(find(read.name), {key: _plain(value) for key, value in read.fields.items()})
    if surrogates is None:
        return made
    if hasattr(made, "surrogates"):
        return replace(made, surrogates=tuple(surrogates))  # type: ignore[type-var]
    if made.info.sees != "gradient":
        raise InputError(f"{made.info.name} needs no gradients, so it has no use for surrogates; choose {_MADE_FOR}")
    return build(find("from-surrogates"), {"attack": made, "surrogates": tuple(surrogates)})


def load_attack(folder: str | Path) -> LearnedAttack:
    """The fitted attack in a folder that `fit` or `save` has written.

    Raises:
        InputError: there is none, or the weights are not those of its card.
    """
    weights = Weights.load(folder)
    fitted = build(find(weights.card["attack"]), {**weights.card["settings"], "weights": weights})
    assert isinstance(fitted, LearnedAttack)
    fitted.fitted_net(torch.zeros(1, *fitted.subject.shape))
    return fitted


def attacks(sees: Access | None = None, norm: Norm | str | None = None, **columns: Any) -> list[AttackInfo]:
    """All listed attacks, by name; only those with this access, under this norm, with these columns.

    Attacks that learn count by the access that they need for it.
    """
    _import_all()
    wanted = None if norm is None else _norm(norm)
    return [
        info
        for _, info in sorted(REGISTRY.each().items())
        if info.listed
        and (sees is None or (info.learns or info.sees) == sees)
        and (wanted is None or wanted in info.norms)
        and all(_matches(getattr(info, column), value) for column, value in columns.items())
    ]


def find(name: str) -> AttackInfo:
    """The registered attack of this name or alias, in any case, with - or _.

    Raises:
        InputError: no such attack; the line says which come near, or lists them.
    """
    _import_all()
    return REGISTRY.find(name)


@cache
def _import_all() -> None:
    """Import every file of this folder; each registers its attack."""
    for module in pkgutil.walk_packages(__path__, __name__ + "."):
        importlib.import_module(module.name)


def _matches(have: Any, wanted: Any) -> bool:
    return wanted in have if isinstance(have, tuple) else have == wanted


def _plain(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    return parse_eps(text) if "/" in text and NUMBER.fullmatch(text.replace(" ", "")) else text


callable_module(__name__, attacks)
