"""Plugins: Python files and installed packages that add attacks, checks, suites, defenses, nets or data sets.

A plugin is code that fills the registers when it is imported:

    from sparring.attack import Attack, register                 @register("mine", ...)
    from sparring.audit.checks.registry import Found, check      @check("mine", ...)
    from sparring.audit.suites.builtin import SUITES             SUITES["mine"] = Suite(...)
    from sparring.preprocess import register_stage               @register_stage("mine")
    from sparring.zoo.nets import NETS                           NETS["mine"] = factory
    from sparring.data import Source, register                   register(Source("mine", ...))

An installed package names its module as an entry point of the group `sparring.plugins`. No plugin runs unless the user
names it: `--plugin FILE.py`, `--plugin NAME`, or `load_plugins` in Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from sparring.attacks import attacks
from sparring.errors import InputError
from sparring.spec import unknown
from sparring.zoo.from_file import import_code, users_code

GROUP = "sparring.plugins"
_LOADED: dict[str, str] = {}
"what was loaded, with a digest of its code"


def load_plugins(names: Iterable[str | Path]) -> None:
    """Run the code of plugins, each once in a process.

    Args:
        names: files (mine.py), or names of entry points of installed packages.

    Raises:
        InputError: there is no such plugin, its code failed, or it takes a name that is taken; one line.
    """
    for name in map(str, names):
        place = str(Path(name).expanduser().resolve()) if name.endswith(".py") else name
        if place in _LOADED:
            continue
        attacks()  # the package's own come first, so that a name that is taken is the plugin's fault
        if name.endswith(".py"):
            import_code(place)
            digest = hashlib.sha256(Path(place).read_bytes()).hexdigest()
        else:
            digest = _load_entry_point(name)
        _LOADED[place] = digest


def loaded_plugins() -> dict[str, str]:
    """The plugins that this process has loaded: file name or name -> digest of the code, or version of the package."""
    return {Path(place).name: digest for place, digest in _LOADED.items()}


def installed_plugins() -> dict[str, EntryPoint]:
    """The entry points of installed packages by name; none of them is imported."""
    return {one.name: one for one in entry_points(group=GROUP)}


def _load_entry_point(name: str) -> str:
    known = installed_plugins()
    if name not in known:
        if not known:
            raise InputError(
                f"no plugin is called {name!r}: give a file, mine.py, or the name of an entry point of the group "
                f"{GROUP} of an installed package (there are none)"
            )
        raise unknown("plugin", name, known)
    with users_code(f"loading the plugin {name}"):
        known[name].load()
    return f"{known[name].value} {getattr(known[name].dist, 'version', '')}".strip()
