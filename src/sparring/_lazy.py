"""Public names that are loaded when they are first used, each named once: in the stub beside the package's file.

A package `p/__init__.py` has a stub `p/__init__.pyi` of lines `from p.module import Name as Name`. Type checkers and
editors read the stub; at run time the same lines say which module to import for a name.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def homes_in(file: str) -> dict[str, str]:
    """The module of each public name of the package whose `__init__.py` is `file`, in the order of its stub.

    Raises:
        SyntaxError: the stub holds something other than `from module import name as name`.
    """
    stub = Path(file).with_suffix(".pyi")
    homes: dict[str, str] = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ImportFrom) or node.module is None or node.level:
            raise SyntaxError(f"{stub}, line {node.lineno}: expected 'from module import name as name'")
        for alias in node.names:
            if alias.asname != alias.name or alias.name in homes:
                raise SyntaxError(f"{stub}, line {node.lineno}: expected '{alias.name} as {alias.name}', once")
            homes[alias.name] = node.module
    return homes


def load(package: str, homes: Mapping[str, str], name: str) -> Any:
    """The public `name` of `package`; imports its module.

    Raises:
        AttributeError: the package has no such name.
    """
    if name not in homes:
        raise AttributeError(f"{package} has no {name!r}")
    return getattr(import_module(homes[name]), name)
