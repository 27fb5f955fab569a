"""How `sparring attacks` shows attacks on a terminal: the table, and the reference card of one."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sparring.cli.console import Stdout, stderr

if TYPE_CHECKING:
    from sparring.attack import AttackInfo

WIDE = 150  # columns that the whole table needs
EXAMPLE_EPS = {"Linf": "0.3", "L2": "2", "L1": "10", "L0": "25"}  # usual on digits


def plain(info: AttackInfo) -> dict[str, Any]:
    """All that is known about an attack as plain values, defaults included, for JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic warns of defaults that are functions; they are filled in here
        known = info.to_dict()
    defaults = info.cls().settings()
    return {
        **known,
        "summary": info.summary,
        "fields": {name: {**schema, "default": defaults[name]} for name, schema in known["fields"].items()},
    }


def print_table(infos: list[AttackInfo]) -> None:
    """The table, whole where there is room (and in pipes), else without the columns that matter least."""
    console = Stdout()
    if not console.is_terminal:
        console = Stdout(width=WIDE + 30)
    columns = {
        "name": [info.name for info in infos],
        "attack": [info.title for info in infos],
        "norms": [", ".join(map(str, info.norms)) for info in infos],
        "knowledge": [info.knowledge for info in infos],
        "specificity": [", ".join(info.specificity) for info in infos],
        "approach": [info.approach for info in infos],
        "scope": [", ".join(info.scope) for info in infos],
        "visibility": [", ".join(info.visibility) for info in infos],
        "year": [str(info.year) for info in infos],
        "paper": [info.paper for info in infos],
        "also in": [", ".join(info.peers) or "-" for info in infos],
    }
    if console.width < WIDE:
        for name in ("attack", "scope", "visibility", "paper", "also in"):
            del columns[name]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, no_wrap=name in ("name", "year"))
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    hint = "sparring attacks NAME shows one in full" + (
        "; a wider window shows more columns" if console.width < WIDE else ""
    )
    stderr().print(Text(f"{len(infos)} attacks; {hint}", "dim"))


def print_card(info: AttackInfo) -> None:
    """Everything about one attack."""
    console = Stdout()
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("name", ", ".join((info.name, *info.aliases))),
        ("scope", ", ".join(info.scope)),
        ("visibility", ", ".join(info.visibility)),
        ("norms", ", ".join(map(str, info.norms))),
        ("knowledge", f"{info.knowledge}: sees {info.sees}"),
        ("specificity", ", ".join(info.specificity)),
        ("approach", info.approach),
        ("looks for", AIMS[info.aim]),
        ("seed", "matters" if info.random else "does not matter: the attack is deterministic"),
        ("paper", f"{info.paper} ({info.year})"),
        ("also in", ", ".join(info.peers) or "no other toolkit that we know of"),
        ("survey", info.survey or "not in its table"),
    ):
        facts.add_row(Text(name, "bold"), Text(value))
    console.print(Text(info.title, "bold"), facts, "", sep="\n")
    for doc in (inspect.getdoc(inspect.getmodule(info.cls)), inspect.getdoc(info.cls)):
        console.print(Text(doc or ""), "", sep="\n", soft_wrap=True)
    fields = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("field", "type", "default"):
        fields.add_column(column)
    for name, schema in plain(info)["fields"].items():
        fields.add_row(Text(name), Text(type_text(schema)), Text(_value(schema["default"])))
    console.print(fields if fields.row_count else Text("It has no fields."), "", sep="\n")
    for line in examples(info):
        console.print(Text(line, "cyan"), soft_wrap=True)


AIMS = {
    "budget": "success inside a given eps",
    "minimum": "the smallest perturbation; eps may be left out",
    "both": "success inside eps, or the smallest perturbation without one",
    "own": "something that no norm measures, see below; eps may be left out",
}


def examples(info: AttackInfo) -> list[str]:
    """Commands to copy."""
    norm = str(info.norms[-1])
    eps = f" --eps {EXAMPLE_EPS[norm]}" if info.aim == "budget" else ""
    on = f"--model mnist-cnn --data mnist5k --n 100 --norm {norm}{eps}"
    spec = info.name
    if info.learns is not None:
        folder = f"runs/{spec}"
        data = "--model mnist-cnn --data mnist5k"
        return [
            f"sparring attack {spec} --fit {data} --norm {norm}{eps} --out {folder}",
            f"sparring attack {spec} --weights {folder} {on}",
        ]
    defaults = info.cls().settings()
    changed = next(((k, v) for k, v in defaults.items() if type(v) is int), None)
    lines = [f"sparring attack {spec} {on}"]
    if changed is not None:
        spec = f"{spec}:{changed[0]}={2 * changed[1]}"
        lines.append(f"sparring attack {spec} {on} --out runs/{info.name}")
    if "targeted" in info.specificity:
        lines.append(f"sparring attack {spec} {on} --target next")
    return lines


def type_text(schema: dict[str, Any]) -> str:
    """A field's JSON Schema in words.

    >>> type_text({"anyOf": [{"exclusiveMinimum": 0, "type": "number"}, {"type": "null"}]})
    'number > 0, or none'
    >>> type_text({"type": "number", "minimum": 0, "maximum": 1})
    'number >= 0 and <= 1'
    """
    if "anyOf" in schema:
        return ", or ".join(type_text(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    types = schema.get("type", "value")
    names = [NAMES.get(kind, kind) for kind in ([types] if isinstance(types, str) else types)]
    limits = [f"{sign} {schema[key]:g}" for key, sign in LIMITS.items() if key in schema]
    hint = f" like {', '.join(map(str, schema['examples']))}" if "examples" in schema else ""
    return (
        (names[0] + (" " if limits else "") + " and ".join(limits))
        + hint
        + "".join(f", or {name}" for name in names[1:])
    )


NAMES = {"null": "none", "boolean": "true or false", "integer": "whole number", "string": "text", "array": "list"}
LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def _value(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
