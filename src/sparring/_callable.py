"""Modules that can be called: `sp.attack("pgd")` is the function although `sparring.attack` is a module too."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def callable_module(name: str, function: Callable[..., Any]) -> None:
    """Make the module `name` behave like `function` when it is called; importing from it stays as it is."""
    module = sys.modules[name]
    kind = type(
        "CallableModule",
        (ModuleType,),
        {"__call__": staticmethod(function), "__wrapped__": staticmethod(function)},
    )
    module.__class__ = kind


def callable_lazily(name: str, find: Callable[[], Callable[..., Any]]) -> None:
    """The same with a function that `find` brings when the module is first called, or asked for its signature."""

    def call(self: ModuleType, *args: Any, **keywords: Any) -> Any:
        return find()(*args, **keywords)

    kind = type("CallableModule", (ModuleType,), {"__call__": call, "__wrapped__": property(lambda self: find())})
    sys.modules[name].__class__ = kind


def callable_by_name(name: str) -> None:
    """The same with the public function of the module's own name, wherever the package says that it lives.

    `sparring.attack` defines what an attack is, and `sparring.attack("pgd")` is answered by the catalogue above it.
    """
    package, _, function = name.rpartition(".")
    callable_lazily(name, lambda: public(package, function))


def public(package: str, name: str) -> Any:
    """A public name of the package, wherever the package says that it lives: also above the module that asks."""
    return sys.modules[package].__getattr__(name)
