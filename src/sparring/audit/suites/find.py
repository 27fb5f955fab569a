"""Find a suite by its name, in a YAML file, or in a list of attack specs."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.audit.suites.builtin import SUITES, black_box, stage_of
from sparring.audit.suites.from_yaml import load_suite
from sparring.audit.suites.stage import Suite
from sparring.errors import InputError


def suite(name: str | Suite | Sequence[str]) -> Suite:
    """A suite by name, one's own, a YAML file (`suite_file`), or a list of attack specs.

    >>> [stage.title for stage in suite(["fgsm", "pgd:loss=margin"]).stages]
    ['fgsm', 'pgd:loss=margin']
    """
    if isinstance(name, Suite):
        return name
    if not isinstance(name, str):
        return Suite("own", "Attacks chosen by the user.", tuple(stage_of(spec) for spec in name))
    if name == "black-box":
        return black_box()
    if name.endswith((".yaml", ".yml")):
        return load_suite(name)
    if name not in SUITES:
        known = ", ".join((*SUITES, "black-box"))
        raise InputError(f"no suite is called {name!r}; there are {known}, or a YAML file of your own: mine.yaml")
    return SUITES[name]
