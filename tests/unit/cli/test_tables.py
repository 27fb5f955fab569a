"""Tables of 80 columns."""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path

import pytest

from sparring.cli import main
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


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "--model", "mnist-cnn", "--n", "8", "--eps", "8/255", "--suite", "TINY", "--claim", "fgsm:8/255=0.9"),
        ("attack", "fgsm", "--model", "mnist-cnn", "--n", "8", "--eps", "0.1"),
        ("certify", "--model", "mnist-cnn", "--n", "4", "--eps", "0.01", "--method", "ibp"),
        ("data",), ("models",), ("checks",),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_every_table_fits_80_columns(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text("receipt: false\nsubset: 4\nstages:\n  - fgsm\n  - pgd:steps=10,loss=margin\n")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["sparring", *(str(tmp_path / "tiny.yaml") if w == "TINY" else w for w in words)])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if "  " in line.strip()]  # of tables; sentences run on and the terminal wraps them
    assert len(rows) >= 3
    assert max(map(len, rows)) <= 80, max(rows, key=len)


@pytest.mark.parametrize("kept", [True, False])
def test_after_ctrl_c_it_says_where_the_run_lies_and_how_to_go_on(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparring.audit.run.folder.Run.work", stop)
    monkeypatch.setattr("sparring.audit.run.in_process.carry_out", stop)
    (tmp_path / "tiny.yaml").write_text("stages:\n  - fgsm\n")
    out, suite = tmp_path / "my run", str(tmp_path / "tiny.yaml")
    words = ["audit", "--model", "mnist-cnn", "--n", "4", "--eps", "0.1", "--suite", suite]
    monkeypatch.setattr(sys, "argv", ["sparring", *words, *(["--out", str(out)] if kept else [])])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
    said = capsys.readouterr().err.strip().splitlines()[-1]
    if not kept:
        assert "nothing is kept; with --out DIR" in said
        return
    assert f"the run lies in {out}" in said
    again = said.partition("go on with: ")[2]
    monkeypatch.undo()
    assert "--resume" in again
    monkeypatch.setattr(sys, "argv", shlex.split(again))
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    assert (out / "report.json").exists()
