"""Find a suite by its name, in a YAML file, or in a list of attack specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sparring.attacks import FITTED
from sparring.audit.suites.builtin import SUITES, black_box, stage_of
from sparring.audit.suites.from_yaml import load_suite
from sparring.audit.suites.stage import Suite
from sparring.blocks.learned.weights import holds_attack
from sparring.errors import InputError


def suite(name: str | Suite | Sequence[str]) -> Suite:
    """A suite by name, one's own, a YAML file (`suite_file`), or a list of attack specs.

    "quick+fitted:runs/uap" is the suite quick, and the fitted attack in that folder before it. "fitted:runs/uap", or a
    folder that holds a fitted attack, is that attack alone.

    >>> [stage.title for stage in suite(["fgsm", "pgd:loss=margin"]).stages]
    ['fgsm', 'pgd:loss=margin']
    """
    if isinstance(name, Suite):
        return name
    if not isinstance(name, str):
        return Suite("own", "Attacks chosen by the user.", tuple(stage_of(spec) for spec in name))
    rest, plus, fitted = name.partition("+" + FITTED + ":")
    if plus:
        base, stages = suite(rest), tuple(stage_of(f"{FITTED}:{one}") for one in fitted.split(plus))
        return replace(base, name=name, about=f"{base.about} And fitted attacks.", stages=(*stages, *base.stages))
    if name.startswith(FITTED + ":") or holds_attack(name):
        return suite([name])
    if name == "black-box":
        return black_box()
    if name.endswith((".yaml", ".yml")):
        return load_suite(name)
    if name not in SUITES:
        known = ", ".join((*SUITES, "black-box"))
        raise InputError(f"no suite is called {name!r}; there are {known}, or a YAML file of your own: mine.yaml")
    return SUITES[name]
