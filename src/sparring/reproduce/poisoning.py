"""The experiments with poisoned training data: label flips, backdoors, detectors, attacks on single images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from sparring._version import __version__
from sparring.data import load_data
from sparring.defenses.detect.roc import Roc, roc
from sparring.defenses.detect.strip import StripDetector
from sparring.defenses.training.learners import NetLearner, learner
from sparring.model import wrap
from sparring.poisoning import poison
from sparring.poisoning.knowledge import Knowledge
from sparring.reproduce.poisoning_detectors import Detection, detect
from sparring.reproduce.poisoning_experiment import NONE, PRUNING, Bench, Outcome, assumed
from sparring.reproduce.poisoning_targets import Aimed, aimed, pick_targets

PARTS = ("label-flip", "backdoor", "detectors", "transfer", "from-scratch")
TARGETS = ("transfer", "from-scratch")
"the parts about single images"
TRUSTED = 400
"the last images of the training split: the defender's, never poisoned"


@dataclass(frozen=True)
class Settings:
    """How much is done. `QUICK` takes about three minutes of one core, `FULL` about half an hour.

    Attributes:
        data: its spec. flip_images: training images for the curves. shares: of flipped labels. victims: learners.
        flip_defenses: specs; {share} stands for the share of poison and 5 points, what the defender assumes.
        backdoor_images, backdoors, backdoor_defenses, backdoor_victim: likewise. undefended: more backdoors, which
            are measured without a defense only.
        nets, detector_images, steps: nets to tell apart, images to draw theirs from, steps of Neural Cleanse.
        transfer, scratch: attacks on single images. transfer_images, transfer_targets, transfer_victim, scratch_*:
            training images, images aimed at, learner. target_seeds: one victim for each.
        seeds: one run for each. seed: of everything else. knows: what the adversary knows.
    """

    data: str = "mnist5k"
    flip_images: int = 1000
    shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4)
    victims: tuple[str, ...] = ("logistic", "wong:epochs=8")
    flip_defenses: tuple[str, ...] = (
        "knn",
        "trimmed:share={share},rounds=1",
        "spectral:remove=0.3",
        "activation",
        "roni:deviations=1",
        "fine-pruning:0.5",
        "clipped:clip=1,noise=0.05",
        "trusted",
    )
    backdoor_images: int = 2000
    backdoors: tuple[str, ...] = ("badnets:share=0.05", "blended:share=0.05")
    undefended: tuple[str, ...] = ("wanet:share=0.1,strength=4,noise=1",)
    backdoor_victim: str = "wong:epochs=8"
    backdoor_defenses: tuple[str, ...] = (
        "knn", "spectral:remove=0.5", "activation", "roni:deviations=1", "trimmed:share=0.1,rounds=1",
        "fine-pruning:0.5", "clipped:clip=1,noise=0.05",
    )  # fmt: skip
    nets: int = 20
    detector_images: int = 3600
    steps: int = 150
    scratch_targets: int = 40
    transfer_targets: int = 30
    transfer_images: int = 1000
    scratch_images: int = 500
    target_seeds: tuple[int, ...] = (0, 1, 2)
    scratch: tuple[str, ...] = (
        "gradient-matching:share=0.1,eps=0.3,steps=100", "feature-collision:share=0.1,eps=0.3,steps=100",
        "bullseye:share=0.1,eps=0.3,steps=100",
    )  # fmt: skip
    transfer: tuple[str, ...] = (
        "feature-collision:share=0.02,eps=0.3,steps=60", "bullseye:share=0.02,eps=0.3,steps=60",
        "feature-collision:share=0.03,eps=0.25,steps=60", "bullseye:share=0.03,eps=0.25,steps=60",
    )  # fmt: skip
    scratch_victim: str = "wong:epochs=15"
    transfer_victim: str = "wong:epochs=20,lr=0.005"
    seeds: tuple[int, ...] = (0, 1, 2)
    seed: int = 0
    knows: str = "everything"


FULL = Settings()
QUICK = Settings(
    shares=(0.0, 0.2, 0.4),
    flip_defenses=("knn",),
    backdoor_images=3600,
    undefended=(),
    backdoor_defenses=("knn",),
    nets=8,
    detector_images=2000,
    steps=60,
    scratch_targets=2,
    transfer_targets=6,
    target_seeds=(0,),
)


@dataclass
class Findings:
    """All that was measured; parts that were not asked for are empty.

    Attributes:
        settings: how. flips: (learner, choice, defense) -> an outcome for each share. backdoors: outcomes, each without
            a defense first. strip: STRIP's scores on triggered and clean test images, by backdoor.
        detectors: over nets. aimed: attacks on single images.
    """

    settings: Settings
    flips: dict[tuple[str, str, str], list[Outcome]] = field(default_factory=dict)
    backdoors: list[Outcome] = field(default_factory=list)
    strip: dict[str, Roc] = field(default_factory=dict)
    detectors: list[Detection] = field(default_factory=list)
    aimed: list[Aimed] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. `backdoor` is BadNets without a defense, its figures means over the seeds."""
        plain: dict[str, Any] = {
            "experiment": "poisoning", "sparring": __version__, "settings": asdict(self.settings),
            "knows": str(Knowledge.parse(self.settings.knows)),
        }  # fmt: skip
        if self.flips:
            plain["label_flip"] = {
                "shares": list(self.settings.shares),
                "curves": [_curve(*key, line) for key, line in self.flips.items()],
            }
        if self.backdoors:
            first = self.backdoors[0]
            assert first.success is not None
            assert first.control_success is not None
            plain["backdoor"] = {
                "poison": first.poison,
                "knows": first.knows,
                "success": first.success.value,
                "clean_accuracy": first.accuracy.value,
                "control_clean_accuracy": first.control.value,
                "control_success": first.control_success.value,
                "intervals": {
                    "success": first.success.interval,
                    "clean_accuracy": first.accuracy.interval,
                    "control_clean_accuracy": first.control.interval,
                },
                "seeds": list(self.settings.seeds),
            }
            plain["backdoors"] = [one.to_dict() for one in self.backdoors]
            plain["strip"] = {
                name: {"auroc": one.area, "detected_at_5_percent": one.detected()} for name, one in self.strip.items()
            }
        if self.detectors:
            plain["detectors"] = [one.to_dict() for one in self.detectors]
        if self.aimed:
            plain["targets"] = [one.to_dict() for one in self.aimed]
        return plain


