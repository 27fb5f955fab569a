"""Each known bug of another toolkit, re-created, must fail the exam at the check named here; its twin must pass it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from mutants import MUTANTS, GuessesByLabels, Lesson, Plain, RandomStart, WandersOff
from torch import Tensor

from sparring.model import Model
from sparring.norms import _L1, _L2, L1, L2, Norm, _Linf, per
from sparring.referee import Referee
from sparring.rng import Noise
from sparring.testing import CHECKS, check_attack, check_norm
from sparring.threat import Untargeted

SAME = [pytest.param(lesson, id=lesson.mutant.__name__) for lesson in MUTANTS]


@pytest.mark.parametrize("lesson", SAME)
def test_the_exam_catches_the_mutant(lesson: Lesson) -> None:
    assert lesson.mutant.__doc__
    with pytest.raises(AssertionError, match=rf"fails 1 of the exam's checks:\n  {lesson.check} under {lesson.norm}: "):
        check_attack(lesson.mutant, norms=[lesson.norm], checks=[lesson.check])


@pytest.mark.parametrize("lesson", SAME)
def test_the_twin_passes_the_same_check(lesson: Lesson) -> None:
    check_attack(lesson.twin, norms=[lesson.norm], checks=[lesson.check], factor=None)


def test_there_are_lessons_for_many_checks() -> None:
    assert len(MUTANTS) >= 12
    assert len({lesson.check for lesson in MUTANTS}) >= 12
    assert {lesson.check for lesson in MUTANTS} <= set(CHECKS)


def test_the_honest_twin_passes_the_whole_exam() -> None:
    check_attack(Plain, norms=["Linf"])


def test_an_honest_decision_attack_passes_all_that_is_not_about_strength() -> None:
    strength = {"known-optimum", "known-optimum-targeted", "monotone-in-eps", "region"}
    check_attack(GuessesByLabels, checks=[name for name in CHECKS if name not in strength], factor=4)


# --- the victim: guards that leave traces ---------------------------------------------------------------------


def guard(**changes: bool) -> Callable[[Model], Any]:
    """`Model.guard` as the toolkits have it: each change leaves one of its duties out."""

    @contextmanager
    def spoiled(self: Model) -> Iterator[None]:
        net = self.net
        assert isinstance(net, torch.nn.Module)
        modes = [module.training for module in net.modules()]
        buffers = [buffer.clone() for buffer in net.buffers()]
        if not changes.get("keeps_training"):
            net.eval()
        with torch.enable_grad():
            yield
            if changes.get("gradients"):
                torch.stack([weight.sum() for weight in net.parameters() if weight.requires_grad]).sum().backward()
        if changes.get("hooks"):
            net.register_forward_hook(lambda *_: None)
        if changes.get("freezes"):
            net.requires_grad_(False)
        if changes.get("blanket"):
            net.train()
        elif not changes.get("stays_in_eval"):
            for module, mode in zip(net.modules(), modes, strict=True):
                module.training = mode
        if not changes.get("keeps_training"):
            for buffer, before in zip(net.buffers(), buffers, strict=True):
                buffer.copy_(before)

    return spoiled


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({"gradients": True}, "model-untouched", "the gradient of"),
        ({"keeps_training": True}, "model-untouched", "the buffer 1.running_mean"),
        ({"blanket": True}, "model-untouched", "the mode of 3"),
        ({"stays_in_eval": True}, "model-untouched", "the mode of 1"),
        ({"hooks": True}, "model-untouched", "the hooks of"),
        ({"freezes": True}, "model-untouched", "requires_grad of"),
        ({}, "model-untouched-after-error", "the mode of"),
    ],
    ids=["cleverhans", "adv-lib", "torchattacks", "art", "adv-lib-hooks", "frozen-for-ever", "not-after-errors"],
)
def test_the_exam_catches_a_guard_that_leaves_traces(
    changes: dict[str, bool], check: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cleverhans (fast_gradient_method.py:87) fills parameter gradients; adv-lib, foolbox and cleverhans attack in
    train mode and change batch-norm statistics; torchattacks calls model.train() on frozen modules; ART stays in eval;
    adv-lib leaves its hooks. Nobody restores after an error."""
    check_attack(Plain, norms=["Linf"], checks=[check])
    monkeypatch.setattr(Model, "guard", guard(**changes))
    with pytest.raises(AssertionError, match=f"{check} under Linf: .*{says}"):
        check_attack(Plain, norms=["Linf"], checks=[check])


# --- the referee: books that are wrong ------------------------------------------------------------------------


def _credits_nan(self: Untargeted, logits: Tensor) -> Tensor:
    return torch.where(logits.argmax(1) != self.label, 1.0, -1.0)


def _one_too_many(self: Referee, rows: Tensor, queries: int, gradients: int) -> Tensor | None:
    limit = self.budget.queries
    able = torch.ones_like(rows, dtype=torch.bool) if limit is None else self.queries[rows] + queries <= limit + 1
    return None if able.all() else able


def _silent(self: Referee, rows: Tensor, peak: Tensor) -> bool:
    return False


def _from_position(cls: type[Noise], x: Tensor, seed: int) -> Noise:
    return cls(torch.arange(len(x)) * 7919 + seed)


