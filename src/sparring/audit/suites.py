"""Suites: which attacks an audit runs, in which order. Data, not code: a stage is a line.

Cheap attacks come first, as only survivors go on. Every suite climbs more than one loss (cross-entropy alone is
blind to a saturated softmax) and ends with an attack that sees no gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sparring.attack import Attack
from sparring.attack import attack as build
from sparring.audit.noise import RandomNoise
from sparring.errors import InputError
from sparring.model import LEVELS, Model
from sparring.threat import Threat

Family = Literal["noise", "single-step", "iterative", "query"]


@dataclass(frozen=True)
class Stage:
    """One attack of a suite.

    Attributes:
        title: what the report calls it. spec: the attack as text, see `sparring.attack`; "noise" is random noise.
        family: what the sanity checks compare it as. blind: its loss saturates (cross-entropy).
        seen: run in full on the sanity subset too, also on images that an earlier stage has broken.
        claimed: repeats what somebody else did, or was run for another purpose, and is compared with nothing.
    """

    title: str
    spec: str
    family: Family
    blind: bool = False
    seen: bool = True
    claimed: bool = False

    def attack(self) -> Attack:
        """The attack itself."""
        name, _, draws = self.spec.partition(":draws=")
        return RandomNoise(int(draws or 100)) if name == "noise" else build(self.spec)

    def most_passes(self, classes: int) -> int:
        """The most forward plus backward passes that it may take an image: for the estimate of the time left."""
        fields = self.attack().settings()
        if "queries" in fields or "draws" in fields:
            return int(fields.get("queries") or fields["draws"])
        targets = min(int(fields.get("targets", 1)), classes - 1)
        return 2 * int(fields.get("steps", 1)) * int(fields.get("restarts", 1)) * targets


@dataclass(frozen=True)
class Suite:
    """A list of stages and how the security curve is drawn.

    Attributes:
        name, about: for people. stages: in the order they run.
        subset: images in the sanity subset, and in the curve. curves: attacks to draw it; the first that can run does.
    """

    name: str
    about: str
    stages: tuple[Stage, ...]
    subset: int = 100
    curves: tuple[Stage, ...] = (
        Stage("PGD-40 (margin)", "pgd:loss=margin", "iterative"),
        Stage("Square, 300 queries", "square:queries=300", "query"),
        Stage("FGSM", "fgsm", "single-step"),
    )

    def fit(self, model: Model, threat: Threat) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
        """The stages that can run here, and for each other one why not.

        Raises:
            InputError: no stage is left.
        """
        able, left_out = [], []
        for stage in self.stages:
            reason = unfit(stage, model, threat)
            if reason is None:
                able.append(stage)
            else:
                left_out.append(f"{stage.title}: {reason}")
        if not [stage for stage in able if stage.family != "noise"]:
            raise InputError(f"no attack of the suite {self.name!r} can run here; {'; '.join(left_out)}")
        return tuple(able), tuple(left_out)

    def curve(self, model: Model, threat: Threat) -> Stage | None:
        """The attack that draws the security curve here."""
        return next((stage for stage in self.curves if unfit(stage, model, threat) is None), None)


def unfit(stage: Stage, model: Model, threat: Threat) -> str | None:
    """Why a stage cannot run against this model under this threat; None if it can."""
    info = stage.attack().info
    if threat.norm not in info.norms:
        return f"not for {threat.norm}"
    if LEVELS.index(info.sees) > LEVELS.index(model.access):
        return f"needs {info.sees} access, the model grants only {model.access} access"
    return None


def _ladder(steps: int, restarts: int, targets: int) -> tuple[Stage, ...]:
    again = f",restarts={restarts}" if restarts > 1 else ""
    return (
        Stage("FGSM", "fgsm", "single-step", blind=True),
        Stage("PGD-40", "pgd", "iterative", blind=True),
        Stage("PGD-40 (margin)", "pgd:loss=margin", "iterative"),
        Stage("Random noise", "noise:draws=100", "noise"),
        Stage("APGD-CE", f"apgd-ce:steps={steps}{again}", "iterative", blind=True),
        Stage("APGD-DLR", f"apgd-dlr:steps={steps}{again}", "iterative"),
        Stage("APGD-T", f"apgd-t:steps={steps},targets={targets}{again}", "iterative", seen=False),
    )


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "quick",
            "A first look, about a minute for 200 digits on two cores: APGD with 50 steps, 3 targets, "
            "Square with 1,000 queries.",
            (*_ladder(50, 1, 3), Stage("Square", "square:queries=1000", "query")),
        ),
        Suite(
            "standard",
            "AutoAttack's standard ensemble less FAB, with FGSM and PGD before it: APGD with 100 steps, "
            "9 targets, Square with 5,000 queries.",
            (*_ladder(100, 1, 9), Stage("Square", "square:queries=5000", "query")),
        ),
        Suite(
            "full",
            "As standard, with five restarts of every APGD.",
            (*_ladder(100, 5, 9), Stage("Square", "square:queries=5000", "query")),
        ),
    )
}


def suite(name: str | Suite | Sequence[str]) -> Suite:
    """A suite by name, one's own, or a list of attack specs.

    >>> [stage.title for stage in suite(["fgsm", "pgd:loss=margin"]).stages]
    ['fgsm', 'pgd:loss=margin']
    """
    if isinstance(name, Suite):
        return name
    if not isinstance(name, str):
        return Suite("own", "Attacks chosen by the user.", tuple(_own(spec) for spec in name))
    if name not in SUITES:
        raise InputError(f"no suite is called {name!r}; there are {', '.join(SUITES)}")
    return SUITES[name]


def _own(spec: str) -> Stage:
    attack = build(spec)
    fields = attack.settings()
    if attack.info.sees != "gradient":
        return Stage(attack.spec, spec, "query")
    family: Family = "iterative" if "steps" in fields else "single-step"
    return Stage(attack.spec, spec, family, blind=fields.get("loss") == "ce")
