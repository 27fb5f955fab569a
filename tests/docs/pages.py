"""What can be run on a page: its Python blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parent.parent.parent
PAGES = [HOME / "README.md", *sorted((HOME / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$")
FILE = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        line: where it begins. kind: "python", "console", ... text: its lines. file: the name of the file that it is, if
            its first line is a comment with one. reason: why it is not run; None = it is.
    """

    line: int
    kind: str
    text: str
    file: str | None
    reason: str | None


def blocks(page: Path) -> list[Block]:
    """All blocks of a page. A comment `<!-- not run: why -->` before a block takes it out."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        indent, kind, body = match.groups()
        body = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        before = NOT_RUN.search(text[: match.start()])
        named = FILE.match(body)
        line = text[: match.start()].count("\n") + 1
        found.append(Block(line, kind, body, named[1] if named else None, before[1] if before else None))
    return found