@pytest.mark.parametrize(
    ("place", "spoiled", "check", "who"),
    [
        ((Untargeted, "margin"), _credits_nan, "nan-on-the-way", "all six toolkits: NaN logits, nothing complains"),
        ((Referee, "_able"), _one_too_many, "budget", "foolbox #638: no hard budget; others overshoot by a batch"),
        ((Referee, "note_gradient"), _silent, "zero-gradient", "all: masked gradients are reported as robustness"),
        (
            (Noise, "of"),
            classmethod(_from_position),
            "batch-of-one",
            "torch.manual_seed once: noise by place in the batch",
        ),
    ],
    ids=["nan-is-success", "budget-plus-one", "no-doubt", "noise-by-place"],
)
def test_the_exam_catches_a_referee_whose_books_are_wrong(
    place: tuple[type, str], spoiled: Any, check: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = RandomStart if check == "batch-of-one" else Plain
    check_attack(attack, norms=["Linf"], checks=[check])
    monkeypatch.setattr(*place, spoiled)
    with pytest.raises(AssertionError, match=f"{check} under Linf: "):
        check_attack(attack, norms=["Linf"], checks=[check])


# --- norms: projections that are none -------------------------------------------------------------------------


class RescaledL1(_L1):
    """foolbox and ART (utils.py:514): the L1 "projection" is a rescale."""

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return (d * per((eps / self.size(d)).clamp(max=1), d)).clamp(low, high)


class ProjectedThenClippedL1(_L1):
    """torchattacks, foolbox and most scripts: project on the L1 ball, then clip to the box; loses up to 40 % of eps."""

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        free = torch.full_like(d, 1e3)
        return L1.project(d, eps, -free, free).clamp(low, high)


class ClampedTensorL2(_L2):
    """adv-lib (fast_minimum_norm.py:34): clamps the tensor, not the factor; a point of norm 0.5 "projected" to radius
    2 becomes [1, 1]."""

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return (d * per(eps / self.size(d), d)).clamp(-1, 1).clamp(low, high)


class AllOrNothingL1(_L1):
    """foolbox (SparseL1Descent.project): leaves early only if *all* rows are inside; else rows inside are inflated."""

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        if bool((self.size(d) <= eps).all()):
            return d
        return (d * per(eps / self.size(d), d)).clamp(low, high)


class RescaledL2(_L2):
    """Common: scale to the L2 ball and clip: inside, but not the nearest point once the box takes its share."""

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return (d * per((eps / self.size(d)).clamp(max=1), d)).clamp(low, high)


class StepThatIgnoresTheBox(_L2):
    """FGM elsewhere: eps * g / |g|, clipped: the eps of pixels at their bound is lost."""

    def linear_maximizer(self, g: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return (g / per(self.size(g) / eps, g)).clamp(low, high)


class MeanScaledL2(_L2):
    """cleverhans (optimize_linear): an absolute floor under the norm; 76 % of the L2 steps came out short."""

    def steepest(self, g: Tensor) -> Tensor:
        g = g / 1e7  # the mean over a large batch of small gradients
        return g / per(g.square().flatten(1).sum(1).clamp(min=1e-12).sqrt(), g)


class ClipsToRadiusOnly(_Linf):
    """secml-torch and others: the perturbation is clipped to eps, the box is forgotten until the image is saved."""

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return d.clamp(-per(eps, d), per(eps, d))


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [
        (RescaledL1(), "nearest"),
        (ProjectedThenClippedL1(), "nearest"),
        (ClampedTensorL2(), "inert|inside|idempotent"),
        (AllOrNothingL1(), "inert|idempotent"),
        (RescaledL2(), "nearest"),
        (StepThatIgnoresTheBox(), "linear_maximizer"),
        (MeanScaledL2(), "unit"),
        (ClipsToRadiusOnly(), "inside"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Norm) else None,
)
def test_the_properties_of_norms_catch_the_mutant(mutant: Norm, broken: str) -> None:
    assert type(mutant).__doc__
    with pytest.raises(AssertionError, match=rf"^({broken}): "):
        check_norm(mutant)


@pytest.mark.parametrize("honest", [L1, L2])
def test_the_honest_norms_pass(honest: Norm) -> None:
    check_norm(honest)


def test_a_weak_step_weakens_attacks_and_the_exam_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What StepThatIgnoresTheBox costs: FGSM no longer reaches the optimum of an affine model under L2."""
    check_attack("fgsm", norms=["L2"], checks=["known-optimum"], factor=1.001)
    monkeypatch.setattr(_L2, "linear_maximizer", StepThatIgnoresTheBox.linear_maximizer)
    with pytest.raises(AssertionError, match="known-optimum under L2: at eps"):
        check_attack("fgsm", norms=["L2"], checks=["known-optimum"])


# --- the best so far ------------------------------------------------------------------------------------------


def test_a_referee_that_keeps_the_last_point_loses_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """ART's AutoPGD judges the last iterate only, auto-attack's first checkpoint forgot a success at the start: a
    search that has been there and went on must still be credited."""
    check_attack(WandersOff, norms=["Linf"], checks=["known-optimum"])
    honest = Referee.__init__

    def forgets(self: Referee, *args: Any, **more: Any) -> None:
        honest(self, *args, **more)
        self.keep = "last"

    monkeypatch.setattr(Referee, "__init__", forgets)
    with pytest.raises(AssertionError, match="known-optimum under Linf: at eps"):
        check_attack(WandersOff, norms=["Linf"], checks=["known-optimum"])
