"""The module that the code of a page or a notebook becomes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from sparring.attack import REGISTRY
from sparring.audit.checks.registry import CHECKS


@pytest.fixture
def program() -> Iterator[ModuleType]:
    """The module that a page makes; what it enters into a register leaves it again."""
    module = sys.modules["page"] = ModuleType("page")
    yield module
    del sys.modules["page"]
    for name in [one for one, info in REGISTRY.items() if info.cls.__module__ == "page"]:
        del REGISTRY[name]
    for code in [one for one, check in CHECKS.items() if check.find.__module__ == "page"]:
        del CHECKS[code]
