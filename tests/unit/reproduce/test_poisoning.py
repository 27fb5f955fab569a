"""One experiment with poisoned data, from the poison to the page."""

from __future__ import annotations

import json

import pytest
import torch

from sparring.audit.statistics.mcnemar import mcnemar
from sparring.audit.statistics.proportion import Figure, wilson
from sparring.data import load_data
from sparring.defenses.detect.roc import roc
from sparring.defenses.training.learners import NetLearner, learner
from sparring.errors import InputError
from sparring.poisoning.base import Poisoned
from sparring.poisoning.knowledge import Knowledge
from sparring.reproduce.poisoning import Findings, Settings
from sparring.reproduce.poisoning_detectors import Detection, detect
from sparring.reproduce.poisoning_experiment import Bench, OverSeeds, assumed, check_defense
from sparring.reproduce.poisoning_page import page, roc_points
from sparring.reproduce.poisoning_tables import markdown, tables
from sparring.reproduce.poisoning_tables import text as markdown_text
from sparring.reproduce.poisoning_targets import Aimed, aimed, pick_targets


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


@pytest.mark.long
def test_clipped_gradients_bound_what_flips_do_to_a_linear_victim(bench: Bench) -> None:
    plain, clipped = (
        bench.experiment("label-flip:share=0.3", learner("logistic:C=10"), defense)
        for defense in ("none", "clipped:clip=0.5,noise=0.05")
    )
    assert clipped.accuracy.value > plain.accuracy.value + 0.05
    assert clipped.control != plain.control, "the control has the same defense"


def test_the_trusted_images_alone_do_not_depend_on_the_poison(bench: Bench) -> None:
    check_defense("trusted")
    one = bench.experiment("label-flip:share=0.4", learner("logistic:C=1"), "trusted")
    assert one.accuracy == one.control
    assert one.accuracy.runs[0] == bench._right(learner("logistic:C=1").learn(bench.trusted))


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


def test_a_page_about_detectors_alone_says_nothing_of_samples_and_seeds() -> None:
    found = Findings(Settings(), detectors=[Detection("neighbours", (0.1, 0.2), (0.3, 0.4))])
    text = page(found)
    assert "neighbours: 1.000" in text
    assert "Poisoned samples" not in text
    assert "mean over" not in text


def test_the_roc_goes_up_from_nothing_to_everything() -> None:
    points = roc_points(roc(torch.tensor([0.1, 0.4, 0.4]), torch.tensor([0.4, 0.9])))
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert (pytest.approx(2 / 3), 1.0) in points
    assert points == sorted(points)


def test_targets_are_right_everywhere_and_aim_at_the_second_best_class() -> None:
    data = load_data("mnist5k", "test", 60)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([data.tensors()[0][data.labels == k].mean(0).flatten() for k in range(10)]))
        net[1].bias.copy_(-net[1].weight.square().sum(1) / 2)  # the nearest class mean
    x, y = data.tensors()
    chosen = pick_targets([net], data, 20)
    for number, label in chosen:
        order = net(x[number][None])[0].argsort(descending=True).tolist()
        assert order[0] == int(y[number])
        assert order[1] == label
    assert len({number for number, _ in chosen}) == 20
    assert pick_targets([net], data, 8) == chosen[:8], "fewer targets are some of the same"
    assert pick_targets([net], data, 20, seed=1) != chosen
    with pytest.raises(InputError, match="61 targets were asked for"):
        pick_targets([net], data, 61)


def aim(attack: str, poisoned: Poisoned, won: list[list[int]]) -> Aimed:
    table = torch.tensor(won, dtype=torch.bool)
    return Aimed(attack, "transfer", "everything", f"{attack}:share=0.1", table, torch.zeros_like(table), poisoned)


def test_attacks_on_the_same_targets_are_compared_target_by_target(bench: Bench) -> None:
    poisoned = bench.poisoned("label-flip:share=0.1", learner("logistic"), bench_knows(), 0)
    weak = aim("feature-collision", poisoned, [[1, 1, 0], [0, 0, 1], *[[0, 0, 0]] * 6])
    strong = aim("bullseye", poisoned, [[1, 1, 1]] * 7 + [[0, 0, 0]])
    assert weak.mostly.tolist() == [True] + [False] * 7
    assert weak.success.value == pytest.approx(3 / 24)
    assert strong.success.runs == (Figure(7, 8),) * 3, "seeds do not make more targets"
    assert strong.against(weak) == mcnemar(6, 0) == weak.against(strong)
    found = Findings(Settings(), aimed=[weak, strong])
    ((title, table),) = tables(found)
    assert "the adversary knows everything" in title
    assert [row[-1] for row in table[1:]] == ["-", "0.031"]
    assert [row[-2] for row in table[1:]] == ["1 of 8", "7 of 8"]
    assert json.loads(json.dumps(found.to_dict()))["targets"][1]["targets_won"] == 7


@pytest.mark.parametrize(
    ("defense", "words"),
    [("knnn", "knn"), ("trimmed:rate={share}", "no field 'rate'"), ("fine-pruning:half", "fine-pruning:0.5"),
     ("clipped:noise=loud", "noise")],
)  # fmt: skip
def test_mistakes_in_a_defense_are_found_before_anything_is_trained(defense: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_defense(defense)


def test_the_defender_takes_the_share_of_poison_for_five_points_more() -> None:
    assert assumed("trimmed:share={share},rounds=1", 0.2) == "trimmed:share=0.25,rounds=1"
    for defense in ("none", "knn", "trimmed:share={share}", "fine-pruning:0.5", "clipped:clip=1,noise=0.05"):
        check_defense(defense)


def test_a_new_last_layer_is_fooled_by_poison_with_the_target_s_own_pixels() -> None:
    train, test = load_data("mnist5k", "train", 200), load_data("mnist5k", "test", 20)
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    victim = learner("wong:epochs=30,lr=0.01")
    assert isinstance(victim, NetLearner)
    body.insert(1, torch.nn.Identity())
    attack = "feature-collision:share=0.1,eps=1,steps=40,beta=0"  # nothing forbids the very same picture
    (one,) = aimed(
        [attack], train, test, victim, targets=[(0, (int(test.labels[0]) + 1) % 10)], seeds=(0, 1), body=body
    )
    assert one.won.tolist() == [[True, True]]
    assert one.control.tolist() == [[False, False]]
    assert one.setting == "transfer"


def test_every_net_of_a_run_has_its_own_seed_and_every_run_its_own_nets() -> None:
    train = load_data("mnist5k", "train", 200)
    clean = load_data("mnist5k", "test", 10).tensors()[0]
    victim = learner("wong:epochs=1")
    assert isinstance(victim, NetLearner)
    first, second, again = (
        {one.detector: one for one in detect(2, train, clean, victim, steps=2, seed=seed)} for seed in (0, 1, 0)
    )
    assert first == again
    name = "spectral signatures"
    assert first[name].clean != second[name].clean, "another half of the images, another net"
    assert {len(one.clean) for one in first.values()} == {len(one.backdoored) for one in first.values()} == {1}