def poisoning(
    settings: Settings, parts: tuple[str, ...] = PARTS, say: Callable[[str], None] = lambda line: None
) -> Findings:
    """Do the experiments; `say` is called with each line of progress."""
    found = Findings(settings)
    if "label-flip" in parts:
        _flips(settings, found, say)
    if "backdoor" in parts:
        _backdoors(settings, found, say)
    if "detectors" in parts:
        train = load_data(settings.data, "train")
        victim = learner(settings.backdoor_victim)
        assert isinstance(victim, NetLearner)
        clean, _ = load_data(settings.data, "test").first(40).tensors()
        found.detectors = detect(
            settings.nets, train.first(settings.detector_images), clean, victim, steps=settings.steps,
            seed=settings.seed, say=say,
        )  # fmt: skip
    if set(parts) & set(TARGETS):
        _targets(settings, found, parts, say)
    return found


def bench(settings: Settings, images: int) -> Bench:
    """Training, test and trusted images that do not overlap."""
    train = load_data(settings.data, "train")
    trusted = train.subset(torch.arange(len(train) - TRUSTED, len(train)))
    return Bench(train.first(images), load_data(settings.data, "test"), trusted, settings.seeds)


def _flips(settings: Settings, found: Findings, say: Callable[[str], None]) -> None:
    place, knows = bench(settings, settings.flip_images), Knowledge.parse(settings.knows)
    for victim in map(learner, settings.victims):
        for choose in ("random", "optimised"):
            for defense in (NONE, *settings.flip_defenses):
                if defense.startswith(PRUNING) and not isinstance(victim, NetLearner):
                    continue
                line = []
                for share in settings.shares:
                    spec = f"label-flip:share={share:g},choose={choose}" if share else None
                    line.append(place.experiment(spec, victim, assumed(defense, share), knows))
                found.flips[victim.spec, choose, defense] = line
                values = ", ".join(f"{100 * one.accuracy.value:.1f}" for one in line)
                say(f"{victim.spec}, {choose} flips, {defense}: {values} %")


