"""What the pages, the help and the remedies name exists: attacks, stages, recipes, methods, commands and options.

A spec is what looks like "name" or "name:field=value,..." in a code span, a code block, a remedy or a help text.
Each is parsed and built. Each `sparring ...` command line is parsed by the command that it names; nothing is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer

import sparring as sp
import sparring.audit.checks.run
from sparring.attacks import find
from sparring.audit.checks.registry import CHECKS
from sparring.audit.inputs.claims import parse_claim
from sparring.audit.suites.from_yaml import load_suite
from sparring.certify.methods import METHODS as CERTIFY_METHODS
from sparring.certify.methods import find_method
from sparring.cli import app
from sparring.cli.app import with_values
from sparring.cli.generate.train import parse_method
from sparring.data import list_data
from sparring.data.registry import parse_spec as read_data_spec
from sparring.defenses import stages
from sparring.defenses.data import sanitizers
from sparring.defenses.training.learners import LINEAR, learner
from sparring.defenses.training.recipes import RECIPES, find_recipe
from sparring.defenses.training.schedule import OPTIMIZERS, find_optimizer
from sparring.errors import InputError
from sparring.generators.objectives import METHODS as GENERATOR_METHODS
from sparring.model import Model
from sparring.poisoning import poisons

STAGES = stages()

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
THREAT = sp.Threat("Linf", 0.3)

FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
SPEC = re.compile(r"(?<![\w/.:=-])([a-z][a-z0-9-]*):([a-z_]+=[^\s\"'`\[\]]+)")
"""name:field=value,... within running text"""
PLACEHOLDER = re.compile(r"(.*=)?[A-Z][A-Z:]*")
"""M in `noise:M`, DIR in `magnet:weights=DIR`"""
NEED_A_FILE = ("distillation", "ensemble")
"""recipes that cannot be built without another net"""


# --- how each kind is built -----------------------------------------------------------------------------------------


@cache
def model() -> Model:
    return sp.load_model("mnist-cnn")


def build_attack(spec: str) -> None:
    assert sp.attack(spec).info.cls is find(spec.partition(":")[0]).cls


def build_stage(spec: str) -> None:
    if spec not in STAGES:  # a bare name may lack the value that it needs: bits is written bits:4
        sp.defend(model(), spec)


def build_recipe(spec: str) -> None:
    recipe, values = find_recipe(spec)
    if not set(values) <= set(recipe.options):
        raise InputError(f"{spec}: the options are {list(recipe.options)}")
    if recipe.name not in NEED_A_FILE:
        recipe.loss(THREAT, dict(values))


def build_data(spec: str) -> None:
    name, _, options = read_data_spec(spec)
    known = {one.name.partition(":")[0]: one.options for one in list_data()}
    if not set(options) <= set(known[name]):
        raise InputError(f"{spec}: the options are {', '.join(known[name])}")


def builders(name: str) -> list[Callable[[str], object]]:
    """Whatever has this name: `pgd` is an attack and a recipe."""
    found: list[Callable[[str], object]] = []
    try:
        find(name)
        found.append(build_attack)
    except InputError:
        pass
    for register, build in (
        (STAGES, build_stage),
        (RECIPES, build_recipe),
        (CERTIFY_METHODS, find_method),
        (GENERATOR_METHODS, parse_method),
        ({one.name.partition(":")[0] for one in list_data() if one.options}, build_data),
        ({one.name for one in poisons()}, sp.poison),
        (sanitizers(), sp.sanitizer),
        ((*LINEAR, "wong"), learner),
        (OPTIMIZERS, find_optimizer),
    ):
        if name in register:
            found.append(build)
    return found


@cache
def trouble(spec: str) -> str | None:
    """Why a spec cannot be built; None where it can, or where it is no spec at all."""
    name, _, rest = spec.partition(":")
    kinds = [build_stage] if "|" in spec and name in STAGES else builders(name)
    if not kinds:
        return f"nothing is called {name!r}" if "=" in rest else None
    if PLACEHOLDER.fullmatch(rest):
        return None
    if re.match(r"[\d./]+=", rest):
        parse_claim(spec)
        return None
    reasons = []
    for build in kinds:
        try:
            build(spec)
        except InputError as error:
            reasons.append(str(error))
        else:
            return None
    return "; ".join(reasons)


# --- where specs and commands are named -----------------------------------------------------------------------------


def spans(text: str) -> list[str]:
    """Code spans outside code blocks, each on one line."""
    return [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text))]


def blocks(text: str) -> list[str]:
    return FENCE.findall(text) + INDENTED.findall(FENCE.sub("", text))


def specs_in(text: str) -> set[str]:
    """Specs within running text or code: those with a field."""
    return {
        f"{name}:{rest.rstrip('.,;)') if '(' not in rest else rest.rstrip('.,;')}" for name, rest in SPEC.findall(text)
    }


def specs_in_page(text: str) -> set[str]:
    whole = {span for span in spans(text) if re.fullmatch(r"[a-z][a-z0-9-]*(:\S+)?", span)}
    return whole | {spec for code in blocks(text) + spans(text) for spec in specs_in(code)}


def whole_lines(code: str) -> list[str]:
    """Lines; one that ends in a backslash goes on in the next."""
    return code.replace("\\\n", " ").splitlines()


def commands_in(text: str) -> list[str]:
    """The `sparring ...` lines of code blocks and code spans."""
    lines = [line.strip().removeprefix("$ ") for code in blocks(text) for line in whole_lines(code)]
    return [line for line in lines + spans(text) if re.match(r"sparring [a-z-]", line)]


def tree(command: Any = None, name: str = "sparring") -> Iterator[tuple[str, Any]]:
    """Each command of the command line, with its name."""
    command = typer.main.get_command(app) if command is None else command
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from tree(below, f"{name} {child}")


def help_texts() -> dict[str, str]:
    found = {}
    for name, command in tree():
        found[name] = command.help or ""
        for option in command.params:
            found[f"{name} {option.name}"] = f"{getattr(option, 'help', None) or ''}"
    return found


def complaint(line: str) -> str | None:
    """Why the command line cannot be: no such command, no such option, too many arguments."""
    words = with_values([word for word in shlex.split(line, comments=True) if word not in ("...", "…")])
    if "|" in words:  # alternatives: `sparring reproduce gan | dcgan | wgan`
        at = words.index("|") - 1
        last = words[at::2]
        return next((bad for one in last if (bad := complaint(shlex.join([*words[:at], one])))), None)
    command, words = typer.main.get_command(app), words[1:]
    name = "sparring"
    while words and getattr(command, "commands", None) and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"{name} has no command {words[0]!r}"
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    context = command.context_class(command, info_name=name)
    try:
        _, extra, _ = command.make_parser(context).parse_args(list(words))
    except Exception as error:  # click's, wherever typer takes it from
        return f"{name}: {error}"
    if extra:
        return f"{name} takes no further {extra}"
    return None


# --- the tests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_spec_on_a_page_can_be_built(page: Path) -> None:
    specs = specs_in_page(page.read_text(encoding="utf-8"))
    assert {spec: why for spec in sorted(specs) if (why := trouble(spec))} == {}


@pytest.mark.parametrize("code", CHECKS)
def test_every_spec_in_a_check_can_be_built(code: str) -> None:
    check = CHECKS[code]
    text = f"{check.remedy} {check.means}"
    specs = set(spans(text)) | specs_in(text)
    assert {spec: why for spec in sorted(specs) if (why := trouble(spec))} == {}


def test_every_spec_in_the_help_can_be_built() -> None:
    found = {spec for text in help_texts().values() for spec in specs_in(text)}
    assert "pgd:steps=100" in found
    assert {spec: why for spec in sorted(found) if (why := trouble(spec))} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_on_a_page_exists(page: Path) -> None:
    lines = commands_in(page.read_text(encoding="utf-8"))
    assert {line: why for line in lines if (why := complaint(line))} == {}


def test_every_command_line_in_the_help_exists() -> None:
    lines = [line for text in help_texts().values() for line in re.findall(r"\[dim\](sparring .*?)\[/dim\]", text)]
    assert len(lines) > 20
    assert {line: why for line in lines if (why := complaint(line))} == {}


def test_the_suite_file_on_the_page_can_be_read(tmp_path: Path) -> None:
    (code,) = [code for code in blocks((ROOT / "docs/audit_speed.md").read_text(encoding="utf-8")) if "stages:" in code]
    (tmp_path / "mine.yaml").write_text(dedent(code), encoding="utf-8")
    suite = load_suite(tmp_path / "mine.yaml")
    assert suite.name == "mine"
    assert [stage.spec for stage in suite.stages] == [
        "fgsm",
        "pgd:steps=100,loss=margin",
        "noise:draws=100",
        "square:queries=2000",
    ]


def test_the_pages_name_specs_and_commands_at_all() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(commands_in(text)) >= 15
    assert "jpeg:quality=75|bits:4" in specs_in_page(text)
    assert "trades:beta=1" in specs_in_page(text)


@pytest.mark.parametrize(
    "spec", ["pgd:view=eot:20", "pgd:stride=3", "pdg:steps=3", "jpeg:quality=75|bits:many=4", "trades:gamma=1"]
)
def test_a_spec_that_is_wrong_is_found(spec: str) -> None:
    assert trouble(spec)


@pytest.mark.parametrize(
    "line",
    [
        "sparring audits --model mnist-cnn",
        "sparring audit --modle mnist-cnn",
        "sparring reproduce gan | dcgam",
        "sparring data mnist",
        "sparring generate trian gan",
    ],
)
def test_a_command_line_that_is_wrong_is_found(line: str) -> None:
    assert complaint(line)
