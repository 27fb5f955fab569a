"""What can be run on a page: its Python blocks and its `sparring` commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
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


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of each `sparring ...` command: in blocks for a console, and in the text between backquotes."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.kind not in ("", "console", "bash", "sh", "yaml") or block.reason:
            continue
        for number, line in enumerate(block.text.replace("\\\n", " ").splitlines()):
            found = re.match(r"\s*(?:\$ |- run: )?(sparring .*)", line)
            if found:
                yield block.line + number + 1, _words(found[1])
    for match in re.finditer(r"`(sparring [^`]+)`", BLOCK.sub("", text)):
        yield text[: text.find(match[0])].count("\n") + 1, _words(" ".join(match[1].split()))


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]
