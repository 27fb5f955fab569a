"""The attack on the projection itself: move the image until a code of another class explains it better.

    a = the nearest image G(z) that the classifier gets right, b = the nearest that it gets wrong; both follow x
    x <- P(x + step * steepest(b - a)),   b - a is half the gradient of |G(z_a) - x|^2 - |G(z_b) - x|^2

Defense-GAN answers with the class of argmin |G(z) - x|: what decides is which of two codes lies nearer, and no gradient
through the search is needed, nor one of the classifier. Codes go on from where they were, a few steps each time (a
warm start), so that a whole attack costs less than ten projections from random starts. Some codes begin at random, as
the defense does; others at images of other classes that lie near the ball.

No published attack that we know of; Athalye et al. 2018 (arXiv:1802.00420) broke this defense by images of the
generator itself, see `latent`. What it finds must be shown to the whole defense.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.generators.denormals import denormals_are_zero
from sparring.generators.pairs import Generator
from sparring.generators.projection import error_and_slope
from sparring.generators.walks import MomentumWalk
from sparring.model import Model
from sparring.rng import Noise
from sparring.threat import Threat

POOL, SURE = 4000, 3.0
"images of the generator among which rivals are looked for; the margin, in logits, of those that are of a class"
FIRST, LR = 40, 10.0
"steps of the first projection from random starts; the learning rate of all"
WORST = 1.0
"the mean squared error of pixels in [0, 1] that no code can exceed"


def rival_attack(
    model: Model,
    generator: Generator,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    starts: int = 20,
    rivals: int = 20,
    rounds: int = 40,
    steps: int = 8,
    seed: int = 0,
) -> Tensor:
    """Points [B, C, H, W] of the ball for which codes of other classes lead by most, or those of the true one trail by
    least.

    Args:
        model: the classifier behind the projection. x: pixels [B, C, H, W] in [0, 1]; y: [B] true classes.
        threat: with an eps; not L0. starts: random codes an image. rivals: codes of other classes. rounds: moves of x.
        steps: of every code after each move. seed: of the starts.
    """
    ball, b = threat.within(model.box).ball(x), len(x)
    rows = torch.arange(b, device=x.device)
    with model.guard(), denormals_are_zero():
        start = _projected(generator, x, starts, Noise.of(x, seed))
        near = _near(generator, ball, _others(model, generator, ball, y, rivals, seed))
        images = _images(generator, near)
        within = ball.project_many(images)
        point = within[rows, _apart(images, within).argmin(1)]
        codes = torch.cat([start, near], 1)
        best, most = point, torch.full((b,), -torch.inf, dtype=x.dtype, device=x.device)
        for done in range(rounds + 1):
            codes = _followed(generator, codes, point[:, None].expand(-1, codes.shape[1], *x.shape[1:]), steps)
            images = _images(generator, codes)
            right = model.labels(images.flatten(0, 1)).view(b, -1) == y[:, None]
            error = _apart(images, point[:, None])
            true, wrong = error.masked_fill(~right, WORST), error.masked_fill(right, WORST)
            lead = true.amin(1) - wrong.amin(1)
            best = torch.where(ball.column(lead > most), point, best)
            most = torch.maximum(lead, most)
            if done < rounds:
                mine, other = images[rows, true.argmin(1)], images[rows, wrong.argmin(1)]
                mine = torch.where(ball.column(right.any(1)), mine, point)
                other = torch.where(ball.column((~right).any(1)), other, point)
                point = ball.project(ball.step(point, other - mine, ball.eps * 2 / (4 + done)))
    return best


def _projected(generator: Generator, x: Tensor, starts: int, noise: Noise) -> Tensor:
    """[B, starts, latent]: codes of x from random starts; the first is the encoder's, where there is one."""
    z = noise.normal(starts, generator.latent, dtype=x.dtype).to(x.device)
    if generator.encoder is not None:
        with torch.no_grad():
            z[:, 0] = generator.encoder(x)
    return _followed(generator, z, x[:, None].expand(-1, starts, *x.shape[1:]), FIRST)


def _others(model: Model, generator: Generator, ball: Ball, y: Tensor, rivals: int, seed: int) -> Tensor:
    """[B, rivals, latent]: of many codes, those of other classes whose images are nearest to the ball."""
    pool = torch.randn(POOL, generator.latent, generator=torch.Generator().manual_seed(seed)).to(ball.x)
    images = _images(generator, pool)
    with torch.no_grad():
        top, labels = torch.cat([model.logits(part) for part in torch.split(images, 500)]).topk(2, 1)
    chosen = []
    for row in range(len(y)):
        far = _apart(images, ball[torch.full((POOL,), row, device=images.device)].project(images))
        far = far.masked_fill((labels[:, 0] == y[row]) | (top[:, 0] - top[:, 1] < SURE), torch.inf)
        chosen.append(pool[far.topk(rivals, largest=False).indices])
    return torch.stack(chosen)


def _near(generator: Generator, ball: Ball, codes: Tensor) -> Tensor:
    """The codes [B, r, latent], moved towards the ball."""
    for _ in range(3):
        codes = _followed(generator, codes, ball.project_many(_images(generator, codes)), 5)
    return codes


def _followed(generator: Generator, codes: Tensor, images: Tensor, steps: int) -> Tensor:
    """Codes [B, r, latent] after so many steps towards images [B, r, ...]."""
    walk, target = MomentumWalk(codes.flatten(0, 1), LR), images.flatten(0, 1)
    for step in range(steps):
        walk.step(*error_and_slope(generator, walk.z, target), step / steps)
    return walk.z.view_as(codes)


@torch.no_grad()
def _images(generator: Generator, codes: Tensor) -> Tensor:
    """[..., latent] -> [..., C, H, W]."""
    flat = torch.cat([generator(part) for part in torch.split(codes.flatten(0, -2), 2048)])
    return flat.view(*codes.shape[:-1], *flat.shape[1:])


def _apart(images: Tensor, points: Tensor) -> Tensor:
    """Mean squared errors of [..., C, H, W]."""
    return (images - points).square().flatten(-3).mean(-1)
