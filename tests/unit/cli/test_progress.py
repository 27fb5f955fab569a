"""The one progress bar: what it shows on a terminal, and nothing elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from sparring.cli.progress import Bar


def drawn(terminal: bool) -> str:
    stream = io.StringIO()
    log = Console(file=stream, force_terminal=terminal, width=120, color_system=None)
    with Bar(log, "fgsm [/b]", 10) as bar:
        bar.update(4, figures="3 of 4 fooled", left=75)
        bar._progress.refresh()
    return stream.getvalue()


def test_it_says_what_how_much_what_came_of_it_and_how_long() -> None:
    text = drawn(terminal=True)
    for words in ("fgsm [/b]", "4/10", "3 of 4 fooled", "1:15 min left"):
        assert words in text


def test_nothing_is_said_to_be_left_of_what_still_works() -> None:
    for left in (0.0, 0.4):
        log = Console(file=(stream := io.StringIO()), force_terminal=True, width=120, color_system=None)
        with Bar(log, "fgsm", 10) as bar:
            bar.update(10, left=left)
            bar._progress.refresh()
        assert "0 s" in stream.getvalue()
        assert "left" not in stream.getvalue()


def test_nothing_is_drawn_where_nobody_watches() -> None:
    assert drawn(terminal=False).strip() == ""


def test_what_is_none_stays() -> None:
    log = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Bar(log, "one", 10) as bar:
        bar.update(2, figures="a")
        bar.update(what="two")
        task = bar._progress.tasks[0]
        assert (task.description, task.completed, task.total, task.fields["figures"]) == ("two", 2, 10, "a")
        bar.restart("three", 5)
        assert (task.description, task.completed, task.total, task.fields["figures"]) == ("three", 0, 5, "")
