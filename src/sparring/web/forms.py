"""Form fields of an attack, from the JSON Schema of the register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sparring.attack import AttackInfo

Kind = Literal["integer", "number", "choice", "switch", "text"]


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes:
        name: of the parameter. kind: of the input. default: as it is written in a spec; None = left empty.
        choices: of a "choice". low, high: limits of a number, None where there is none.
    """

    name: str
    kind: Kind
    default: Any
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


def fields_of(info: AttackInfo) -> tuple[Field, ...]:
    """The fields of an attack's form.

    >>> from sparring.attacks import find
    >>> [(field.name, field.kind, field.default) for field in fields_of(find("square"))][:2]
    [('queries', 'integer', 5000), ('p', 'number', 0.8)]
    """
    defaults = info.cls().settings()
    properties: Mapping[str, Mapping[str, Any]] = info.schema().get("properties", {})
    return tuple(_field(name, schema, defaults[name]) for name, schema in properties.items())


def spec_of(info: AttackInfo, values: Sequence[Any]) -> str:
    """The spec of an attack with these values of its form; what equals the default is left out.

    >>> from sparring.attacks import find
    >>> square = find("square")
    >>> spec_of(square, [100, *[field.default for field in fields_of(square)][1:]])
    'square:queries=100'
    """
    given = []
    for field, value in zip(fields_of(info), values, strict=True):
        if value is None or value == "" or value == field.default or str(value) == str(field.default):
            continue
        if field.kind == "integer" and isinstance(value, float):
            value = int(value)
        given.append(f"{field.name}={value}")
    return info.name + (":" + ",".join(given) if given else "")


def _field(name: str, schema: Mapping[str, Any], default: Any) -> Field:
    for one in schema.get("anyOf", (schema,)):
        low = one.get("minimum", one.get("exclusiveMinimum"))
        high = one.get("maximum", one.get("exclusiveMaximum"))
        if "enum" in one:
            return Field(name, "choice", default, tuple(map(str, one["enum"])))
        if one.get("type") == "boolean":
            return Field(name, "switch", default)
        if one.get("type") == "integer":
            return Field(name, "integer", default, low=low, high=high)
        if one.get("type") == "number":
            return Field(name, "number", default, low=low, high=high)
    return Field(name, "text", None if default is None else str(default))
