"""The latent attack: where a generator purifies, images of its own making within the ball (`defenses.purify.latent`).

Gradients through a projection are poor; the generator's code is where such a defense can be steered. The search knows
the generator and the classifier behind it, aims far beyond the boundary (30 logits, else 10) so that a second
projection does not lead back, and shows each point to the whole model once. Run on the images that are still unbroken.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.majority_vote import judged
from sparring.audit.cascade.outcome import LADDER
from sparring.audit.cascade.transfer import Shown
from sparring.audit.suites.stage import Stage
from sparring.batches import batches, run_batches
from sparring.defenses.purify.defense_gan import DefenseGAN
from sparring.defenses.purify.latent import latent_attack
from sparring.model import Model
from sparring.preprocess import Defended
from sparring.rng import Noise

STEPS = 200
CONFIDENT = (30.0, 10.0)
"logits beyond the boundary that are aimed at, the first that is reached"
LATENT = Stage("Latent", "latent", "adaptive", full_on_subset=False)
PLACE = (LADDER, 1000)
"behind all stages that a suite may have"


def purifier(model: Model) -> DefenseGAN | None:
    """The stage whose generator can be steered: images in [0, 1], a classifier that gives gradients behind it."""
    if not isinstance(model, Defended) or model.access != "gradient" or model.box != (0.0, 1.0):
        return None
    return next((stage.run for stage in model.stages if isinstance(stage.run, DefenseGAN)), None)


def run_latent(cascade: Cascade, model: Model) -> None:
    """On the images that stand, where there is a generator. Forward and backward passes of the classifier count."""
    stage, rows = purifier(model), cascade.standing.nonzero().squeeze(1)
    if stage is None or not len(rows):
        return
    assert isinstance(model, Defended)
    x, y = cascade.clean.x[rows], cascade.clean.y[rows]
    size, seed, began = cascade.batch_size, cascade.seed, time.perf_counter()
    points = torch.cat([_points(model.inner, stage, a, b, cascade) for a, b in batches((x, y), size)])
    result = run_batches(Shown.of(x, points), model, (x, y), cascade.threat, batch_size=size, seed=seed, keep="margin")
    if cascade.draws:
        result = judged(model, result, x, y, cascade.draws, seed, size)
    spent = STEPS * len(CONFIDENT)
    result = replace(
        result,
        queries=result.queries + spent,
        gradients=result.gradients + spent,
        attack=LATENT.title,
        seconds=time.perf_counter() - began,
    )
    cascade.add(LATENT, rows, result, PLACE)


def _points(inner: Model, stage: DefenseGAN, x: Tensor, y: Tensor, cascade: Cascade) -> Tensor:
    x = inner.accept(x)
    best, reached = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    labels, generator = y.to(x.device), stage.generator.to(x.device)
    start = stage.projection.run(generator, x, Noise.of(x, cascade.seed)).z
    for confidence in CONFIDENT:
        found = latent_attack(
            inner, generator, x, labels, steps=STEPS, confidence=confidence, start=start, threat=cascade.threat
        )
        new = found.fooled & ~reached
        best[new], reached = found.x_adv[new], reached | new
    return best.cpu()
