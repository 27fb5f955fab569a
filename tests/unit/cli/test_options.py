"""Groups of options: one definition is the command's signature, the kept options and the printed command."""

from __future__ import annotations

import inspect
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from sparring.audit.inputs.settings import AuditSettings
from sparring.cli.audit.options import AuditOptions
from sparring.cli.crosscheck import FewImages
from sparring.cli.loading import LoadOptions
from sparring.cli.options import ThreatOptions, built, flat, leaves_of, printed, takes_options, words_of


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: Annotated[int, typer.Option("--size", min=1, help="Take this size.")] = 3
    path: Annotated[Path | None, typer.Option("--path")] = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner
    loud_voice: Annotated[bool, typer.Option("--loud-voice")] = False


def app_of(function: Any) -> tuple[typer.Typer, list[Any]]:
    app = typer.Typer()
    app.command()(takes_options(function))
    return app, []


def test_a_command_takes_the_value() -> None:
    seen: list[Any] = []

    def command(word: Annotated[str, typer.Argument()], outer: Outer, last: Annotated[int, typer.Option()] = 1) -> None:
        """Do it."""
        seen.append((word, outer, last))

    app, _ = app_of(command)
    done = CliRunner().invoke(app, ["go", "--size", "5", "--path", "a b", "--loud-voice", "--last", "2"])
    assert done.exit_code == 0, done.output
    assert seen == [("go", Outer(inner=Inner(size=5, path=Path("a b")), loud_voice=True), 2)]
    assert CliRunner().invoke(app, ["go"]).exit_code == 0
    assert seen[1] == ("go", Outer(inner=Inner()), 1)
    assert CliRunner().invoke(app, ["go", "--size", "0"]).exit_code == 2
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Take this size." in shown
    assert "[default: 3]" in shown


def test_the_signature_has_an_option_for_each_field_in_order() -> None:
    def command(outer: Outer) -> None: ...

    assert list(inspect.signature(takes_options(command)).parameters) == ["size", "path", "loud_voice"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"size": 9, "path": "x/[/b] y", "loud_voice": True},
    ],
)
def test_flat_and_back(given: dict[str, Any]) -> None:
    value = built(Outer, given)
    assert {name: flat(value)[name] for name in given} == given
    assert built(Outer, flat(value)) == value


def test_the_options_of_an_audit_come_back_from_what_is_kept_and_from_what_is_printed() -> None:
    given = {
        "model": "net.py:build",
        "weights": "a b.pt",
        "data": "folder:scans [/b]",
        "n": 5,
        "eps": "8/255",
        "suite": "quick",
        "claim": ["0.9", "clean=99%"],
        "require": ["robust >= 85%"],
        "replay": "runs/old",
        "clean_floor": 0.0,
        "seed": 3,
    }
    options = built(AuditOptions, given)
    assert options.settings.claims == ("0.9", "clean=99%")
    assert options.settings.replay == Path("runs/old")
    assert built(AuditOptions, flat(options)) == options
    seen = []

    def command(options: AuditOptions) -> None:
        seen.append(options)

    app, _ = app_of(command)
    for words in (shlex.split(printed(options)), words_of(flat(options))):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (words, done.output, done.exception)
    assert seen == [options, options]


def test_the_printed_command_leaves_defaults_away_but_for_the_data() -> None:
    options = built(AuditOptions, {"model": "mnist-cnn", "eps": "0.3"})
    assert printed(options) == "--model mnist-cnn --data mnist5k --eps 0.3"


def test_every_setting_that_the_command_has_is_an_option_with_the_same_default() -> None:
    names = {leaf.field: leaf for leaf in leaves_of(AuditSettings)}
    assert set(names) == {name for name in AuditSettings().__dict__ if name != "n"}
    assert names["claims"].name == "claim"
    assert all(leaf.default == getattr(AuditSettings(), field) for field, leaf in names.items())


def test_names_are_said_once_in_a_command() -> None:
    for kind in (AuditOptions, LoadOptions, ThreatOptions, FewImages):
        names = [leaf.name for leaf in leaves_of(kind)]
        assert len(names) == len(set(names))


def test_a_group_may_have_another_default() -> None:
    assert built(FewImages, {}).n == 64
    assert built(LoadOptions, {}).n is None
