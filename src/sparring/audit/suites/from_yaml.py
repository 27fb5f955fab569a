"""A suite in a YAML file of the user's own. Read by a small loader of plain YAML that can build nothing but text.

    name: mine
    subset: 50                     # images of the sanity subset
    receipt: false                 # no second run of random images, see `audit.receipt`; true unless said
    transfer: true                 # controls on the sanity subset, see `audit.controls`; false unless said
    longer: true
    stages:
      - fgsm                       # an attack, as in `sparring attacks`
      - pgd:steps=100,loss=margin
      - attack: square:queries=2000
        title: Square, long
        near: 0.5                  # only where half of the clean margin is gone, see `audit.headway`
        seen: false                # not on the sanity subset

Understood: keys, texts, one list, comments, quotes. Not: anchors, tags, flow style, texts over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sparring.audit.suites.builtin import stage_of
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError

LARGEST = 65536
"bytes of a suite file"
KEYED = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?$")
FAMILIES = ("noise", "single-step", "iterative", "query")
SWITCHES = {"receipt": True, "transfer": False, "longer": False}
SUITE = ("name", "about", "subset", *SWITCHES, "stages")
STAGE = ("attack", "title", "family", "blind", "seen", "near")


def load_suite(path: str | Path) -> Suite:
    """The suite in a file.

    Raises:
        InputError: one line on what is wrong, with its number in the file.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise InputError(f"the suite {str(path)!r} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise InputError(f"the suite {str(path)!r} has {len(raw)} bytes, expected at most {LARGEST}")
    try:
        values, stages = _parse(raw.decode("utf-8"), file.name)
    except UnicodeDecodeError:
        raise InputError(f"the suite {str(path)!r} is not text in UTF-8") from None
    if not stages:
        raise InputError(f"{file.name}: there are no stages; write 'stages:' and below it '  - pgd:steps=40'")
    subset = values.pop("subset", Suite.subset)
    if type(subset) is not int or subset < 1:
        raise InputError(f"{file.name}: subset is {subset!r}; expected a number of images, at least 1")
    switches = {key: values.pop(key, default) for key, default in SWITCHES.items()}
    for key, value in switches.items():
        if not isinstance(value, bool):
            raise InputError(f"{file.name}: {key} is {value!r}; expected true or false")
    name, about = str(values.get("name", file.stem)), str(values.get("about", f"From {file.name}."))
    return Suite(name, about, tuple(_stage(stage, file.name) for stage in stages), subset, **switches)


def _stage(given: dict[str, Any], name: str) -> Stage:
    spec = given.pop("attack", None)
    if spec is None:
        raise InputError(f"{name}: a stage has no attack; write '- attack: pgd:steps=40'")
    spec = str(spec)
    stage = Stage("Random noise", spec, "noise") if spec.split(":")[0] == "noise" else stage_of(spec)
    if given.get("family", stage.family) not in FAMILIES:
        raise InputError(f"{name}: the family {given['family']!r} is not one of {', '.join(FAMILIES)}")
    for key, kind in (("blind", bool), ("seen", bool), ("near", (int, float))):
        if key in given and (not isinstance(given[key], kind) or (key == "near" and isinstance(given[key], bool))):
            wanted = "a number from 0 to 1" if key == "near" else "true or false"
            raise InputError(f"{name}: {key} is {given[key]!r}; expected {wanted}")
    if not 0 <= given.get("near", 0) <= 1:
        raise InputError(f"{name}: near is {given['near']!r}; expected a number from 0 to 1")
    return replace(
        stage, **{key: value for key, value in given.items() if key in {field.name for field in fields(Stage)}}
    )


def _parse(text: str, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The values at the top, and the stages as mappings."""
    top: dict[str, Any] = {}
    stages: list[dict[str, Any]] = []
    deep = 0  # where the keys of the current stage stand
    for number, indent, line in _lines(text):
        where = f"{name}, line {number}"
        listed = re.match(r"-\s+", line)
        if listed and "stages" in top:
            deep = indent + listed.end()
            body = line[listed.end() :]
            stages.append({})
            if not _keyed(body):
                stages[-1]["attack"] = _scalar(body, where)
                continue
            _put(stages[-1], body, STAGE, where)
        elif indent and stages and indent == deep:
            _put(stages[-1], line, STAGE, where)
        elif not indent and _keyed(line):
            _put(top, line, SUITE, where)
        else:
            raise InputError(f"{where}: {line!r} is not understood; see the example in docs/audit_speed.md")
    return top, stages


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    """(number, indent, text) of the lines that say something, without comments."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw) if '"' not in raw and "'" not in raw else raw
        if line.strip() and line.strip() != "---":
            if "\t" in line[: len(line) - len(line.lstrip())]:
                raise InputError(f"line {number} of the suite is indented by a tab; YAML wants spaces")
            yield number, len(line) - len(line.lstrip()), line.strip()


def _keyed(line: str) -> bool:
    """Whether it is `key: value`; an attack like pgd:steps=3 is not, it has no space after the colon."""
    return KEYED.match(line) is not None


def _put(into: dict[str, Any], line: str, known: tuple[str, ...], where: str) -> None:
    match = KEYED.match(line)
    if match is None:
        raise InputError(f"{where}: {line!r} is not understood; expected 'key: value'")
    key, value = match.groups()
    if key not in known:
        raise InputError(f"{where}: {key!r} is not known; there are {', '.join(known)}")
    if key in into:
        raise InputError(f"{where}: {key!r} is there twice")
    if key == "stages" and value:
        raise InputError(f"{where}: {value!r} is not understood; the stages follow, one a line: '  - pgd:steps=40'")
    into[key] = None if key == "stages" else _scalar(value or "", where)


def _scalar(text: str, where: str) -> Any:
    """A text, a number, true or false."""
    text = text.strip()
    if not text or text[0] in "&*!|>[{%@`":
        raise InputError(f"{where}: {text!r} is not understood; write a plain text, a number, true or false")
    if text[0] in "\"'":
        if len(text) < 2 or text[-1] != text[0]:
            raise InputError(f"{where}: the quote in {text} is not closed")
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
