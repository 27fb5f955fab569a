"""`sparring train`: files, card and refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
from typer.testing import CliRunner, Result

from sparring.cli import app
from sparring.data import load_data
from sparring.errors import InputError, SparringError
from sparring.zoo.nets import make_net


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "--device", "cpu", *map(str, arguments)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    result = run(
        *("--net", "wong", "--data", "mnist5k", "--limit", 200, "--epochs", 2, "--batch-size", 50, "--out", out),
        *("--recipe", "pgd", "--eps", "0.1", "--steps", 2, "--check", 4, "--seed", 3),
    )
    return out, result


def test_leaves_weights_card_and_checkpoint(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert result.exit_code == 0, result.output
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {
        *("weights.safetensors", "card.json", "checkpoint/last.safetensors"),
        *("curves.png", "history.csv", "report.html", "report.json"),
    }
    table = (out / "history.csv").read_text().splitlines()
    assert "robust_accuracy" in table[0].split(",")
    assert len(table) == 3, "a heading and two epochs"
    net = make_net("wong")
    net.load_state_dict(safetensors.torch.load_file(out / "weights.safetensors"))


def test_the_card_says_what_was_done(trained: tuple[Path, Result]) -> None:
    out, _ = trained
    card = json.loads((out / "card.json").read_text())
    assert card["name"] == "tiny"
    assert card["net"] == {"name": "wong", "in_channels": 1, "num_classes": 10, "size": 28, "parameters": 166_406}
    assert card["data"]["fingerprint"] == load_data("mnist5k", "train", 200).fingerprint()
    assert card["training"]["seed"] == 3
    assert card["training"]["recipe"]["attack"] == "pgd:steps=2"
    assert card["training"]["recipe"]["threat"]["eps"] == 0.1
    assert [record["epoch"] for record in card["history"]] == [1, 2]
    assert card["seconds"] > 0
    assert {"torch", "sparring", "python", "lightning-fabric"} <= card["versions"].keys()
    contents = (out / "weights.safetensors").read_bytes()
    assert card["weights"]["sha256"] == hashlib.sha256(contents).hexdigest()
    assert card["weights"]["bytes"] == len(contents)


def test_the_card_has_clean_and_robust_figures_with_denominators(trained: tuple[Path, Result]) -> None:
    metrics = json.loads((trained[0] / "card.json").read_text())["metrics"]
    assert metrics["clean"]["images"] == metrics["data"]["images"] == 1000
    assert metrics["clean"]["accuracy"] > 0.15, "better than chance"
    robust = metrics["robust"]
    assert robust["images"] == 4
    assert robust["threat"]["eps"] == 0.1
    assert {"apgd-t", "square"} <= {leg["attack"].partition(":")[0] for leg in robust["attacks"]}, "an audit"
    assert robust["verdict"]
    assert robust["accuracy"] == robust["attacks"][-1]["after"] / 4 <= robust["correct_before"] / 4


def test_tables_go_to_stdout_and_progress_to_stderr(trained: tuple[Path, Result]) -> None:
    result = trained[1]
    assert "clean accuracy" in result.stdout
    assert "166,406 parameters" in result.stdout
    lines = [line for line in result.stderr.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"], "one line an epoch where there is no terminal"
    assert "epoch 1/2" not in result.stdout


def test_resume_of_a_finished_run_gives_the_same_weights(trained: tuple[Path, Result]) -> None:
    out, _ = trained
    before = (out / "weights.safetensors").read_bytes()
    (out / "weights.safetensors").unlink()
    result = run(
        *("--net", "wong", "--data", "mnist5k", "--limit", 200, "--epochs", 2, "--batch-size", 50, "--out", out),
        *("--recipe", "pgd", "--eps", "0.1", "--steps", 2, "--check", 0, "--seed", 3, "--resume"),
    )
    assert result.exit_code == 0, result.output
    assert "resumed after epoch 2 of 2" in result.stderr
    assert (out / "weights.safetensors").read_bytes() == before


def test_excluded_images_are_not_trained_on(tmp_path: Path) -> None:
    result = run(
        *("--net", "wong", "--data", "mnist5k", "--epochs", 1, "--out", tmp_path / "none"),
        *("--exclude", "mnist5k:test", "--exclude", "mnist5k:train"),
    )
    assert isinstance(result.exception, InputError), "nothing is left of the data"
    result = run(
        *("--net", "wong", "--data", "mnist5k", "--epochs", 1, "--out", tmp_path / "some", "--limit", 100),
        *("--exclude", "mnist5k:test"),
    )
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "some" / "card.json").read_text())
    assert card["data"]["excluded"] == [{"spec": "mnist5k", "split": "test", "images": 0}]
    assert card["metrics"]["robust"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--net", "wrong"], "no net is called 'wrong'"),
        (["--net", "wong", "--recipe", "pdg"], "no recipe is called 'pdg'"),
        (["--net", "wong", "--recipe", "pgd"], "--eps"),
        (["--net", "wong", "--eps", "big"], "'big' is not a number"),
        (["--net", "wong", "--eps", "0.3", "--suite", "hard"], "no suite is called"),
        (["--net", "wong", "--recipe", "pgd:beta=2", "--eps", "0.3"], "no option 'beta'"),
        (["--net", "wong", "--exclude", "mnist5k"], "SPEC:SPLIT"),
        (["--net", "wong", "--data", "nonsense"], "nonsense"),
        (["--net", "wong", "--precision", "8-bit"], "8-bit"),
        (["--net", "wong", "--augment", "corp"], "no augmentation is called 'corp'"),
        (["--net", "wong", "--optimizer", "sgd:decay=1"], "no setting 'decay'"),
    ],
)
def test_mistakes_are_one_clear_line_before_anything_is_trained(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("--epochs", 1, "--limit", 50, "--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, SparringError), result.output
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "out" / "checkpoint").exists()
