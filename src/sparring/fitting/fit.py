"""`fit_attack`: an attack that learns, fitted by the one training loop of the package.

The loop trains a `Pupil`: images go in, the victim's logits of the attacked images come out, and of its weights only
the attack's net is there to be trained. So progress, checkpoints, resume and early stop are those of any training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from sparring.blocks.learned.attack import LearnedAttack, fresh_net
from sparring.blocks.learned.nets import Subject
from sparring.blocks.learned.weights import Weights
from sparring.data.images import ImageData
from sparring.defenses.training.callbacks import Callback
from sparring.defenses.training.fit import fit
from sparring.errors import AccessError, InputError
from sparring.fitting.card import Scores, card_of, score
from sparring.fitting.images import Images, images_of, split
from sparring.fitting.pupil import Pupil, Shared, Stall, Teaching
from sparring.model import LEVELS, Model, wrap
from sparring.seeds import whole_seed
from sparring.threat import Threat

A = TypeVar("A", bound=LearnedAttack)


@dataclass(frozen=True)
class Data:
    """The images of a fit: to learn from, to watch it by, and to measure it on. None of one part is in another."""

    train: Images
    valid: Images
    test: Images | None


def fit_attack(
    attack: A,
    model: Any,
    data: Any,
    threat: Threat | tuple[Any, ...],
    *,
    seed: int = 0,
    valid: Any = None,
    test: Any = None,
    transfer: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    patience: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> A:
    """The attack, fitted. It learns from images that the model gets right.

    Args:
        attack: with the settings of the fit. model: as for an attack; it is left as it was.
        data: images [N, ...] inside the model's box and classes [N]: (x, y), a DataLoader, images of `sparring.data`.
        threat: what is allowed, with a radius (a patch needs none).
        seed: the same seed gives the same weights.
        valid: images by which the fit is watched; None = a fifth of `data`, from which it does not learn.
        test: images that play no part in the fit; its success on them goes into the card.
        transfer: a second model, on which the same images are tried.
        out: a folder for the fitted attack, and for the checkpoints in `training/`. resume: go on from these.
        patience: stop when the success on `valid` has not grown for so many epochs; None = never.
        callbacks: see `sparring.defenses.training.Callback`.

    Raises:
        InputError: they do not fit each other, or the model gets none of the images right.
    """
    model, seed = wrap(model), whole_seed(seed)
    threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
    attack._check(model, threat)
    needed = "score" if getattr(attack, "distil", False) else attack.info.learns
    if LEVELS.index(needed or "score") > LEVELS.index(model.access):
        hint = "; advgan:distil=true learns from scores" if attack.info.name == "advgan" else ""
        raise AccessError(f"to fit {attack.info.name} takes {needed} access, the model grants {model.access}{hint}")
    with model.guard():
        parts, subject = _prepared(attack, model, data, valid, test, threat, seed)
        pupil = Pupil(attack, fresh_net(attack, subject, seed), subject, threat, Shared(model))
        pictures = pupil.pictures(parts.train.x)
        trained = fit(
            pupil,
            ImageData(pictures, parts.train.y, classes=[str(k) for k in range(subject.classes)]),
            epochs=attack.epochs,
            loss=Teaching(attack, threat, model.net if isinstance(model.net, nn.Module) else None),
            lr=attack.lr * (subject.width if attack.in_pixels else 1.0),
            schedule="cosine",
            batch_size=attack.batch_size,
            seed=seed,
            out=None if out is None else Path(out) / "training",
            resume=resume,
            device=str(model.device or "cpu"),
            watch=Stall(threat, valid=pupil.data(parts.valid), patience=patience),
            callbacks=callbacks,
        )
    tensors = {name: value.detach().cpu() for name, value in pupil.kept.state_dict().items()}
    about = card_of(attack, subject, threat, trained, seed, parts.train, parts.valid, model.name)
    fitted = _with(attack, Weights(about, tensors))
    second = None if transfer is None else wrap(transfer)
    about["success"] = {
        name: score(fitted, model, images, threat, seed, second).to_dict()
        for name, images in (("validation", parts.valid), ("test", parts.test))
        if images is not None
    }
    fitted = _with(attack, Weights(about, tensors))
    if out is None:
        return fitted
    return _with(attack, Weights.load(fitted.save(out)))


def measure_attack(
    fitted: LearnedAttack,
    model: Any,
    data: Any,
    threat: Threat | tuple[Any, ...],
    *,
    transfer: Any = None,
    seed: int = 0,
) -> Scores:
    """The success of a fitted attack on images that it never saw, beside random noise of the same size.

    Arguments: as for `fit_attack`.
    """
    model = wrap(model)
    threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
    x, y = images_of(data)
    return score(fitted, model, Images(x, y), threat, seed, None if transfer is None else wrap(transfer))


def _with(attack: A, weights: Weights) -> A:
    fitted: A = replace(cast(Any, attack), weights=weights)
    return fitted


def _prepared(
    attack: LearnedAttack, model: Model, data: Any, valid: Any, test: Any, threat: Threat, seed: int
) -> tuple[Data, Subject]:
    """The images as the model takes them, and what is to be attacked."""
    given = Images(*images_of(data))
    if not len(given):
        raise InputError("there is no image to learn from; give at least 2")
    train, rest = split(given, seed) if valid is None else (given, Images(*images_of(valid)))
    train = train.accepted(model)
    logits = _logits(model, train.x)
    right = logits.argmax(1) == train.y
    if not bool(right.any()):
        raise InputError(f"the model gets none of the {len(train)} images right, so there is nothing to learn from")
    if threat.region is not None and threat.region.dim() == 4:
        raise InputError("a learned attack takes one region for all images; give it as [H, W] or [C, H, W]")
    assert threat.box is not None
    target = getattr(attack, "target", None)
    if target is not None and target >= logits.shape[1]:
        raise InputError(f"{attack.info.name} aims at class {target}, but the model has {logits.shape[1]} classes")
    if target is not None:
        right &= train.y != target
    eps = float("inf") if threat.eps is None else threat.eps
    subject = Subject(tuple(train.x.shape[1:]), logits.shape[1], threat.norm, eps, threat.box)
    tested = None if test is None else Images(*images_of(test)).accepted(model)
    rows = right.nonzero().squeeze(1)[: getattr(attack, "images", None)]
    return Data(train[rows], rest.accepted(model), tested), subject


def _logits(model: Model, x: Tensor, batch: int = 500) -> Tensor:
    with torch.no_grad():
        return torch.cat([model.logits(part) for part in torch.split(x, batch)]).cpu()
