"""Can it be written down: as a spec, as settings in JSON, with a schema?"""

from __future__ import annotations

import json
from dataclasses import fields

from sparring.attack import REGISTRY, build
from sparring.attacks import attack
from sparring.testing.case import Examinee, check, demand


@check("settings", every_norm=False)
def settings(case: Examinee) -> None:
    """Its spec and its settings, through JSON, give an equal attack again; the schema knows its fields."""
    it, info = case.attack, case.info
    plain = json.loads(json.dumps(it.settings(), allow_nan=False))
    demand(build(info, plain) == it, f"settings {plain} give {build(info, plain)!r}, not {it!r}")
    if REGISTRY.get(info.name) is info:
        demand(attack(it.spec) == it, f"the spec {it.spec!r} gives {attack(it.spec)!r}, not {it!r}")
    schema = json.loads(json.dumps(info.schema()))
    names = {field.name for field in fields(it)}  # type: ignore[arg-type]
    known = set(schema.get("properties", {}))
    demand(known == names, f"the schema knows {sorted(known)}, the fields are {sorted(names)}")
    demand(len(info.summary) > 10, "the class has no docstring whose first line says what it is")
