"""The attack on a model that refuses: it gives NaN or Inf for images that look perturbed, and so stops every climb.

The referee never counts such a point as fooled, and nobody can climb where there is no answer. So the search stays
where there is one: it begins at the image, moves a few pixels at a time, those with the largest gradient of the margin,
and takes back whatever meets no answer, or no gain; then it tries half as many. Run on the images that are still
unbroken, where earlier attacks have met NaN or Inf.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from sparring.attack import Attack, register
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.outcome import LADDER
from sparring.audit.suites.stage import Stage
from sparring.batches import run_batches
from sparring.bout import Bout
from sparring.losses import margin
from sparring.model import Model
from sparring.norms import L0, L1, L2, Linf

SHARE = 0.05
"of its images: an attack that met NaN or Inf on so many calls for this one"
PLACE = (LADDER, 1002)
"behind all stages that a suite may have, the latent attack and code flips"


@register(
    "within-answers",
    title="Within answers",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    specificity=("untargeted",),
    approach="gradient",
    year=2026,
    paper="",
    listed=False,
)
class WithinAnswers(Attack):
    """Moves few pixels at a time, and only to where the model answers.

    Args:
        steps: tries, each with the pixels of the largest gradient. share: of all pixels, moved by the first.
    """

    steps: int = 80
    share: float = 0.125

    def run(self, bout: Bout) -> None:
        at, most = bout.x, max(1, int(self.share * bout.x[0].numel()))
        value, slope = bout.value_and_grad(at, margin)
        count = torch.full_like(value, most)
        for _ in range(self.steps):
            at, value, slope, count = bout.active(at, value, slope, count, done=count < 1)
            if not len(bout):
                return
            ball, step = bout.ball, bout.ball.width * slope.sign()
            room = (ball.project(at + step) - at).abs()
            point = ball.project(torch.where(_largest(slope.abs() * room, count), at + step, at))
            now, there = bout.value_and_grad(point, margin)
            better = now > value  # never where there is no answer
            value, count = torch.where(better, now, value), torch.where(better, count, (count / 2).floor())
            rows = ball.column(better)
            at, slope = torch.where(rows, point, at), torch.where(rows, there, slope)


def _largest(worth: Tensor, count: Tensor) -> Tensor:
    """bool [b, ...]: the `count` [b] largest positive values of each row."""
    flat = worth.flatten(1)
    rank = flat.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    return ((rank < count[:, None]) & (flat > 0)).reshape(worth.shape)


REFUSED = Stage("Within answers", "within-answers", "adaptive", full_on_subset=False)


def run_within_answers(cascade: Cascade, model: Model) -> None:
    """On the images that stand, where attacks have met NaN or Inf."""
    rows = cascade.standing.nonzero().squeeze(1)
    doubts = [doubt for one in cascade.outcomes for doubt in one.result.doubts]
    met = max((doubt.share for doubt in doubts if doubt.code == "non-finite"), default=0.0)
    if met < SHARE or not len(rows) or model.access != "gradient" or cascade.draws:
        return
    data, began = (cascade.clean.x[rows], cascade.clean.y[rows]), time.perf_counter()
    found = run_batches(REFUSED.attack(), model, data, cascade.threat, batch_size=cascade.batch_size, seed=cascade.seed)
    cascade.add(REFUSED, rows, replace(found, attack=REFUSED.title, seconds=time.perf_counter() - began), PLACE)
