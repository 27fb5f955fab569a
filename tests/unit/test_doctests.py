"""Every example in a docstring runs and says what it shows. (The package's own needs the shipped weights: e2e.)"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import sparring

MODULES = [
    module.name
    for module in pkgutil.walk_packages(sparring.__path__, "sparring.")
    if not module.name.startswith(("sparring.cli", "sparring.web"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert outcome.failed == 0


def test_attacks_show_an_example() -> None:
    """At least those whose use is not obvious from their fields."""
    shown = {info.name for info in sparring.attacks() if ">>>" in (info.cls.__doc__ or "")}
    assert shown >= {"fgsm", "pgd"}
