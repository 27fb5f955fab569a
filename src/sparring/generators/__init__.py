"""Generators of images: the source report's GAN, DCGAN and WGAN, WGAN-GP, one training loop, their figures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.generators.files import list_generators as list_generators
    from sparring.generators.files import load_generator as load_generator
    from sparring.generators.files import save_generator as save_generator
    from sparring.generators.loop import train_generator as train_generator
    from sparring.generators.pairs import PAIRS as PAIRS
    from sparring.generators.pairs import Generator as Generator
    from sparring.generators.pairs import make_pair as make_pair

_HOMES = {
    "PAIRS": "pairs",
    "Generator": "pairs",
    "list_generators": "files",
    "load_generator": "files",
    "make_pair": "pairs",
    "save_generator": "files",
    "train_generator": "loop",
}

__all__ = ["PAIRS", "Generator", "list_generators", "load_generator", "make_pair", "save_generator", "train_generator"]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first used: the list of generators needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"sparring.generators has no {name!r}")
    return getattr(import_module(f"sparring.generators.{_HOMES[name]}"), name)
