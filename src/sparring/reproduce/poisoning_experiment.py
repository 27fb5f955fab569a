"""One experiment with poisoned training data: poison, sanitise, train, measure; and the same without the poison.

Every victim is trained by the one loop (`fit`), or by scikit-learn where it is linear. A figure is a mean over seeds;
each seed draws the poison and trains the victim afresh. Beside every victim stands a control: the same learner with
the same seed and the same defense on the clean images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparring.audit.statistics.proportion import Figure, wilson
from sparring.data.images import ImageData
from sparring.defenses.data import sanitizer
from sparring.defenses.data.fine_pruning import fine_prune
from sparring.defenses.data.sanitizer import Sanitized
from sparring.defenses.detect.roc import roc
from sparring.defenses.training.clipping import ClippedNoise
from sparring.defenses.training.learners import Learner, LinearLearner, NetLearner
from sparring.defenses.training.recipes import find_recipe
from sparring.errors import InputError
from sparring.model import wrap
from sparring.poisoning import poison
from sparring.poisoning.base import Poisoned
from sparring.poisoning.knowledge import Knowledge
from sparring.spec import number

SEEDS = (0, 1, 2)
NONE, PRUNING, CLIPPED, TRUSTED = "none", "fine-pruning", "clipped", "trusted"


@dataclass(frozen=True)
class OverSeeds:
    """A share that was measured once for each seed, on the same images.

    The interval is Wilson's at the mean share for the images of one seed: more seeds do not make more images.
    """

    runs: tuple[Figure, ...]

    @property
    def value(self) -> float:
        """The mean over the seeds."""
        return sum(run.value for run in self.runs) / len(self.runs)

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high), 95 %."""
        images = min(run.of for run in self.runs)
        return wilson(round(self.value * images), images)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        low, high = self.interval
        return {"value": self.value, "low": low, "high": high, "of": self.runs[0].of,
                "seeds": [run.value for run in self.runs]}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of one experiment.

    Attributes:
        poison: its spec, None = clean data. knows: the adversary's knowledge. victim, defense: specs.
        accuracy, control: right on the clean test images, by the victim and by the control.
        success: of the trigger, or on the target; None where there is none. control_success: the same by the control.
        dropped_poison, dropped_clean: the shares that a sanitizer left out; None without one. area: under its ROC.
        poisoned: the poisoned set of the first seed. sanitized: what the sanitizer found there.
    """

    poison: str | None
    knows: str
    victim: str
    defense: str
    accuracy: OverSeeds
    control: OverSeeds
    success: OverSeeds | None = None
    control_success: OverSeeds | None = None
    dropped_poison: float | None = None
    dropped_clean: float | None = None
    area: float | None = None
    poisoned: Poisoned | None = field(default=None, repr=False)
    sanitized: Sanitized | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        figures = {"accuracy": self.accuracy, "control_accuracy": self.control, "success": self.success,
                   "control_success": self.control_success}  # fmt: skip
        return {
            "poison": self.poison, "knows": self.knows, "victim": self.victim, "defense": self.defense,
            **{name: None if one is None else one.to_dict() for name, one in figures.items()},
            "dropped_poison": self.dropped_poison, "dropped_clean": self.dropped_clean, "auroc": self.area,
        }  # fmt: skip


@dataclass
class Bench:
    """What all experiments share, and the nets that were trained already.

    Attributes:
        train: training images. test: test images. trusted: a small clean set of the defender, outside both.
        seeds: one run for each. Nets and poisoned sets are kept, by what they were made from.
    """

    train: ImageData
    test: ImageData
    trusted: ImageData
    seeds: Sequence[int] = SEEDS
    _kept: dict[tuple[object, ...], Any] = field(default_factory=dict)

    def experiment(
        self, spec: str | None, victim: Learner, defense: str = NONE, knows: Knowledge | None = None
    ) -> Outcome:
        """Poison the training images, defend, train, measure; for each seed, with its control.

        Args:
            spec: of the poison; None = none. victim: the learner. defense: the spec of a sanitizer,
                "fine-pruning:SHARE", "clipped:clip=1,noise=0.05", "trusted" (the trusted images alone, which
                defenses that use them should beat), or "none".
            knows: what the adversary knows; everything unless given.
        """
        knows = knows or Knowledge()
        runs = [self._run(spec, victim, defense, knows, seed) for seed in self.seeds]
        controls = [self._run(None, victim, defense, knows, seed) for seed in self.seeds]
        first = runs[0]
        right = [self._right(run.net) for run in runs]
        usual = [self._right(run.net) for run in controls]
        success = usual_success = None
        if first.poisoned is not None and (first.poisoned.change.trigger or first.poisoned.change.target):
            success = OverSeeds(tuple(self._success(run.net, run.poisoned) for run in runs))
            usual_success = OverSeeds(
                tuple(self._success(one.net, run.poisoned) for one, run in zip(controls, runs, strict=True))
            )
        dropped_poison, dropped_clean, area = _detection(runs)
        named = spec if first.poisoned is None else first.poisoned.manifest["poison"]
        return Outcome(
            named, str(knows), victim.spec, defense, OverSeeds(tuple(right)), OverSeeds(tuple(usual)), success,
            usual_success, dropped_poison, dropped_clean, area, first.poisoned, first.sanitized,
        )  # fmt: skip

    def poisoned(self, spec: str, victim: Learner, knows: Knowledge, seed: int) -> Poisoned:
        """The poisoned set of one seed."""
        key = ("poisoned", spec, victim.spec, str(knows), seed)
        if key not in self._kept:
            self._kept[key] = poison(spec)(self.train, seed=seed, knows=knows, victim=victim, held_out=self.test)
        found: Poisoned = self._kept[key]
        return found

    def net(self, data: ImageData, name: tuple[object, ...], victim: Learner, seed: int) -> nn.Module:
        """A net trained on `data`, which `name` stands for."""
        loss = repr(victim.loss) if isinstance(victim, (NetLearner, LinearLearner)) else ""
        key = ("net", *name, victim.spec, loss, seed)
        if key not in self._kept:
            self._kept[key] = victim.learn(data, seed)
        found: nn.Module = self._kept[key]
        return found

    def _run(self, spec: str | None, victim: Learner, defense: str, knows: Knowledge, seed: int) -> _Run:
        poisoned = None if spec is None else self.poisoned(spec, victim, knows, seed)
        data = self.train if poisoned is None else poisoned.data
        name = (spec, str(knows), seed if spec else None)
        head, _, rest = defense.partition(":")
        if head == NONE:
            return _Run(self.net(data, name, victim, seed), poisoned)
        if head == TRUSTED:
            return _Run(self.net(self.trusted, (TRUSTED,), victim, seed), poisoned)
        if head == CLIPPED:
            return _Run(self.net(data, name, _clipped(victim, defense), seed), poisoned)
        plain = self.net(data, name, victim, seed)
        if head == PRUNING:
            return _Run(fine_prune(plain, self.trusted, _as_net(victim), share=float(rest or 0.5), seed=seed), poisoned)
        key = ("sanitized", *name, victim.spec, defense, seed)
        if key not in self._kept:
            self._kept[key] = sanitizer(defense)(data, learner=victim, net=plain, clean=self.trusted, seed=seed)
        found: Sanitized = self._kept[key]
        net = self.net(data.subset(found.keep), (*name, defense), victim, seed)
        return _Run(net, poisoned, found)

    def _right(self, net: nn.Module) -> Figure:
        """How many of the clean test images the net gets right."""
        x, y = self.test.tensors()
        return Figure(int((answers(net, x) == y).sum()), len(y))

    def _success(self, net: nn.Module, poisoned: Poisoned | None) -> Figure:
        """How often the adversary gets its class: on triggered test images of other classes, or on its target."""
        assert poisoned is not None
        change = poisoned.change
        if change.target is not None:
            return Figure(int(answers(net, change.target.x[None])[0] == change.target.label), 1)
        assert change.trigger is not None
        x, y = self.test.tensors()
        assert change.aim is not None
        others = x[y != change.aim]
        return Figure(int((answers(net, change.trigger(others)) == change.aim).sum()), len(others))


@dataclass(frozen=True)
class _Run:
    """The victim of one seed."""

    net: nn.Module
    poisoned: Poisoned | None
    sanitized: Sanitized | None = None


def answers(net: nn.Module, x: Tensor, batch_size: int = 500) -> Tensor:
    """The classes that a net gives to pixels [B, C, H, W], in eval mode."""
    model = wrap(net)
    with model.guard(), torch.no_grad():
        starts = range(0, len(x), batch_size)
        return torch.cat([model.labels(model.accept(x[k : k + batch_size])).cpu() for k in starts])


def _detection(runs: Sequence[_Run]) -> tuple[float | None, float | None, float | None]:
    """Means over the seeds: shares of the poison and of the clean samples that were dropped, area under the ROC."""
    found = [(run.poisoned, run.sanitized) for run in runs if run.sanitized is not None]
    if not found:
        return None, None, None
    clean, caught, areas = [], [], []
    for poisoned, sanitized in found:
        mask = torch.zeros(len(sanitized.keep), dtype=torch.bool) if poisoned is None else poisoned.mask
        clean.append(float((~sanitized.keep[~mask]).double().mean()))
        if bool(mask.any()):
            caught.append(float((~sanitized.keep[mask]).double().mean()))
            areas.append(roc(sanitized.scores[~mask], sanitized.scores[mask]).area)
    mean = [sum(values) / len(values) if values else None for values in (caught, clean, areas)]
    return mean[0], mean[1], mean[2]


def assumed(defense: str, share: float) -> str:
    """The defense's spec, with {share} as the share of poison and 5 points: what the defender takes it for."""
    return defense.replace("{share}", f"{share + 0.05:g}")


