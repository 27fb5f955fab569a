"""The stored report beside the one that follows from the shards, and every other file beside the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sparring.audit.inputs.provenance import versions
from sparring.audit.report.document import FILE, Document, json_text, sealed
from sparring.audit.report.formats.all import texts

OF_THE_MOMENT = ("created", "versions", "seal")
"parts of a report that do not follow from the shards"
BY_OPTIONS = ("command", "settings", "requirements")
"parts that follow from the options of the command too"
FIGURES = (
    "status", "cause", "clean_accuracy", "robust_accuracy", "attack_success_rate", "worst_case_accuracy", "certified",
    "strongest_attack_alone", "n", "initially_correct", "standing", "intervals", "threat", "seed", "passes", "samples",
    "confirmed", "undone_by_rounding", "confusion",
)  # fmt: skip
"what is compared of a report that another version of the code made: the words may differ"
SHOWN = 5
"differences that are listed one by one"


def report_findings(folder: Path, derived: Document, code: str, same_code: bool) -> Iterator[str]:
    """What is wrong with report.json, beside what the shards say. `code`: the version that made them."""
    text = (folder / FILE).read_text(encoding="utf-8")
    try:
        stored = json.loads(text)
    except ValueError as error:
        yield f"{FILE} is no JSON: {error}"
        return
    if not isinstance(stored, dict):
        yield f"{FILE} is a {type(stored).__name__}, not a report"
        return
    if not sealed(stored) or ("seal" in derived and "seal" not in stored and same_code):
        yield f"{FILE} was changed after it was written: its seal does not fit"
    if same_code and text != json_text(stored):
        yield f"{FILE} is not written as sparring writes it"
    if same_code:
        ours, theirs = (_without(one, (*OF_THE_MOMENT, *BY_OPTIONS)) for one in (derived, stored))
    else:
        ours, theirs = ({name: one.get(name) for name in FIGURES} for one in (derived, stored))
        ours["doubts"], theirs["doubts"] = (
            sorted([doubt["code"], doubt["severe"]] for doubt in one["doubts"]) for one in (derived, stored)
        )
        if "shards" in stored:
            ours["shards"], theirs["shards"] = derived.get("shards"), stored["shards"]
    if same_code:
        yield from _moment_findings(stored)
    if code.split()[-1] != str(stored["versions"]["code"])[: len(code.split()[-1])]:
        yield f"{FILE} was made by another version of the code than the shards"
    found = list(differences(ours, theirs))
    for path, here, there in found[:SHOWN]:
        yield f"{FILE} says {path} = {_brief(there)}; the shards say {_brief(here)}"
    if len(found) > SHOWN:
        yield f"{FILE} differs from the shards in {len(found) - SHOWN} more places"


def _moment_findings(stored: Document) -> Iterator[str]:
    """What a report says of its moment can be false, but not anything: a time, and versions."""
    try:
        datetime.fromisoformat(stored["created"])
    except (KeyError, TypeError, ValueError):
        yield f"{FILE} does not say when it was made"
    known = stored.get("versions")
    if not isinstance(known, Mapping) or set(known) != set(versions()):
        yield f"{FILE} holds other versions than those of sparring, torch and the machine"


def forms_findings(folder: Path, stored: Document) -> Iterator[str]:
    """Pages and tables that are not what report.json gives; where there is one, all must be there."""
    try:
        made = texts(stored)
    except Exception as error:  # anybody may have written it: what it holds can be anything
        yield f"no page can be made of {FILE} ({type(error).__name__}: {error})"
        return
    some = any((folder / name).exists() for name in made)
    for name, text in made.items():
        path = folder / name
        if not path.exists() and not some:
            continue
        if not path.exists():
            yield f"{name} is not there; make it again with sparring report"
        elif path.read_bytes() != text.encode():
            yield f"{name} is not what {FILE} gives; make it again with sparring report"


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two plain values differ: (path, ours, theirs). Numbers are the same up to rounding."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            here = f"{path}.{name}" if path else str(name)
            if name not in ours or name not in theirs:
                yield here, ours.get(name, "nothing"), theirs.get(name, "nothing")
            else:
                yield from differences(ours[name], theirs[name], here)
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        if len(ours) != len(theirs):
            yield path, f"{len(ours)} entries", f"{len(theirs)} entries"
        for k, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(a, b, f"{path}[{k}]")
    elif type(ours) is float and type(theirs) in (int, float):
        if not math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-9):
            yield path, ours, theirs
    elif ours != theirs or type(ours) is not type(theirs):
        yield path, ours, theirs


def _without(plain: Document, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if name not in names}


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
