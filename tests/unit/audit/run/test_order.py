"""The order of a suite, learnt from an earlier audit: closed cases, then a real one."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.cascade.controls import longest
from sparring.audit.report.report import Report
from sparring.audit.run.folder import Run
from sparring.audit.run.order import KEY, Measured, ordered_by, reordered
from sparring.audit.suites.find import suite as find_suite
from sparring.audit.suites.stage import Stage, Suite
from sparring.cli.app import app
from sparring.cli.audit.options import InsteadOptions
from sparring.cli.options import flat, words_of
from sparring.errors import InputError

THREAT = sp.Threat("Linf", 0.1)
DEAR_FIRST = ["square:queries=300", "pgd:steps=10", "fgsm"]
"Square finds what PGD finds, for more passes"


def suite(*names: str, **changed: Stage) -> Suite:
    """A suite of stages that are called like their specs."""
    return Suite("made up", "", tuple(changed.get(name, Stage(name, name, "iterative")) for name in names))


def measured(images: int, **known: tuple[int, Collection[int]]) -> dict[str, Measured]:
    """By attack: (passes an image, images it breaks)."""
    return {name: Measured((price,) * images, frozenset(broke)) for name, (price, broke) in known.items()}


def order(made: Suite) -> str:
    return " ".join(stage.spec for stage in made.stages)


def test_the_cheap_attack_goes_before_the_dear_one_that_breaks_the_same() -> None:
    assert (
        order(reordered(suite("dear", "cheap"), measured(4, dear=(100, (0, 1, 2)), cheap=(3, (0, 1))))) == "cheap dear"
    )


def test_what_counts_is_the_images_newly_broken_a_pass() -> None:
    """b alone breaks more a pass than c, but after a it breaks one image for 3 * 2 passes, and c one for 3 * 1."""
    known = measured(6, a=(1, (0, 1, 2)), b=(2, (0, 1, 2, 3)), c=(1, (4,)), d=(9, (5,)))
    assert order(reordered(suite("d", "c", "b", "a"), known)) == "a c b d"


def test_passes_are_those_for_the_images_that_still_stand() -> None:
    """Both break one of the two images that a leaves; b is dear only for those that are broken by then."""
    known = measured(4, a=(1, (0, 1))) | {
        "b": Measured((90, 90, 2, 2), frozenset({2})),
        "c": Measured((1, 1, 3, 3), frozenset({3})),
    }
    assert order(reordered(suite("c", "b", "a"), known)) == "a b c"


def test_what_breaks_nothing_new_goes_last_the_cheapest_first() -> None:
    known = measured(3, much=(50, ()), less=(7, (0,)), best=(5, (0, 1)), none=(6, ()))
    assert order(reordered(suite("much", "less", "best", "none"), known)) == "best none less much"


def test_two_together_make_a_third_redundant_though_neither_does() -> None:
    """No pair of attacks tells: c breaks an image that a does not break, and one that b does not."""
    known = measured(5, a=(1, (0, 1)), b=(1, (2, 3)), c=(2, (1, 2)), d=(9, (4,)))
    assert order(reordered(suite("c", "d", "b", "a"), known)) == "b a d c"


def test_among_equals_the_order_of_the_suite_holds() -> None:
    known = measured(4, a=(2, (0,)), b=(2, (1,)), c=(4, (2, 3)), d=(3, ()), e=(3, ()))
    for names in (("a", "b", "c", "e", "d"), ("b", "a", "c", "d", "e")):
        assert order(reordered(suite(*names), known)) == " ".join(names)


def test_stages_that_were_not_measured_or_have_near_stay_behind_in_their_order() -> None:
    near, noise = Stage("near", "near", "iterative", min_progress=0.5), Stage("noise", "noise", "noise", min_progress=1)
    hidden = Stage("hidden", "hidden", "query", full_on_subset=False)
    made = suite("near", "a", "noise", "new", "hidden", "b", near=near, noise=noise, hidden=hidden)
    known = measured(2, a=(9, (0,)), b=(1, (0, 1)), near=(1, (0, 1)), noise=(1, (0, 1)), hidden=(1, (0, 1)))
    assert order(reordered(made, known)) == "b a near noise new hidden"
    assert replace(reordered(made, known), stages=()) == replace(made, stages=())


def test_the_longer_searches_are_the_same_in_any_order() -> None:
    stages = [Stage("", spec, "iterative") for spec in ("pgd:loss=margin", "apgd-dlr:steps=50", "pgd:loss=dlr")]
    assert {longest(each).spec for each in (stages, stages[::-1], stages[1:] + stages[:1])} == {"apgd-dlr:steps=50"}  # type: ignore[union-attr]


# --- a real one ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """An audit whose dear attack stands first, in a folder."""
    folder = tmp_path_factory.mktemp("before")
    report = audit(folder=folder)
    report.to_json(folder / "report.json")
    return folder, report


def audit(**more: Any) -> Report:
    data = sp.load_data("mnist5k", n=30).tensors()
    curves = (Stage("FGSM", "fgsm", "single-step"),)
    small = replace(find_suite(DEAR_FIRST), subset=6, curves=curves)
    return sp.audit(sp.load_model("mnist-cnn"), data, THREAT, suite=small, **more)


def broken(report: Report) -> list[int]:
    return [row["index"] for row in report.samples if row["status"] == "broken"]


def test_the_learnt_order_gives_the_same_verdicts_for_fewer_passes(before: tuple[Path, Report]) -> None:
    folder, first = before
    again = audit(order_from=folder)
    assert broken(again) == broken(first)
    specs = [one.stage.spec for one in again.attacks]
    assert sorted(specs) == sorted(DEAR_FIRST)
    assert specs[0] == "fgsm"
    assert specs.index("pgd:steps=10") < specs.index(DEAR_FIRST[0])
    assert again.passes < 0.6 * first.passes
    assert again.settings["stages"] == specs
    assert again.settings["order_from"] == {
        "run": str(folder), "model": "mnist-cnn", "threat": "Linf 0.1", "measured": DEAR_FIRST,
    }  # fmt: skip
    assert first.settings["order_from"] is None


def test_a_report_says_what_each_attack_does_by_itself(before: tuple[Path, Report]) -> None:
    plain = before[1].to_dict()
    found = {one["spec"]: one for one in plain[KEY]}
    assert list(found) == DEAR_FIRST
    for one in plain["attacks"]:
        alone, mine = one["alone"], found[one["spec"]]
        assert len(mine["broke"]) == alone["of"] - alone["hits"]
        assert len(mine["passes"]) == alone["of"]
        assert sum(mine["passes"]) <= one["queries"] + one["gradients"]


def test_the_order_is_part_of_what_a_run_is(before: tuple[Path, Report], tmp_path: Path) -> None:
    data = sp.load_data("mnist5k", n=30).tensors()
    usual, learnt = (
        plan_audit(sp.load_model("mnist-cnn"), data, THREAT, suite=DEAR_FIRST, order_from=run)
        for run in (None, before[0])
    )
    Run.open(usual, tmp_path).store.save(0, ({}, {}))
    with pytest.raises(InputError, match="stages"):
        Run.open(learnt, tmp_path, resume=True)


def test_the_option_is_kept_with_the_run(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(json.dumps({"model": "mnist-cnn", "order_from": "runs/old"}))
    kept = InsteadOptions().of(tmp_path)
    assert kept.settings.order_from == Path("runs/old")
    assert "--order-from=runs/old" in words_of(flat(kept))


# --- what is no report to learn from ------------------------------------------------------------------------------


def test_a_folder_without_a_report_is_refused_in_one_line(tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app, ["audit", "-m", "mnist-cnn", "--n", "5", "--eps", "0.1", "--order-from", str(tmp_path)]
    )
    assert isinstance(said.exception, InputError)  # the console script makes exit code 2 of it
    assert "holds no report.json" in str(said.exception)


def unsealed(document: dict[str, Any]) -> dict[str, Any]:
    """As version 0.1 wrote it, which did not seal its reports."""
    return {name: value for name, value in document.items() if name != "seal"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "sparring-audit-0"}, "its format is 'sparring-audit-0'"),
        ({KEY: None}, "is damaged"),
        ({KEY: [{"spec": "fgsm", "passes": [1, 2], "broke": [2]}]}, "is damaged"),
        ({KEY: [{"spec": "fgsm", "passes": [1, "2"], "broke": []}]}, "is damaged"),
        ({KEY: [{"spec": s, "passes": p, "broke": []} for s, p in (("fgsm", [1]), ("pgd", [1, 1]))]}, "is damaged"),
        ({KEY: []}, "none of the attacks of the suite 'made up'"),
    ],
)
def test_another_report_is_refused_in_one_line(
    before: tuple[Path, Report], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(unsealed(json.loads((before[0] / "report.json").read_text())) | change))
    with pytest.raises(InputError, match=says) as caught:
        ordered_by(suite("fgsm"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_report_of_an_older_version_is_refused(before: tuple[Path, Report], tmp_path: Path) -> None:
    document = unsealed(json.loads((before[0] / "report.json").read_text()))
    del document[KEY]
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="audit once more"):
        ordered_by(suite("fgsm"), tmp_path)
