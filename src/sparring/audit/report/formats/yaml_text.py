"""Plain values as YAML that every reader understands alike: block style, strings always quoted, no tags, no anchors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
"what YAML 1.1 takes for something else than a string"


def yaml_text(value: Any) -> str:
    """The document, ending in a line break.

    >>> print(yaml_text([{"dataset": {"id": "mnist"}, "value": 1e-05, "tags": []}]), end="")
    - dataset:
        id: "mnist"
      value: 1.0e-05
      tags: []
    """
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            name = key if KEY.fullmatch(key) and key.lower() not in WORDS else _quoted(key)
            if isinstance(item, (Mapping, list, tuple)) and item:
                yield f"{name}:"
                inner = "" if _is_list(item) else "  "  # a list may stand below its key without being moved in
                yield from (inner + line for line in _lines(item))
            else:
                yield f"{name}: {_scalar(item)}"
    elif _is_list(value) and value:
        for item in value:
            for k, line in enumerate(_lines(item)):
                yield ("- " if k == 0 else "  ") + line
    else:
        yield _scalar(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{}"
    if _is_list(value):
        return "[]"
    text = json.dumps(value)  # null, true, 7, 0.5; refuses what is not plain
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")  # without a point YAML 1.1 takes it for a string
    return text


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else (f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
