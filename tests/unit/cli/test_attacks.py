"""`sparring attacks`: whole, filtered, as JSON, as Markdown, and one attack in full."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

import sparring as sp
from sparring.attack import REGISTRY, Attack, AttackInfo, register
from sparring.cli import main
from sparring.cli.attack.attacks import markdown_table
from sparring.cli.attack.card import examples, plain, type_text

Run = Callable[..., tuple[int, str, str]]
INFOS = sp.attacks()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """(exit code, stdout, stderr) of `sparring attacks ...`, in this process."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparring", "attacks", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


def names(out: str) -> list[str]:
    """First words of the lines below the heading."""
    return [line.split()[0] for line in out.splitlines()[1:] if line and not line.startswith(" ")]


def test_the_table_has_every_attack_and_column(run: Run) -> None:
    code, out, err = run()
    assert code == 0
    assert names(out) == [info.name for info in INFOS]
    for column in ("scope", "visibility", "norms", "knowledge", "specificity", "approach", "year", "paper", "also in"):
        assert column in out.splitlines()[0]
    assert f"{len(INFOS)} attacks" in err


@pytest.mark.parametrize(("option", "value"), [("sees", "score"), ("sees", "gradient"), ("norm", "L2"), ("norm", "l0")])
def test_filters(run: Run, option: str, value: str) -> None:
    code, out, _ = run(f"--{option}", value)
    wanted = [info.name for info in sp.attacks(**{option: value})]
    assert code == 0
    assert names(out) == wanted
    assert 0 < len(wanted) < len(INFOS)


def test_a_narrow_window_keeps_the_names_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    code, out, err = run()
    assert code == 0
    assert all(f"\n{info.name} " in out for info in INFOS)
    assert "wider window" in " ".join(err.split())


def test_json_is_strict_complete_and_quiet(run: Run) -> None:
    code, out, err = run("--json")
    assert (code, err) == (0, "")
    entries = json.loads(out)
    assert [entry["name"] for entry in entries] == [info.name for info in INFOS]
    for entry, info in zip(entries, INFOS, strict=True):
        assert {name: field["default"] for name, field in entry["fields"].items()} == info.cls().settings()
        assert entry["knowledge"] == info.knowledge
    assert json.loads(run("pgd", "--json")[1]) == next(entry for entry in entries if entry["name"] == "pgd")


def test_markdown_is_the_table_of_the_readme(run: Run) -> None:
    assert run("--markdown") == (0, markdown_table(INFOS) + "\n", "")
    assert run("--markdown", "--sees", "score")[1] == markdown_table(sp.attacks(sees="score")) + "\n"


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_the_card_of_every_attack(run: Run, info: AttackInfo) -> None:
    code, out, err = run(info.name)
    assert (code, err) == (0, "")
    assert out.startswith(info.title + "\n")
    assert info.summary in out
    assert info.paper in out
    table = out.partition("\nfield ")[2].splitlines()
    for name, value in info.cls().settings().items():
        (line,) = (line for line in table if line.split()[:1] == [name] and len(line.split()) > 2)
        shown, said = line.split()[-1], {"True": "true", "False": "false", "None": "none"}.get(str(value), str(value))
        assert said.startswith(shown.removesuffix("…")) if shown.endswith("…") else shown == said
    for line in examples(info):
        assert line in out
        _, command, spec, *_ = shlex.split(line)
        assert command == "attack"
        assert sp.attack(spec).info is info


def test_names_are_found_as_the_library_finds_them(run: Run) -> None:
    assert run("MADRY")[1] == run("pgd")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pgdx",), "did you mean pgd"),
        (("[/red]",), "no attack is called '[/red]'"),
        (("--sees", "all"), "--sees all is not known; it is one of decision, score, gradient"),
        (("--norm", "L7"), "L7"),
        (("--json", "--markdown"), "exclude each other"),
    ],
)
def test_bad_input_is_one_line_and_code_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.fixture
def odd() -> Iterator[AttackInfo]:
    """An attack without fields, whose texts would break markup and Markdown."""
    with patch.dict(REGISTRY):

        @register(
            "odd", title="O|dd [/b]", sees="decision", norms=(sp.L0,), paper="https://example.org/x", year=1999,
            aim="minimum", specificity=("untargeted",),
        )  # fmt: skip
        class Odd(Attack):
            """Does [red]nothing."""

            def run(self, bout: sp.Bout) -> None:
                """Nothing."""

        yield Odd.info


def test_an_odd_attack(run: Run, odd: AttackInfo) -> None:
    code, out, _ = run("odd")
    assert code == 0
    assert "O|dd [/b]" in out
    assert "Does [red]nothing." in out
    assert "It has no fields." in out
    assert examples(odd) == ["sparring attack odd --model mnist-cnn --data mnist5k --n 100 --norm L0"]
    assert plain(odd)["fields"] == {}
    table = run("--markdown", "--sees", "decision", "--norm", "L0")[1].splitlines()
    (line,) = (row for row in table if "`odd`" in row)
    assert line.startswith("| O\\|dd [/b] | `odd` | individual | optimal | L0 | black-box (classes) | untargeted |")
    assert line.endswith("| 1999 | <https://example.org/x> | `tests.unit.cli.test_attacks` | - |")
    assert "odd" in names(run()[1])


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "exclusiveMinimum": 0}, "whole number > 0"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "number >= 0 and <= 1"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number, or none"),
        ({"enum": ["ce", "dlr"], "type": "string"}, "ce, dlr"),
        ({"const": 3}, "3"),
        ({"type": "boolean"}, "true or false"),
        ({"type": ["string", "null"], "examples": ["eot20"]}, "text like eot20, or none"),
        ({}, "value"),
    ],
)
def test_types_in_words(schema: dict[str, Any], text: str) -> None:
    assert type_text(schema) == text
