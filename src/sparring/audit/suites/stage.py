"""What a suite is: which attacks an audit runs, in which order. Data, not code: a stage is a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sparring.attack import Attack, AttackInfo
from sparring.attacks import attack as build
from sparring.attacks import find
from sparring.audit.suites import random_noise, replay  # noqa: F401  (registers the attacks that are not listed)
from sparring.errors import InputError
from sparring.model import LEVELS, Model
from sparring.threat import Threat

Family = Literal["noise", "single-step", "iterative", "query", "adaptive", "transfer"]

OLD_NAMES = {
    "blind": "saturating_loss",
    "seen": "full_on_subset",
    "claimed": "excluded",
    "near": "min_progress",
    "subject": "wrapper",
}
"what version 0.1 called the fields of a stage, in runs and in suite files"
GIVEN_UP = 0.4
"a guess at how much of their passes attacks take whose samples may give up"
OUTSIDE = 0.1
"a guess at the share of images that are in the sanity subset and stand"


@dataclass(frozen=True)
class Stage:
    """One attack of a suite.

    Attributes:
        title: what the report calls it. spec: the attack as text, see `sparring.attack`.
        family: what the sanity checks compare it as. saturating_loss: it climbs a loss that saturates (cross-entropy).
        full_on_subset: run in full on the sanity subset too, also on images that an earlier stage has broken.
        excluded: from comparisons, as it repeats what somebody else did, or was run for another purpose.
        min_progress: only for images of at least this headway, see `audit.headway`; None = all that stand. 1 = for the
            sanity subset alone.
        subset_only: only for images of the sanity subset that still stand: what shows nothing about the others.
        wrapper: how the attacker looks at the model, see `audit.cascade.wrappers`; "" = as it is.
        precision: "bfloat16" = searched in that, judged in full, see `audit.precision`; "" = the model's own.
        norm: only under this one; "" = under all that the attack is for.
    """

    title: str
    spec: str
    family: Family
    saturating_loss: bool = False
    full_on_subset: bool = True
    excluded: bool = False
    min_progress: float | None = None
    wrapper: str = ""
    precision: str = ""
    subset_only: bool = False
    norm: str = ""

    @classmethod
    def of_record(cls, known: Mapping[str, Any]) -> Stage:
        """A stage from the values that a run has stored, by name; runs of version 0.1 are read, too."""
        return cls(**{OLD_NAMES.get(name, name): value for name, value in known.items()})

    def attack(self) -> Attack:
        """The attack itself."""
        return build(self.spec)

    def plain(self) -> Attack:
        """The attack without shortcuts: nobody gives up."""
        attack = self.attack()
        return replace(attack, give_up=False) if getattr(attack, "give_up", False) else attack  # type: ignore[type-var]

    @property
    def info(self) -> AttackInfo:
        """What is known of the attack, whatever its fields."""
        return find(self.spec.partition(":")[0])

    @property
    def copies(self) -> int:
        """Looks at the model that it averages a gradient over."""
        return int(getattr(getattr(self.attack(), "view", None), "copies", 1))

    def most_passes(self, classes: int) -> int:
        """The most forward plus backward passes that it may take an image: for the estimate of the time left."""
        fields = self.attack().settings()
        queries = int(fields.get("queries") or fields.get("draws") or 0)
        climbs = "steps" in fields or not queries
        targets = min(int(fields.get("targets") or 1), classes - 1)
        once = queries + 2 * int(fields.get("steps") or 1) * targets * self.copies * climbs
        return once * int(fields.get("restarts") or 1)

    def usual_passes(self, classes: int) -> int:
        """The same over all images that stand, as few of them get near: a guess, for the estimate of the time left."""
        share = OUTSIDE if self.subset_only else 1.0 if self.min_progress is None else 1 - self.min_progress
        share *= GIVEN_UP if self.attack().settings().get("give_up") else 1.0
        return max(1, int(share * self.most_passes(classes)))


@dataclass(frozen=True)
class Suite:
    """A list of stages and how the security curve is drawn.

    Attributes:
        name, about: for people. stages: in the order they run.
        subset: images in the sanity subset, and in the curve. curves: attacks to draw it; the first that can run does.
        receipt: re-run random images by the plain loop (`audit.receipt`).
        transfer, longer: controls on the sanity subset, see `audit.controls`.
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
    receipt: bool = False
    transfer: bool = False
    longer: bool = False

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
    if threat.norm not in info.norms or stage.norm not in ("", str(threat.norm)):
        return f"not for {threat.norm}"
    if LEVELS.index(info.sees) > LEVELS.index(model.access):
        return f"needs {info.sees} access, the model grants only {model.access} access"
    return None
