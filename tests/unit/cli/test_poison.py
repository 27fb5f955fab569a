"""`sparring poison`, `sparring defend data` and `audit --training-data`: files, figures and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sparring.cli import app
from sparring.data import load_data
from sparring.errors import SparringError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("poison") / "flipped"
    result = run("poison", "label-flip:share=0.2", "--data", "mnist5k", "--split", "train", "--n", 500, "--seed", 0,
                 "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    return out


def test_poison_leaves_a_manifest_and_a_set_that_can_be_read_again(flipped: Path) -> None:
    manifest = json.loads((flipped / "manifest.json").read_text())
    clean, data = load_data("mnist5k", "train", 500), load_data(f"poisoned:{flipped}", "train")
    assert len(manifest["changed"]) == 100
    assert (data.labels != clean.labels).nonzero().flatten().tolist() == manifest["changed"]
    assert manifest["data"] == "mnist5k"
    assert manifest["knows"] == {"data": True, "features": True, "algorithm": True, "parameters": True}


def test_a_manifest_is_repeated(flipped: Path, tmp_path: Path) -> None:
    result = run("poison", "--repeat", flipped / "manifest.json", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again" / "manifest.json").read_text() == (flipped / "manifest.json").read_text()


def test_the_knowledge_is_printed_and_kept(tmp_path: Path) -> None:
    result = run("poison", "badnets:share=5%", "--n", 100, "--knows", "features", "--json", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    assert "adversary knows  features" in result.output
    assert json.loads((tmp_path / "m.json").read_text())["knows"]["data"] is False


def test_defend_data_finds_the_flips_and_writes_what_it_keeps(flipped: Path, tmp_path: Path) -> None:
    result = run("defend", "data", "--method", "knn", "--data", f"poisoned:{flipped}", "--json", tmp_path / "s.json",
                 "--out", tmp_path / "kept.npz")  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    assert len(found["scores"]) == len(found["keep"]) == found["n"] == 500
    assert found["dropped"] == [k for k, kept in enumerate(found["keep"]) if not kept]
    assert found["poison"]["changed"] == 100
    assert found["poison"]["dropped_poison"] > 0.7 > 0.2 > found["poison"]["dropped_clean"]
    kept = load_data(f"npz:{tmp_path / 'kept.npz'}", "train")
    assert len(kept) == sum(found["keep"])
    assert kept.classes == tuple("0123456789")


def test_defend_data_says_nothing_about_poison_where_no_manifest_tells(tmp_path: Path) -> None:
    result = run("defend", "data", "--data", "mnist5k", "--n", 200, "--method", "activation", "--model", "mnist-cnn",
                 "--json", tmp_path / "s.json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "s.json").read_text())["poison"] is None
    assert "of the poison" not in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["poison"], "say which attack"),
        (["poison", "label-flop:share=0.2"], "did you mean label-flip"),
        (["poison", "badnets", "--knows", "all"], "write everything, nothing"),
        (["poison", "badnets", "--victim", "forest"], "no learner"),
        (["poison", "--repeat", "nowhere/manifest.json"], "holds no manifest.json"),
        (["defend", "data", "--method", "magic"], "no sanitizer"),
        (["reproduce", "poisoning", "--part", "everything"], "the parts are"),
        (["reproduce", "poisoning", "--victim", "forest"], "no learner"),
        (["reproduce", "poisoning", "--defense", "magic"], "no sanitizer"),
    ],
)
def test_mistakes_are_one_clear_line(words: list[str], said: str) -> None:
    result = run(*words)
    assert isinstance(result.exception, SparringError)
    assert said in str(result.exception)


def test_the_list_names_every_attack() -> None:
    from sparring.poisoning import poisons

    result = run("poison", "--list")
    assert result.exit_code == 0
    assert all(info.name in result.output for info in poisons())


@pytest.mark.long
def test_an_audit_reports_the_training_data_beside_the_false_positive_rate(flipped: Path, tmp_path: Path) -> None:
    result = run("audit", "--model", "mnist-cnn", "--n", 40, "--eps", "0.1", "--suite", "quick", "--training-data",
                 f"poisoned:{flipped}", "--out", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    found = {one["detector"]: one for one in
             json.loads((tmp_path / "run" / "training_data.json").read_text())["detectors"]}  # fmt: skip
    assert found["knn"]["beyond_control"]
    assert found["knn"]["false_positive_rate"]["of"] == 1000, "more images than the audit attacks"
    assert "false-positive rate on the clean control" in result.output
