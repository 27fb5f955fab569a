"""Where a generator purifies: attacks on its codes, on the images that are still unbroken.

Gradients through a projection are poor; the generator's code is where such a defense can be steered. Both searches know
the generator and the classifier behind it:

    rival codes   the image moves until a code of another class explains it better (`defenses.purify.rivals`)
    latent        images of the generator within the ball (`defenses.purify.latent`), far beyond the boundary (30
                  logits, else 10), so that a second projection does not lead back

Each point is shown to the whole model, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.majority_vote import judged
from sparring.audit.cascade.outcome import LADDER, Place
from sparring.audit.cascade.transfer import Shown
from sparring.audit.suites.stage import Stage
from sparring.batches import batches, run_batches
from sparring.defenses.purify.defense_gan import DefenseGAN
from sparring.defenses.purify.latent import latent_attack
from sparring.defenses.purify.rivals import rival_attack
from sparring.model import Model
from sparring.preprocess import Defended
from sparring.rng import Noise
from sparring.spec import parse_spec

STEPS = 200
CONFIDENT = (30.0, 10.0)
"logits beyond the boundary that are aimed at, the first that is reached"
LATENT = Stage("Latent", "latent", "adaptive", full_on_subset=False)
PLACE = (LADDER, 1000)
"behind all stages that a suite may have"
RIVALS = (
    Stage("Rival codes", "rivals:starts=20,rivals=20,rounds=40", "adaptive", full_on_subset=False),
    Stage("Rival codes, longer", "rivals:starts=20,rivals=30,rounds=80", "adaptive", full_on_subset=False),
    Stage("Rival codes, more of them", "rivals:starts=40,rivals=60,rounds=80", "adaptive", full_on_subset=False),
)
"one after the other, each from starts of its own"
CODES = ("latent", "rivals")
"what their specs begin with: they are no registered attacks"


def purifier(model: Model) -> DefenseGAN | None:
    """The stage whose generator can be steered: images in [0, 1], a classifier that gives gradients behind it."""
    if not isinstance(model, Defended) or model.access != "gradient" or model.box != (0.0, 1.0):
        return None
    return next((stage.run for stage in model.stages if isinstance(stage.run, DefenseGAN)), None)


def run_codes(cascade: Cascade, model: Model) -> None:
    """On the images that stand, where there is a generator. Forward and backward passes of the classifier count."""
    generator = purifier(model)
    if generator is None:
        return
    if not cascade.threat.norm.sparse:
        for k, stage in enumerate(RIVALS, -len(RIVALS)):
            numbers = {name: int(value) for name, value in parse_spec(stage.spec).fields.items()}
            looks = (numbers["starts"] + numbers["rivals"]) * (numbers["rounds"] + 1)
            _run(cascade, model, stage, (PLACE[0], PLACE[1] + k), partial(_rivals, generator, numbers, k), (looks, 0))
    _run(cascade, model, LATENT, PLACE, partial(_points, generator), (STEPS * len(CONFIDENT),) * 2)


def _run(
    cascade: Cascade,
    model: Model,
    stage: Stage,
    place: Place,
    search: Callable[[Model, Tensor, Tensor, Cascade], Tensor],
    spent: tuple[int, int],
) -> None:
    """Show the points of a search to the model. `spent`: forward and backward passes of the classifier, an image."""
    rows = cascade.standing.nonzero().squeeze(1)
    if not len(rows):
        return
    assert isinstance(model, Defended)
    x, y = cascade.clean.x[rows], cascade.clean.y[rows]
    size, seed, began = cascade.batch_size, cascade.seed, time.perf_counter()
    points = torch.cat([search(model.inner, a, b, cascade) for a, b in batches((x, y), size)])
    result = run_batches(Shown.of(x, points), model, (x, y), cascade.threat, batch_size=size, seed=seed, keep="margin")
    if cascade.draws:
        result = judged(model, result, x, y, cascade.draws, seed, size)
    result = replace(
        result,
        queries=result.queries + spent[0],
        gradients=result.gradients + spent[1],
        attack=stage.title,
        seconds=time.perf_counter() - began,
    )
    cascade.add(stage, rows, result, place)


def _rivals(
    stage: DefenseGAN, numbers: dict[str, int], attempt: int, inner: Model, x: Tensor, y: Tensor, cascade: Cascade
) -> Tensor:
    taken, labels, generator = inner.accept(x), y.to(inner.device or x.device), stage.generator.to(x.device)
    seed = cascade.seed + attempt
    return rival_attack(inner, generator, taken, labels, cascade.threat, seed=seed, **numbers).cpu()


def _points(stage: DefenseGAN, inner: Model, x: Tensor, y: Tensor, cascade: Cascade) -> Tensor:
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
