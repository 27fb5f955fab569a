"""Docstrings as mkdocstrings wants them, made from ours, where one line may describe several parameters.

    model: a `Model`. x, y: [N, ...] images, [N] classes.

becomes a line for each, and doctests become an example.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(Args|Attributes|Raises):\n((?:    .*\n?|\n(?=    ))+)", re.MULTILINE)
ENTRY = re.compile(r"(?:^|(?<=[.;] ))(\w+(?:, \w+)*): ")
DOCTEST = re.compile(r"^>>> ", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is None:
            return
        text = SECTION.sub(lambda found: f"{found[1]}:\n{entries(found[2])}", obj.docstring.value + "\n")
        first = DOCTEST.search(text)
        if first:
            indented = "".join(f"    {line}\n" for line in text[first.start() :].rstrip().splitlines())
            text = f"{text[: first.start()]}Examples:\n{indented}"
        obj.docstring.value = text.rstrip()


def entries(body: str) -> str:
    """The entries of a section, one name a line.

    >>> print(entries("    a, b: two numbers. c: a text\\n        on two lines.\\n"))
        a: two numbers.
        b: two numbers.
        c: a text on two lines.
    <BLANKLINE>
    """
    lines: list[str] = []
    for line in body.splitlines():
        begins = line.startswith("    ") and not line.startswith("     ")
        if begins or not lines:
            lines.append(line.strip())
        else:
            lines[-1] += f" {line.strip()}"
    made = ""
    for line in lines:
        starts = [*ENTRY.finditer(line)]
        if not starts or starts[0].start():
            made += f"    {line}\n"
            continue
        ends = [*(one.start() for one in starts[1:]), len(line)]
        for found, end in zip(starts, ends, strict=True):
            text = line[found.end() : end].strip()
            made += "".join(f"    {name}: {text}\n" for name in found[1].split(", "))
    return made + "\n"
