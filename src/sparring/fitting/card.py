"""The card of a fitted attack: what it is, how it was fitted, and its success on images that it never saw."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, cast

import torch

from sparring._version import __version__
from sparring.attacks.universal.uap_pgd import UAPPGD
from sparring.batches import run_batches, target_policy
from sparring.blocks.learned.attack import LearnedAttack, fresh_net
from sparring.blocks.learned.nets import Subject
from sparring.blocks.learned.patch import Patch
from sparring.blocks.learned.weights import Weights
from sparring.defenses.training.fit import Fitted
from sparring.fitting.images import Images
from sparring.model import Model
from sparring.seeds import derived_seed
from sparring.threat import Targeted, Threat


@dataclass(frozen=True)
class Rate:
    """So many images fooled, of those that the model gets right."""

    fooled: int
    of: int

    @property
    def share(self) -> float:
        """The attack success rate."""
        return self.fooled / self.of if self.of else float("nan")


@dataclass(frozen=True)
class Scores:
    """The success of a fitted attack on some images.

    Attributes:
        untargeted: driven to any wrong class. targeted: to the class that it was given, or was fitted for; None = it
            knows no classes. control: random noise of the same size, one for all images. transfer: the attack on a
            second model, and transfer_control the noise; None without one.
    """

    untargeted: Rate
    control: Rate
    targeted: Rate | None = None
    transfer: Rate | None = None
    transfer_control: Rate | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def score(
    fitted: LearnedAttack, model: Model, images: Images, threat: Threat, seed: int, second: Model | None
) -> Scores:
    """The success on images that the fit never saw."""
    noise = control_of(fitted, seed)

    def rate(attack: LearnedAttack, victim: Model, goal: Any = None) -> Rate:
        result = run_batches(attack, victim, (images.x, images.y), threat.within(victim.box), goal=goal, seed=seed)
        return Rate(int((result.success & result.clean_correct).sum()), int(result.clean_correct.sum()))

    return Scores(
        untargeted=rate(fitted, model),
        control=rate(noise, model),
        targeted=_targeted(fitted, model, images, threat, seed),
        transfer=None if second is None else rate(fitted, second),
        transfer_control=None if second is None else rate(noise, second),
    )


def _targeted(fitted: LearnedAttack, model: Model, images: Images, threat: Threat, seed: int) -> Rate | None:
    target = getattr(fitted, "target", None)
    if target is None and not fitted.aims:
        return None
    if target is None:
        kept, goal = images, target_policy("next", model)
    else:
        kept = images[images.y != target]
        goal = lambda x, y: Targeted(torch.full_like(y, target), y)  # noqa: E731
    if not len(kept):
        return Rate(0, 0)
    result = run_batches(fitted, model, (kept.x, kept.y), threat, goal=goal, seed=seed)
    return Rate(int((result.success & result.clean_correct).sum()), int(result.clean_correct.sum()))


def control_of(fitted: LearnedAttack, seed: int) -> LearnedAttack:
    """What anybody gets without learning, of the same size: a patch of random colours, or random signs for all images.

    Under a norm without corners, the random direction is as long as the radius.
    """
    subject, card = fitted.subject, fitted.card
    if isinstance(fitted.fitted_net(torch.zeros(1, *subject.shape)), Patch):
        tensors = fresh_net(fitted, subject, derived_seed(seed, "control")).state_dict()
        return _holding(type(fitted), {**card["settings"]}, card, tensors)
    generator = torch.Generator().manual_seed(derived_seed(seed, "control"))
    signs = torch.randint(0, 2, (1, *subject.shape), generator=generator) * 2.0 - 1
    tensors = {"delta": subject.project(subject.width * signs)}
    return _holding(UAPPGD, {}, card, tensors)


def _holding(
    kind: type[LearnedAttack], settings: dict[str, Any], card: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> LearnedAttack:
    weights = Weights({**card, "attack": kind.info.name, "settings": settings}, tensors)
    held: LearnedAttack = cast(Any, kind)(**{**settings, "weights": weights})
    return held


def card_of(
    attack: LearnedAttack,
    subject: Subject,
    threat: Threat,
    trained: Fitted,
    seed: int,
    train: Images,
    valid: Images,
    model: str,
) -> dict[str, Any]:
    """The card as plain values, without the success, see `score`."""
    settings = {name: value for name, value in attack.settings().items() if name != "weights"}
    return {
        "attack": attack.info.name,
        "paper": attack.info.paper,
        "settings": settings,
        "shape": list(subject.shape),
        "classes": subject.classes,
        "threat": threat.to_dict(),
        "model": model,
        "seed": seed,
        "fit": {
            "images": len(train),
            "validation_images": len(valid),
            "history": trained.history,
            "seconds": round(trained.seconds, 2),
            "stopped": trained.stopped,
            "device": trained.device,
            "parameters": trained.settings["parameters"],
            "data": trained.settings["data"],
        },
        "versions": {"sparring": __version__, "python": platform.python_version(), "torch": version("torch")},
    }
