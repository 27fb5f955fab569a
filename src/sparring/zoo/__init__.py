"""The zoo: nets that the package ships trained (`list_models`), and classifiers from elsewhere (`load_model`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.zoo.loaders import load_model as load_model
    from sparring.zoo.shipped import ModelInfo as ModelInfo
    from sparring.zoo.shipped import list_models as list_models

_HOMES = {
    "ModelInfo": "shipped",
    "list_models": "shipped",
    "load_model": "loaders",
}

__all__ = ["ModelInfo", "list_models", "load_model"]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first used: the list of models needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"sparring.zoo has no {name!r}")
    return getattr(import_module(f"sparring.zoo.{_HOMES[name]}"), name)
