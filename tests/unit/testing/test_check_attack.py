"""The exam as a user meets it: what it takes, how it fails, how its demands are set."""

from __future__ import annotations

from typing import ClassVar
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.losses import cross_entropy
from sparring.norms import L2, NORMS, Linf, Norm
from sparring.testing import CHECKS, check_attack, check_norm
from sparring.testing.fixtures import affine, curved, images, living, pair


@pytest.mark.parametrize("it", [sp.FGSM(), sp.FGSM, "fgsm:loss=margin"])
def test_an_attack_a_class_or_a_spec_can_be_examined(it: Attack | type[Attack] | str) -> None:
    check_attack(it, norms=["linf", L2], checks=["known-optimum", "counts"], factor=1.001)


def make(strength: float = 1.0, **changes: object) -> type[Attack]:
    """FGSM of a certain strength, in no register."""

    class Own(Attack):
        """A user's own attack, one step long."""

        share: float = strength
        exam_factor: ClassVar[object] = changes.get("exam_factor")

        def run(self, bout: Bout) -> Tensor:
            g = bout.grad(bout.x, cross_entropy)
            return bout.x + self.share * (bout.ball.linear_maximizer(g) - bout.x)

    with patch.dict("sparring.attack.REGISTRY"):
        made: type[Attack] = register("own", title="Own", sees="gradient", norms=(L2, Linf), paper="", year=2024)(Own)
    return made


def test_an_own_attack_passes_the_whole_exam_without_being_listed() -> None:
    check_attack(make(), norms=["L2"])


def test_every_failure_is_named_with_check_norm_and_what_was_found() -> None:
    with pytest.raises(AssertionError) as failure:
        check_attack(make(0.5), checks=["known-optimum", "inside-threat", "pixels-at-bounds"])
    first, *lines = str(failure.value).splitlines()
    assert first == "own fails 4 of the exam's checks:"
    assert [line.strip().partition(": ")[0] for line in lines[:-1]] == [
        "known-optimum under L2",
        "known-optimum under Linf",
        "pixels-at-bounds under L2",
        "pixels-at-bounds under Linf",
    ]
    assert "still stand, but the optimum is" in lines[0]


def test_a_weak_attack_learns_which_factor_it_may_declare() -> None:
    with pytest.raises(AssertionError) as failure:
        check_attack(make(0.55), checks=["known-optimum", "inside-threat", "pixels-at-bounds"])
    advice = str(failure.value).splitlines()[-1]
    assert "too weak rather than wrong under L2, Linf" in advice
    declared = {"L2": 2.0, "Linf": 2.0}  # 1 / 0.55 = 1.8: the next on the ladder
    assert 'exam_factor: ClassVar = {"L2": 2, "Linf": 2}' in advice
    check_attack(make(0.55, exam_factor=declared), checks=["known-optimum", "inside-threat", "pixels-at-bounds"])


def test_an_attack_that_is_wrong_is_not_called_weak() -> None:
    with pytest.raises(AssertionError) as failure:
        check_attack(make(0.0), checks=["known-optimum"])
    assert "too weak" not in str(failure.value)


def test_an_attack_without_a_docstring_is_listed_by_its_title() -> None:
    with patch.dict("sparring.attack.REGISTRY"):

        @register("bare", title="Bare", sees="gradient", norms=(L2,), paper="", year=2024)
        class Bare(Attack):
            steps: int = 3

            def run(self, bout: Bout) -> Tensor:
                return bout.x

    assert Bare().info.summary == "Bare."


def test_a_crash_is_a_failure_too() -> None:
    class Crashes(Attack):
        """Raises."""

        def run(self, bout: Bout) -> None:
            raise ZeroDivisionError("oh")

    with patch.dict("sparring.attack.REGISTRY"):
        made = register("crashes", title="C", sees="gradient", norms=(Linf,), paper="", year=2024)(Crashes)
    with pytest.raises(AssertionError, match="counts under Linf: ZeroDivisionError: oh"):
        check_attack(made, checks=["counts"])


def test_how_strong_it_must_be_is_said_by_the_caller_by_norm_or_by_the_class() -> None:
    with pytest.raises(AssertionError, match="known-optimum under L2"):
        check_attack(make(0.5), norms=["L2"], checks=["known-optimum"])
    check_attack(make(0.5), norms=["L2"], checks=["known-optimum"], factor=3)
    check_attack(make(0.5), norms=["L2"], checks=["known-optimum"], factor={"L2": 3})
    check_attack(make(0.5, exam_factor=3.0), norms=["L2"], checks=["known-optimum"])
    with pytest.raises(AssertionError, match=r"\(1\.05 times that was granted\)"):
        check_attack(make(0.5), norms=["L2"], checks=["known-optimum"], factor={"Linf": 3})


def test_unknown_checks_are_refused_with_near_misses() -> None:
    with pytest.raises(
        InputError, match=r"no check is called 'optimum'; did you mean known-optimum or below-optimum\?"
    ):
        check_attack(sp.FGSM(), checks=["optimum"])


def test_checks_that_do_not_apply_are_left_out() -> None:
    square = sp.attack("square:queries=5")
    assert CHECKS["zero-gradient"].norms(square.info) == ()
    check_attack(square, checks=["zero-gradient"])
    assert len(CHECKS["known-optimum"].norms(square.info)) == 3
    assert len(CHECKS["settings"].norms(square.info)) == 1


def test_every_check_says_what_it_demands() -> None:
    assert len(CHECKS) >= 25
    for check in CHECKS.values():
        assert check.summary.endswith("."), check.name
        assert len(check.summary) > 20


def test_papers_are_the_same_every_time_and_leave_the_global_rng_alone() -> None:
    torch.rand(3)
    before = torch.random.get_rng_state()
    for make_paper in (pair, affine, curved, living):
        first, second = make_paper(), make_paper()
        assert torch.equal(first.x, second.x)
        assert all(torch.equal(a, b) for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
    x = images(100)
    assert 0.2 < float((x == 0).double().mean()) < 0.3
    assert 0.2 < float((x == 1).double().mean()) < 0.3


@pytest.mark.parametrize("norm", NORMS)
def test_the_norms_of_the_package_pass_their_properties(norm: Norm) -> None:
    check_norm(norm)