def _backdoors(settings: Settings, found: Findings, say: Callable[[str], None]) -> None:
    place, knows = bench(settings, settings.backdoor_images), Knowledge.parse(settings.knows)
    victim = learner(settings.backdoor_victim)
    for spec in (*settings.backdoors, *settings.undefended):
        for defense in (NONE, *(settings.backdoor_defenses if spec in settings.backdoors else ())):
            one = place.experiment(spec, victim, assumed(defense, poison(spec).share), knows)
            found.backdoors.append(one)
            assert one.success is not None
            say(
                f"{spec}, {defense}: success {100 * one.success.value:.1f} %, clean {100 * one.accuracy.value:.1f} %, "
                f"control {100 * one.control.value:.1f} %"
            )
        found.strip[spec] = _strip(place, spec, victim, knows)


def _strip(place: Bench, spec: str, victim: Any, knows: Knowledge) -> Roc:
    """STRIP on the victim of the first seed: clean test images against the same with the trigger."""
    seed = place.seeds[0]
    poisoned = place.poisoned(spec, victim, knows, seed)
    net = place.net(poisoned.data, (spec, str(knows), seed), victim, seed)
    overlays, _ = place.trusted.first(30).tensors()
    x, y = place.test.tensors()
    x = x[y != poisoned.change.aim]
    assert poisoned.change.trigger is not None
    detector = StripDetector(wrap(net), overlays)
    with detector.model.guard(), torch.no_grad():
        return roc(detector.score(x), detector.score(poisoned.change.trigger(x)))


def _targets(settings: Settings, found: Findings, parts: tuple[str, ...], say: Callable[[str], None]) -> None:
    knows = Knowledge.parse(settings.knows)
    train, test = load_data(settings.data, "train"), load_data(settings.data, "test")
    scratch, transfer = learner(settings.scratch_victim), learner(settings.transfer_victim)
    assert isinstance(scratch, NetLearner)
    assert isinstance(transfer, NetLearner)
    body = learner(settings.backdoor_victim).learn(train.subset(torch.arange(2000, 3600)), settings.seed)
    assert isinstance(body, nn.Sequential)
    control = scratch.learn(train.first(settings.scratch_images), settings.seed)
    most = max(settings.scratch_targets, settings.transfer_targets)
    targets = pick_targets([body, control], test, most, settings.seed)
    if "transfer" in parts:
        found.aimed += aimed(
            settings.transfer, train.first(settings.transfer_images), test, transfer, body=body,
            targets=targets[: settings.transfer_targets], seeds=settings.target_seeds, knows=knows, say=say,
        )  # fmt: skip
    if "from-scratch" in parts:
        found.aimed += aimed(
            settings.scratch, train.first(settings.scratch_images), test, scratch,
            targets=targets[: settings.scratch_targets], seeds=settings.target_seeds, knows=knows, say=say,
        )  # fmt: skip


def _curve(victim: str, choose: str, defense: str, line: list[Outcome]) -> dict[str, Any]:
    return {
        "victim": victim,
        "choose": choose,
        "defense": defense,
        "knows": line[0].knows,
        "accuracy": [one.accuracy.value for one in line],
        "interval": [one.accuracy.interval for one in line],
        "seeds": [[run.value for run in one.accuracy.runs] for one in line],
        "control_accuracy": [one.control.value for one in line],
        "dropped_poison": [one.dropped_poison for one in line],
        "dropped_clean": [one.dropped_clean for one in line],
        "auroc": [one.area for one in line],
    }
