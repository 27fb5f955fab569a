"""One experiment with poisoned data, from the poison to the page."""

from __future__ import annotations

import json

import pytest
import torch

from sparring.audit.statistics.proportion import Figure, wilson
from sparring.data import load_data
from sparring.defenses.detect.roc import roc
from sparring.defenses.training.learners import learner
from sparring.errors import InputError
from sparring.poisoning.knowledge import Knowledge
from sparring.reproduce.poisoning import Findings, Settings
from sparring.reproduce.poisoning_experiment import Bench, OverSeeds
from sparring.reproduce.poisoning_page import page, roc_points
from sparring.reproduce.poisoning_tables import markdown, tables
from sparring.reproduce.poisoning_tables import text as markdown_text
from sparring.reproduce.poisoning_targets import pick_targets


@pytest.fixture(scope="module")
def bench() -> Bench:
    pytest.importorskip("sklearn")
    train = load_data("mnist5k", "train")
    return Bench(train.first(300), load_data("mnist5k", "test", 200), train.subset(range(3900, 4000)), seeds=(0, 1))


def test_a_mean_over_seeds_has_the_interval_of_the_images_of_one() -> None:
    shares = OverSeeds((Figure(90, 100), Figure(94, 100)))
    assert shares.value == pytest.approx(0.92)
    assert shares.interval == wilson(92, 100)
    assert shares.to_dict()["seeds"] == [0.9, 0.94]


def test_flips_cost_accuracy_and_a_sanitizer_gives_some_back(bench: Bench) -> None:
    victim = learner("logistic:C=1")
    spec = "label-flip:share=0.4"
    plain, defended = bench.experiment(spec, victim), bench.experiment(spec, victim, "knn")
    assert plain.control.value > plain.accuracy.value + 0.1
    assert defended.accuracy.value > plain.accuracy.value + 0.05
    assert defended.dropped_poison is not None
    assert defended.dropped_clean is not None
    assert defended.dropped_poison > defended.dropped_clean
    assert plain.success is None
    assert plain.knows == "everything (data, features, algorithm, parameters)"
    assert bench.experiment(None, victim).accuracy == plain.control
    sets = [bench.poisoned(spec, victim, bench_knows(), seed).manifest["fingerprint"] for seed in (0, 1)]
    assert sets[0] != sets[1], "each seed has its own poison"


def bench_knows() -> Knowledge:
    return Knowledge()


def test_a_backdoor_in_a_linear_victim_is_measured_without_the_images_of_its_class(bench: Bench) -> None:
    one = bench.experiment("badnets:share=0.1,target=3", learner("logistic:C=10"))
    assert one.success is not None
    assert one.control_success is not None
    assert one.success.value > 0.7
    assert one.control_success.value < 0.2
    assert one.success.runs[0].of == int((bench.test.labels != 3).sum())


def test_defenses_of_nets_refuse_a_linear_victim(bench: Bench) -> None:
    with pytest.raises(InputError, match="needs a net"):
        bench.experiment(None, learner("logistic"), "fine-pruning:0.5")


def test_the_findings_become_a_page_tables_and_json(bench: Bench) -> None:
    victim, settings = learner("logistic:C=1"), Settings(shares=(0.0, 0.4), seeds=(0, 1))
    found = Findings(settings)
    for defense in ("none", "knn"):
        found.flips[victim.spec, "random", defense] = [
            bench.experiment(spec, victim, defense) for spec in (None, "label-flip:share=0.4")
        ]
    found.backdoors = [bench.experiment("badnets:share=0.1", victim, defense) for defense in ("none", "knn")]
    found.strip = {"badnets": roc(torch.tensor([0.1, 0.2]), torch.tensor([0.3]))}
    plain = json.loads(json.dumps(found.to_dict()))
    assert set(plain["backdoor"]) >= {"success", "clean_accuracy", "control_clean_accuracy", "knows"}
    assert plain["backdoor"]["success"] == plain["backdoors"][0]["success"]["value"]
    assert plain["label_flip"]["shares"] == [0.0, 0.4]
    assert [len(curve["accuracy"]) for curve in plain["label_flip"]["curves"]] == [2, 2]
    text = page(found)
    assert text.count("<svg") == 3
    assert text.count("data:image/png;base64") >= 2 * 8
    assert "label-flip:share=0.4" in text
    assert "http" not in text.replace("http-equiv", "")
    for title, table in tables(found):
        assert f"**{title}**" in markdown_text(found)
        assert len({len(row) for row in table}) == 1
        assert markdown(table).count("\n") == len(table)


def test_the_roc_goes_up_from_nothing_to_everything() -> None:
    points = roc_points(roc(torch.tensor([0.1, 0.4, 0.4]), torch.tensor([0.4, 0.9])))
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert (pytest.approx(2 / 3), 1.0) in points
    assert points == sorted(points)


def test_targets_are_right_everywhere_and_aim_at_the_second_best_class() -> None:
    data = load_data("mnist5k", "test", 30)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    x, y = data.tensors()
    for number, label in pick_targets([net], data, 3):
        order = net(x[number][None])[0].argsort(descending=True).tolist()
        assert order[0] == int(y[number])
        assert order[1] == label
