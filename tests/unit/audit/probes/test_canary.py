"""The canary: what is planted can be found, and an attack that does nothing is noticed before any figure is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack
from sparring.audit.checks.run import early_doubts
from sparring.audit.probes.canary import DEPTH, Trial, canary, control, plant
from sparring.audit.probes.probe import Probes
from sparring.audit.suites.random_noise import RandomNoise
from sparring.audit.suites.stage import Stage, Suite
from sparring.bout import Bout
from sparring.result import Doubt

STAGES = (
    Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
    Stage("PGD", "pgd:steps=10,loss=margin", "iterative"),
    Stage("Square", "square:queries=200", "query"),
)


@dataclass(frozen=True)
class Idle(Attack):
    """Hands back what it was given."""

    info = replace(RandomNoise.info, name="idle", title="Idle")

    def run(self, bout: Bout) -> Tensor:
        return bout.x


class IdleStage(Stage):
    def attack(self) -> Attack:
        return Idle()


IDLE = IdleStage("Idle", "idle", "iterative")


FINE = Probes(
    n=100, training=(), active=False, changed=0.0, gap=8.0, certain=0.1, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=1, top_share=0.12, top_truth=0.11, passes=0,
)  # fmt: skip


def planted(trials: Iterable[Trial]) -> tuple[Doubt, ...]:
    """The doubts about a fine model on which the attacks did this."""
    return early_doubts(replace(FINE, canary=tuple(trials)), 10)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=40).tensors()


@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.3), ("Linf", 2 / 255), ("L2", 1.0), ("L1", 10.0)])
def test_what_is_planted_is_within_reach_and_found(digits: tuple[Tensor, Tensor], norm: str, eps: float) -> None:
    model, threat = sp.load_model("mnist-cnn"), sp.Threat(norm, eps)
    planted = plant(model, digits[0][:8], 10, threat, DEPTH, 0)
    assert planted is not None
    assert bool((planted.logits(digits[0][:8]).argmax(1) == 0).all())
    able = [stage for stage in STAGES if norm != "L1" or stage.family != "query"]
    assert [(trial.found, trial.of) for trial in canary(model, digits[0], 10, threat, able, 0)] == [(8, 8)] * len(able)


def test_a_region_and_a_grid_are_kept(digits: tuple[Tensor, Tensor]) -> None:
    region = torch.zeros(28, 28, dtype=torch.bool)
    region[5:20, 5:20] = True
    x = (digits[0] * 255).round() / 255
    threat = sp.Threat("Linf", 0.2, levels=256, region=region)
    assert all(trial.found == 8 for trial in canary(sp.load_model("mnist-cnn"), x, 10, threat, STAGES, 0))


def test_an_attack_that_does_nothing_is_named(digits: tuple[Tensor, Tensor]) -> None:
    trials = canary(sp.load_model("mnist-cnn"), digits[0], 10, sp.Threat("Linf", 0.3), [STAGES[1], IDLE], 0)
    (doubt,) = planted(trials)
    assert doubt.code == "attack-does-nothing"
    assert doubt.message == "Idle found none of 8 planted successes; it returned every image unchanged"


def test_no_figure_is_believed_when_all_attacks_are_idle(digits: tuple[Tensor, Tensor]) -> None:
    report = sp.audit(
        sp.load_model("mnist-cnn"),
        digits,
        sp.Threat("Linf", 0.3),
        suite=Suite("idle", "", (IDLE,), curves=(), receipt=False),
        claims=["0.97"],
    )
    assert (report.status, report.cause) == ("inconclusive", "canary-missed")
    assert "No figure of it means anything." in report.verdict
    codes = {doubt.code for doubt in report.doubts}
    assert {"canary-missed", "control-stands", "attack-does-nothing"} <= codes


def test_the_control_falls_to_attacks_that_work(digits: tuple[Tensor, Tensor]) -> None:
    model, threat = sp.load_model("mnist-cnn-pgd"), sp.Threat("Linf", 0.3)
    trial = control(model, *digits, 10, threat, STAGES, 0)
    assert trial is not None
    assert list(planted([trial])) == []
    assert control(model, *digits, 10, sp.Threat("Linf", 0.1), STAGES, 0) is None  # a plain net may stand there


def test_the_criteria() -> None:
    fine, half, none = Trial("A", "iterative", 8, 8, 8), Trial("B", "query", 5, 8, 8), Trial("C", "query", 0, 8, 3)
    stands = Trial("control", "control", 20, 32, 32)
    assert [doubt.code for doubt in planted([fine, half])] == []
    assert [doubt.code for doubt in planted([half])] == ["canary-missed"]
    assert [doubt.code for doubt in planted([fine, none])] == ["attack-does-nothing"]
    assert [doubt.code for doubt in planted([fine, stands])] == ["control-stands"]


def test_a_threat_without_room_plants_nothing() -> None:
    x = torch.full((4, 1, 4, 4), 0.5)
    region = torch.zeros(4, 4, dtype=torch.bool)
    region[0, 0] = True
    assert plant(sp.wrap(nn.Flatten()), x.clone(), 3, sp.Threat("Linf", 0.1, region=region), DEPTH, 0) is not None
    x[:, 0, 0, 0] = torch.tensor([0.0, 0.3, 0.6, 1.0])  # in one free pixel all images differ: no one border fits
    assert plant(sp.wrap(nn.Flatten()), x, 3, sp.Threat("Linf", 0.1, region=region), DEPTH, 0) is None


def test_attacks_that_see_only_classes_are_not_tried(digits: tuple[Tensor, Tensor]) -> None:
    """They need a start of another class; a planted classifier may show them none."""
    stages = [Stage("RayS", "rays:queries=50", "query"), STAGES[2]]
    trials = canary(sp.load_model("mnist-cnn"), digits[0], 10, sp.Threat("Linf", 0.3), stages, 0)
    assert [trial.attack for trial in trials] == ["Square"]
