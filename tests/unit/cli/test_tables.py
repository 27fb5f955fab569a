"""Tables of 80 columns."""

from __future__ import annotations

import io

from sparring.cli.console import Stdout
from sparring.cli.tables import table


def printed(width: int = 80) -> list[str]:
    rows = table("attack", "robust accuracy after", "what it is", left=("what it is",))
    rows.add_row("a rather long name [/b] of an attack that has to fold somewhere", "12.50%", "words " * 12)
    stream = io.StringIO()
    Stdout(file=stream, width=width).print(rows)
    return stream.getvalue().splitlines()


def test_it_fits_and_loses_nothing() -> None:
    lines = printed()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "12.50%" in text
    assert text.count("words") == 12
    assert "[/b]" in text, "markup is not read"


def test_headers_break_between_words() -> None:
    first, second, third, *_ = printed()
    assert (first.strip(), second.strip()) == ("robust", "accuracy")
    assert third.split() == ["attack", "after", "what", "it", "is"]
