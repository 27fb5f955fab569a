"""The attack that Defense-GAN cannot undo: images that its own generator makes (Athalye et al. 2018, arXiv:1802.00420).

    min over z   relu(confidence - margin(f(G(z)))) + c |G(z) - x|^2,   from the code of x itself

Every G(z) is its own projection, so that purifying leaves it as it is. What counts is how far from x it has to go.
Within a ball, x in the second term is the point of the ball that is nearest to G(z), and that point is the outcome: its
projection is G(z) again, or not far from there, as long as the ball is not far from G(z).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.generators.pairs import Generator
from sparring.generators.projection import Projection
from sparring.model import Model
from sparring.rng import Noise
from sparring.threat import Threat, Untargeted


@dataclass(frozen=True)
class Latent:
    """What came of it: images [B, C, H, W], whether the bare classifier is fooled [B], and the L2 distance [B] of the
    generator's image to x, or to the ball."""

    x_adv: Tensor
    fooled: Tensor
    distance: Tensor


def latent_attack(
    model: Model,
    generator: Generator,
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 300,
    lr: float = 0.05,
    c: float = 0.05,
    confidence: float = 2.0,
    projection: Projection | None = None,
    start: Tensor | None = None,
    threat: Threat | None = None,
    seed: int = 0,
) -> Latent:
    """Look for the nearest image of `generator` that `model`, without the defense, gets wrong.

    Args:
        x: pixels in [0, 1]; y: the true classes. projection: how the start is found, 200 steps from 5 starts.
        start: codes [B, latent] to begin at, where they are known already.
        confidence: the margin, in logits, that is aimed at, so that the second projection does not undo it.
        threat: with an eps, what is found lies in its ball; None = the nearest image, however far that is.
    """
    z = (projection or Projection(200, 5)).run(generator, x, Noise.of(x, seed)).z if start is None else start
    found, distance = x.clone(), torch.full((len(x),), torch.inf)
    goal, ball = Untargeted(y), None
    if threat is not None and threat.eps is not None:
        ball = threat.within(model.box).ball(x)
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    with model.guard():
        for step in range(1, steps + 1):
            z = z.detach().requires_grad_()
            image = generator(z)
            margin = goal.margin(model.logits(image))
            near = x if ball is None else ball.project(image.detach())
            apart = (image - near).flatten(1).square().sum(1)
            with torch.no_grad():
                better = (margin >= confidence) & (apart.sqrt() < distance)
                found[better] = (image.detach() if ball is None else near)[better]
                distance[better] = apart.sqrt()[better].detach()
            (slope,) = torch.autograd.grad(((confidence - margin).relu() + c * apart).sum(), z)
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope.square()
            z = z - lr * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return Latent(found, distance.isfinite(), distance)
