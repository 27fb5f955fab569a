"""A run that version 0.1 has written is read, verified and shown as ever."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from sparring.cli import main
from sparring.cli.audit.options import AuditOptions, InsteadOptions, recorded
from sparring.cli.options import built, flat
from sparring.errors import InputError

RUN = Path(__file__).parents[2] / "data" / "run-0.1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "run"))


def sparring(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sparring", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_it_is_verified(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert sparring(monkeypatch, "verify", run) == 0
    out = capsys.readouterr().out
    assert "Everything holds." in out
    assert "code: another version" in out


def test_its_options_are_those_of_today() -> None:
    known = recorded(RUN)
    today = flat(built(AuditOptions, known))
    assert {name: today[name] for name in known} == known
    assert {name: today[name] for name in today if name not in known} == {
        "plugin": [],
        "receipt": "auto",
        "twin": None,
        "certify": None,
        "threads": None,
    }, "what is new has its default"
    assert InsteadOptions(model="net.py:build").of(RUN).load.model == "net.py:build"


def test_its_printed_command_is_the_same_but_for_the_order() -> None:
    then = json.loads((RUN / "report.json").read_text())["command"]
    now = built(AuditOptions, recorded(RUN)).command
    assert sorted(now.split()) == sorted(then.split())


def test_it_is_reported_again(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert sparring(monkeypatch, "report", run, "--require", "clean >= 50%") == 0
    assert (run / "report.html").exists()
    assert "required clean >= 50 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "spec"),
    [("model", "http://127.0.0.1:9/p"), ("model", "net.py:build"), ("twin", "net.py:build"), ("twin", "https://h/p")],
)
def test_code_and_services_that_a_run_names_are_not_used_unasked(tmp_path: Path, field: str, spec: str) -> None:
    known = {**recorded(RUN), "model": "mnist-cnn", field: spec}
    (tmp_path / "options.json").write_text(json.dumps(known))
    with pytest.raises(InputError, match="which is code or a web service"):
        InsteadOptions().of(tmp_path)
    assert getattr(InsteadOptions(trust=True).of(tmp_path).load, field) == spec
