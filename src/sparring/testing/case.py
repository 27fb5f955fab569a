"""The examinee: one attack under one norm, and the register of the checks that it has to pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from sparring.attack import Attack, AttackInfo
from sparring.blocks.learned.attack import LearnedAttack
from sparring.budget import Budget
from sparring.model import Model, wrap
from sparring.norms import Norm
from sparring.referee import Keep
from sparring.result import PER_SAMPLE, Result
from sparring.testing.fixtures import Paper, images
from sparring.threat import Goal, Targeted, Threat

FACTORS = {"gradient": 1.05, "score": 1.5, "decision": 1.5}
"""How far beyond the known optimum an attack may fall, by what it sees, where its class says nothing."""
LESSONS = 24
"images that an attack that learns is fitted on for a paper: others than the paper's"


@dataclass(frozen=True)
class Examinee:
    """One attack under one norm.

    Args:
        attack: the attack. norm: one of its norms.
        factor: at this multiple of the known optimum it must succeed (or, looking for the minimum, find less).

    An attack that learns is fitted for each net and radius first, on images of the examiner's own.
    """

    attack: Attack
    norm: Norm
    factor: float
    fitted: dict[Any, Attack] = field(default_factory=dict, repr=False, compare=False)

    @property
    def info(self) -> AttackInfo:
        return self.attack.info

    def eps(self, paper: Paper) -> float | None:
        """A radius at which some of the images fall and some stand; None if it looks for the minimum."""
        if self.info.aim in ("minimum", "own"):
            return None
        return float(paper.optimum(self.norm).nan_to_num(posinf=1.0).median()) * max(1.3, self.factor)

    def enough(self, success: Tensor) -> bool:
        """Did it fool all that can be fooled, or, where no norm says what it is after, any at all?

        Nothing is demanded of what was learned on other images: it owes success to many, and to none in particular.
        """
        if self.info.learns is not None:
            return True
        return bool(success.any() if self.info.aim == "own" else success.all())

    def ready(self, paper: Paper, radius: float | None, box: tuple[float, float]) -> Attack:
        """The attack; one that learns is fitted to the paper's net, seen without hooks and errors."""
        it = self.attack
        if not isinstance(it, LearnedAttack):
            return it
        home = paper.net if paper.home is None else paper.home
        key = (id(home), radius, box)
        if key not in self.fitted:
            low, high = box
            x = low + (high - low) * images(LESSONS, tuple(paper.x.shape[1:]), seed=77).to(paper.x.dtype)
            y = replace(paper, net=home).classes(x)
            plain: LearnedAttack = replace(cast(Any, it), weights=None)
            self.fitted[key] = plain.fit(wrap(home, box=box), (x, y), Threat(self.norm, radius))
        return self.fitted[key]

    def aim(self, paper: Paper) -> Tensor | Goal:
        """What the attack is after where a check doesn't mind: any mistake, or the next class if it only can aim."""
        if "untargeted" in self.info.specificity:
            return paper.y
        return Targeted((paper.y + 1) % paper.logits(paper.x[:1]).shape[1], paper.y)

    def __call__(
        self,
        paper: Paper,
        goal: Tensor | Goal | None = None,
        *,
        eps: float | None = None,
        levels: int | None = None,
        model: Model | None = None,
        seed: int = 0,
        budget: Budget | None = None,
        keep: Keep = "best",
        trace: bool = False,
        region: Tensor | None = None,
    ) -> Result:
        """Let the attack loose on a paper."""
        radius = eps if eps is not None else self.eps(paper)
        threat = Threat(self.norm, radius, levels=levels, region=region)
        asked = model or wrap(paper.net)
        wanted = self.aim(paper) if goal is None else goal
        attack = self.ready(paper, radius, asked.box)
        return attack(asked, paper.x, wanted, threat, seed=seed, budget=budget, keep=keep, trace=trace)


def searches_within_norm(info: AttackInfo) -> bool:
    """It searches for each image by itself, for something that a norm measures: a known optimum is a fair demand."""
    return info.aim != "own" and info.learns is None


@dataclass(frozen=True)
class Check:
    """One question of the exam.

    Attributes:
        name: how failures and tests call it. every_norm: ask it under each norm of the attack, not only the first.
        applies: whether it makes sense for an attack. ask: raises AssertionError if the answer is wrong.
    """

    name: str
    every_norm: bool
    applies: Callable[[AttackInfo], bool]
    ask: Callable[[Examinee], None]

    @property
    def summary(self) -> str:
        """What it demands, in one sentence."""
        return (self.ask.__doc__ or self.name).strip().splitlines()[0]

    def norms(self, info: AttackInfo) -> Sequence[Norm]:
        """The norms under which it is asked."""
        if not self.applies(info):
            return ()
        return info.norms if self.every_norm else info.norms[:1]


CHECKS: dict[str, Check] = {}
"""All checks, by name, in the order of the exam."""


def check(
    name: str, *, every_norm: bool = True, applies: Callable[[AttackInfo], bool] = lambda info: True
) -> Callable[[Callable[[Examinee], None]], Callable[[Examinee], None]]:
    """Decorator: puts a question on the list."""

    def enter(ask: Callable[[Examinee], None]) -> Callable[[Examinee], None]:
        CHECKS[name] = Check(name, every_norm, applies, ask)
        return ask

    return enter


def demand(truth: bool, otherwise: str) -> None:
    """An `assert` that also holds under `python -O`."""
    if not truth:
        raise AssertionError(otherwise)


def same(a: Result, b: Result, what: str, tolerance: float = 1e-6) -> None:
    """Demand that two results agree: verdicts and counts exactly, points and distances up to rounding."""
    for name in ("success", "clean_correct", "queries", "gradients", "first_hit"):
        left, right = getattr(a, name), getattr(b, name)
        demand(torch.equal(left, right), f"{what}: {name} is {right.tolist()}, but was {left.tolist()}")
    for name in ("x_adv", "distance", "margin"):
        left, right = getattr(a, name).double(), getattr(b, name).double()
        if not torch.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True):
            off = (left - right).abs().nan_to_num(nan=torch.inf).max()
            raise AssertionError(f"{what}: {name} differs by up to {float(off):.3g}")


def pick(result: Result, at: Tensor) -> Result:
    """The result of some samples, in the given order."""
    return replace(result, **{name: getattr(result, name)[at] for name in PER_SAMPLE})


def size(norm: Norm, d: Tensor) -> Tensor:
    """The size of perturbations [B, ...], measured by the examiner and not by `sparring.norms`: [B]."""
    flat = d.flatten(1).double()
    if str(norm) == "L0":
        return (flat != 0).double().sum(1)
    if str(norm) == "Linf":
        return flat.abs().amax(1) if flat.numel() else flat.new_zeros(len(flat))
    return flat.abs().sum(1) if str(norm) == "L1" else flat.square().sum(1).sqrt()