def check_defense(defense: str) -> None:
    """Refuse a defense that there is not, before hours of training.

    Raises:
        InputError: no such defense or setting.
    """
    spec = assumed(defense, 0.1)
    head, _, rest = spec.partition(":")
    if head == CLIPPED:
        _noisy(spec)
    elif head == PRUNING:
        if rest and not isinstance(number(rest), float):
            raise InputError(f"{defense}: the share of the units is {rest!r}; write fine-pruning:0.5")
    elif spec not in (NONE, TRUSTED):
        sanitizer(spec)


def _as_net(victim: Learner) -> NetLearner:
    if not isinstance(victim, NetLearner):
        raise InputError(f"this defense needs a net; got {victim.spec}")
    return victim


def _clipped(victim: Learner, defense: str) -> Learner:
    """The learner with clipped and noisy gradients; a logistic regression learns by descent then."""
    if isinstance(victim, (NetLearner, LinearLearner)):
        return replace(victim, loss=_noisy(defense))
    raise InputError(f"gradients of {victim.spec} cannot be clipped; take logistic or a net of the zoo")


def _noisy(defense: str) -> ClippedNoise:
    recipe, values = find_recipe(defense)
    loss = recipe.loss(None, values)
    assert isinstance(loss, ClippedNoise)
    return loss
