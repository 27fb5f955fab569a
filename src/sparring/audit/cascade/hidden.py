"""Probe of what hides gradients: asked only where the other probes found something to doubt.

Three things are looked for: a tensor inside the model that says what its answer says, the thresholds of a code of
single pixels, and whether gradients past what hides them match the model (then attacks that use them are sound).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sparring.audit.cascade.coded import thresholds
from sparring.audit.cascade.inner_tensor import SHOWN, inner_tensors
from sparring.audit.cascade.wrappers import subject
from sparring.audit.probes.gradient_quality import MOST, faithfulness
from sparring.audit.probes.picture_file import as_a_file, passes
from sparring.audit.probes.probe import Probes
from sparring.ball import Ball
from sparring.errors import SparringError
from sparring.model import Model
from sparring.rng import Noise
from sparring.threat import Threat

STRIDES = (0.02, 0.05, 0.1)
"of the box, in every pixel: across many steps of a fine rounding, not of a coarse one"

IN_STEP = 0.95
"rank correlation of two margins from which one is the other on another scale"
LEAST = 8
"images for that"


def look_inside(model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int, probes: Probes) -> Probes:
    """The probes with what was found behind what hides the gradients of images x [n, ...].

    `rescued` is the best of `STRIDES`, at most a third of a Linf radius: steep nets want short ones, steps long ones.
    """
    if model.access != "gradient" or len(x) < 2 or probes.random:
        return probes
    inner = inner_tensors(model, x)
    found = replace(probes, inner=inner[0] if inner else None, passes=probes.passes + 2 * min(len(x), 32))
    coded = probes.local is not None and probes.local.constant > 0.5
    if not coded and not (probes.flat_margin or 0.0) >= 0.05:
        return found
    levels = thresholds(model, x) if coded else ()
    filed = coded and as_a_file(model, x[:MOST], seed)
    spent = found.passes + (passes(min(len(x), MOST)) if coded else 0)
    return replace(found, levels=levels, filed=filed, passes=spent, rescued=_rescued(model, x, y, threat, seed))


def other_scores(model: Model, x: Tensor, threat: Threat, seed: int, probes: Probes) -> Probes:
    """The probes with a tensor inside the model that says what its answer says about images x [n, ...], and is not in
    step with it: then the answer is made of something else too, and attacks that follow it may be led aside."""
    if model.access != "gradient" or len(x) < LEAST or probes.random:
        return probes
    found = inner_tensors(model, x)
    passes = probes.passes + 2 * min(len(x), SHOWN)
    if not found:
        return replace(probes, passes=passes)
    settled = threat.within(model.box)
    assert settled.eps is not None
    assert settled.box is not None
    inner = subject(model, f"inner:{found[0]}:{probes.classes}", x)
    with model.guard(), torch.no_grad():
        point = model.accept(x[:SHOWN])
        eps = torch.full((len(point),), settled.eps, dtype=point.dtype, device=point.device)
        near = Ball(point, settled.norm, eps, settled.box).sample(Noise.of(point, seed).fold(0x1CE))
        shown = torch.cat([point, near])
        pairs = [one.logits(shown).topk(2, 1).values.double() for one in (model, inner)]
    ranks = [(top[:, 0] - top[:, 1]).argsort().argsort().double() for top in pairs]
    step = float(torch.corrcoef(torch.stack(ranks))[0, 1])
    return replace(probes, inner=None if step >= IN_STEP else found[0], passes=passes + 2 * len(shown))


def _rescued(model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int) -> float | None:
    exposed = model.exposed()
    way = exposed if exposed is not model else subject(model, "detour", x)
    width = model.box[1] - model.box[0]
    eps = threat.eps or width
    most = eps / 3 if str(threat.norm) == "Linf" else width
    strides = sorted({min(share * width, most) for share in STRIDES})
    try:
        with way.guard():
            point = way.accept(x[:MOST])
            labels, noise = y[:MOST].to(point.device), Noise.of(point, seed).fold(0x1D0)
            return max(faithfulness(way, point, labels, stride, noise)[0] for stride in strides)
    except (RuntimeError, SparringError):
        return None
