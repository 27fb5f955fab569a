"""The canary: before any figure is believed, the attacks must find what was planted for them.

The model's own images are given to a planted classifier, affine in the pixels, whose border runs through every ball
at a known depth, so that success within the radius is certain in closed form:

    z_0 = 0,   z_1 = s (<w, x> - b),   b = <w, x_i> + depth * min_i max_{z allowed} <w, z - x_i>,   the rest far below

w is smooth, and orthogonal to the differences of the images, so that one b serves them all. An attack that finds
nothing here is broken or does nothing (an attack that hands back its input is the no-op that must be noticed). It
tests attack, threat, box, region and grid together; it is no test of the user's model, and costs no pass of it.

The control is a plain net that every working attack breaks, where one is known for the data (C11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.attack import Attack
from sparring.audit.suites.stage import Stage
from sparring.ball import Ball
from sparring.model import Model
from sparring.rng import Noise
from sparring.threat import Threat

IMAGES = 8
DEPTH, SHALLOW = 0.5, 0.25
"of what is in reach: where the border lies; shallow for sparse norms and for attacks without gradients"
CLEAN_GAP = 2.0
"logits apart on the clean images: no softmax is saturated there"
CONTROL, CONTROL_EPS, CONTROL_IMAGES = "mnist-cnn", 0.3, 32


@dataclass(frozen=True)
class Trial:
    """What an attack made of the planted images, or all attacks together of the control.

    Attributes:
        attack: its title. family: see `Stage`. found, of: images broken. moved: images that it changed at all.
    """

    attack: str
    family: str
    found: int
    of: int
    moved: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def dead(self) -> bool:
        """It found nothing of what must be found."""
        return self.of > 0 and not self.found


class Planted(nn.Module):
    """The planted classifier: pixels [B, ...] -> logits [B, K]."""

    w: Tensor
    b: Tensor

    def __init__(self, w: Tensor, b: Tensor, scale: float, classes: int) -> None:
        super().__init__()
        self.register_buffer("w", w)
        self.register_buffer("b", b)
        self.scale, self.classes = scale, classes

    def forward(self, x: Tensor) -> Tensor:
        rise = self.scale * ((x * self.w).flatten(1).sum(1) - self.b)
        far = [torch.full_like(rise, -3.0 * CLEAN_GAP - k) for k in range(self.classes - 2)]
        return torch.stack([torch.zeros_like(rise), rise, *far], 1)


def plant(model: Model, x: Tensor, classes: int, threat: Threat, depth: float, seed: int) -> Model | None:
    """A planted classifier for images x [n, ...] of the model; None where the threat leaves no room to plant in."""
    eps = torch.full((len(x),), float(threat.eps or 0.0), dtype=x.dtype)
    ball = Ball(x, threat.norm, eps, model.box, None, threat.mask(x))
    w = _smooth(x[:1], Noise.of(x[:1], seed).fold(0xCA9A47))[0]
    if ball.free is not None:
        w = torch.where(ball.free[0], w, 0.0)
    apart = (x[1:] - x[:1]).flatten(1).double()
    flat = w.flatten().double()
    if len(apart):
        flat = flat - torch.linalg.lstsq(apart.T, flat[:, None], driver="gelsd").solution[:, 0] @ apart
    w = flat.reshape(w.shape).to(x.dtype)
    value = (x * w).flatten(1).sum(1)
    reach = (ball.linear_maximizer(w.expand_as(x)) * w).flatten(1).sum(1) - value
    gap = depth * float(reach.min())
    if not gap > 1e-3 * float(w.abs().max()) * float(threat.eps or 0.0):
        return None
    net = Planted(w, value.max() + gap, CLEAN_GAP / gap, max(classes, 2)).to(model.device or x.device)
    return Model(net, box=model.box, name="planted")


def _smooth(like: Tensor, noise: Noise) -> Tensor:
    """[1, ...] signs, the same over patches of pictures: random search finds what is smooth."""
    if like.dim() != 4:
        return noise.signs(*like.shape[1:], dtype=like.dtype)
    coarse = noise.signs(like.shape[1], 4, 4, dtype=like.dtype)
    return F.interpolate(coarse, like.shape[2:], mode="nearest")


def canary(
    model: Model, x: Tensor, classes: int, threat: Threat, stages: Sequence[Stage], seed: int
) -> tuple[Trial, ...]:
    """Every attack of `stages` on at most `IMAGES` of the model's images x [n, ...], planted.

    Left out: noise; attacks that see only classes, which need a start of another class, and may find none here.
    """
    x = model.accept(x[:IMAGES]).cpu()
    threat = threat.within(model.box).rows(slice(0, len(x)))
    y = torch.zeros(len(x), dtype=torch.int64)
    planted = {depth: plant(model, x, classes, threat, depth, seed) for depth in (DEPTH, SHALLOW)} if len(x) else {}
    trials = []
    for stage in stages:
        victim = planted.get(SHALLOW if threat.norm.sparse or stage.family == "query" else DEPTH)
        attack = stage.attack()
        if stage.family != "noise" and attack.info.sees != "decision" and victim is not None:
            trials.append(_try(stage.title, stage.family, attack, victim, x, y, threat, seed))
    return tuple(trials)


def _try(
    title: str, family: str, attack: Attack, model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int
) -> Trial:
    result = attack(model, x, y, threat, seed=seed)
    moved = int((result.x_adv != x).flatten(1).any(1).sum())
    return Trial(title, family, int((result.success & result.clean_correct).sum()), len(x), moved)


def control(
    model: Model, x: Tensor, y: Tensor, classes: int, threat: Threat, stages: Sequence[Stage], seed: int
) -> Trial | None:
    """C11: what the iterative attacks together leave of a plain net on these images; None where none is known."""
    able = [stage for stage in stages if stage.family == "iterative" and not stage.saturating_loss]
    fits = tuple(x.shape[1:]) == (1, 28, 28) and classes == 10 and model.box == (0.0, 1.0) and threat.region is None
    strong = str(threat.norm) == "Linf" and (threat.eps or 0.0) >= CONTROL_EPS
    if not (able and fits and strong):
        return None
    from sparring.zoo.shipped import shipped

    plain = shipped(CONTROL)
    x, y = model.accept(x[:CONTROL_IMAGES]).cpu(), y[:CONTROL_IMAGES]
    standing, right = torch.ones(len(y), dtype=torch.bool), torch.ones(len(y), dtype=torch.bool)
    for stage in able:
        at = standing.nonzero().squeeze(1)
        result = stage.attack()(plain, x[at], y[at], threat, seed=seed)
        right[at] &= result.clean_correct
        standing[at] = ~result.success
        if not bool(standing.any()):
            break
    of = int(right.sum())
    return Trial(f"control ({CONTROL})", "control", of - int((standing & right).sum()), of, of)
