"""Probes of the neighbourhood: is the model flat around an image, and do its gradients tell the truth?

Each on the first images of the sanity subset, with the margin loss unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring import losses
from sparring.ball import Ball
from sparring.bout import LossFunction
from sparring.model import Model
from sparring.rng import Noise
from sparring.threat import Threat, Untargeted

MOST = 32
"images"
STEP = 1e-4
"of the box: the smallest move that any smooth classifier notices in float32"
FARTHEST = 1 / 3
"of the way across the box: beyond it a random point of the ball is a random image, and says nothing of this one"
LOOKS, WAYS, DRAWS = 10, 20, 10
"tiny moves, directions and random points, where a few leave it open"
FEW_LOOKS, FEW_WAYS, FEW_DRAWS = 2, 8, 3
"after so many, a value far on the honest side of its threshold is settled"
CHECKED = 12
"images that slopes and scores are held against what they stand for"
SHORT, LONG = 1e-3, 1e-2
"of the box: a wrong slope is wrong over both, a kink or a rounded logit matters over one alone"
CHECKED_WAYS = 6
BAD = 0.4
"of a difference of the loss: an error above it is looked at again over `LONG`"
HALVINGS = 14
QUARTER = 0.75
"quantile over the images: a mask may be there for some of them alone"
SURE_CONSTANT, SURE_FAITHFUL, SURE_UNSTABLE, SURE_JUMP = 0.1, 0.85, 0.05, 0.2
"far from the thresholds of the checks: 0.5, 0.5, 0.1, 0.3"


@dataclass(frozen=True)
class Local:
    """What was measured around the images.

    Attributes:
        constant: share of (image, tiny move) pairs whose logits are the same to the last bit.
        faithful: median over images of the rank correlation, over random directions, of slopes with differences; 0
            where one of them is constant. aligned: mean cosine of the cross-entropy's gradients at the
            image and at a random point of its ball; None where too few have one.
        unstable: mean relative change of the loss a tenth of the way to random points of the ball.
        jump: the change a hundredth of the way, as a share of that a tenth of the way: 0.1 for smooth nets, however
            steep; 1 for one that jumps.
        passes: forward plus backward passes spent.
        mistaken: by how much slopes miss the differences that they stand for, at the image or at a random point of
            its ball, of the larger of both; a quarter of the images miss by more. None where nothing is smooth.
        leap: the margin beside the border of the class, of that on the image; a quarter of the images have more. 0
            for whatever is continuous; None where there is nothing to walk to.
    """

    constant: float
    faithful: float | None
    aligned: float | None
    unstable: float
    passes: int
    jump: float = 1.0
    mistaken: float | None = None
    leap: float | None = None


def look_around(model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int) -> Local:
    """Measure all of it on at most `MOST` images x [n, ...]."""
    with model.guard():
        x = model.accept(x[:MOST])
        y = y[:MOST].to(x.device)
        noise = Noise.of(x, seed).fold(0x10CA1)
        width = model.box[1] - model.box[0]
        few = x[:CHECKED], y[:CHECKED]
        with torch.no_grad():
            clean = model.logits(x)
            constant, looks = _constant(model, x, clean, STEP * width, noise)
            unstable, jump, draws = _unstable(model, x, y, clean, threat, noise)
            leap, walked = _leap(model, *few, Noise.of(few[0], seed).fold(0x1EA))
        passes = (1 + looks + 2 * draws) * len(x) + walked
        faithful = aligned = mistaken = None
        if model.access == "gradient":
            faithful, ways = faithfulness(model, x, y, _stride(threat, width), noise)
            aligned = _aligned(model, x, y, threat, noise)
            passes += (2 + 2 * ways + 4) * len(x)
            if constant <= 0.5:  # else it rounds, which other probes see to
                mistaken, asked = _mistaken(model, *few, threat, width, Noise.of(few[0], seed).fold(0x315))
                passes += asked
    return Local(constant, faithful, aligned, unstable, passes, jump, mistaken, leap)


def _constant(model: Model, x: Tensor, clean: Tensor, step: float, noise: Noise) -> tuple[float, int]:
    """P8: the share of tiny moves that change nothing at all; and how many were looked at, an image."""
    same: list[Tensor] = []
    share = 0.0
    for look in range(1, LOOKS + 1):
        point = (x + step * noise.signs(*x.shape[1:], dtype=x.dtype)).clamp(*model.box)
        same.append((model.logits(point) == clean).all(1))
        share = float(torch.stack(same).double().mean())
        if look == FEW_LOOKS and share <= SURE_CONSTANT:
            break
    return share, len(same)


def _unstable(
    model: Model, x: Tensor, y: Tensor, clean: Tensor, threat: Threat, noise: Noise
) -> tuple[float, float, int]:
    """G6: how much the loss changes a tenth of the way to random points of the ball, relative to itself and at most 1
    each; how much of that change is there after a hundredth of the way; and to how many points it went."""
    before = losses.margin(clean, Untargeted(y))
    change = torch.zeros(2, DRAWS, len(x), dtype=torch.float64, device=x.device)
    unstable, jump, count = 0.0, 0.0, 0
    for draw in range(DRAWS):
        way = _ball(model, x, threat, 1.0).sample(noise) - x
        for k, share in enumerate((0.1, 0.01)):
            after = losses.margin(model.logits((x + share * way).clamp(*model.box)), Untargeted(y))
            change[k, draw] = (after - before).abs()
        count = draw + 1
        if count in (FEW_DRAWS, DRAWS):
            far, near = change[:, :count].nan_to_num(float("inf"))
            relative = (far / before.abs().clamp(min=1e-12)).clamp(max=1.0).nan_to_num(1.0)
            soon = near.clamp(max=1e30).mean() / far.clamp(max=1e30).mean().clamp(min=1e-30)
            unstable, jump = float(relative.mean()), float(soon.clamp(max=1.0))
            if unstable <= SURE_UNSTABLE or jump <= SURE_JUMP:
                break
    return unstable, jump, count


def faithfulness(model: Model, x: Tensor, y: Tensor, stride: float, noise: Noise) -> tuple[float, int]:
    """G4: do slopes along random directions rank as the differences there do? And along how many it was asked."""
    slope = _slope(model, x, y, losses.margin)
    predicted, true = [], []
    median, count = 0.0, 0
    for count in range(1, WAYS + 1):
        way = noise.signs(*x.shape[1:], dtype=x.dtype)
        ahead, back = (point.clamp(*model.box) for point in (x + stride * way, x - stride * way))
        with torch.no_grad():
            rise = losses.margin(model.logits(ahead), Untargeted(y)) - losses.margin(model.logits(back), Untargeted(y))
        predicted.append((slope * (ahead - back)).flatten(1).sum(1))
        true.append(rise)
        if count in (FEW_WAYS, WAYS):
            rho = _correlation(_ranks(torch.stack(predicted)), _ranks(torch.stack(true)))
            median = float(rho.nan_to_num(0.0).median())
            if median >= SURE_FAITHFUL:
                break
    return median, count


def _mistaken(
    model: Model, x: Tensor, y: Tensor, threat: Threat, width: float, noise: Noise
) -> tuple[float | None, int]:
    """G7: do slopes give the differences themselves, at the images and at random points of their balls? And the passes.

    A backward pass that is wrong for some pixels, or only away from clean images, still ranks directions well enough.
    """
    worst, passes = 0.0, 0
    for place in (x, _ball(model, x, threat, 1.0).sample(noise)):
        error, spent = _error(model, place, y, SHORT * width, noise)
        if bool(error.quantile(QUARTER) > BAD):
            further, more = _error(model, place, y, LONG * width, noise)
            error, spent = torch.minimum(error, further), spent + more
        worst, passes = max(worst, float(error.quantile(QUARTER))), passes + spent
    return (worst if len(x) else None), passes


def _error(model: Model, x: Tensor, y: Tensor, stride: float, noise: Noise) -> tuple[Tensor, int]:
    """[n] how far slopes at x [n, ...] miss the differences over a stride, of the larger of both; and the passes.

    Of one class over the right one, the nearest at x: where two are as near, the margin itself has a kink.
    """
    point = x.detach().clone().requires_grad_()
    logits = model.logits(point)
    rows = torch.arange(len(x), device=logits.device)
    others = logits.detach().clone()
    others[rows, y] = -torch.inf
    rival = others.argmax(1)

    def lead(logits: Tensor) -> Tensor:
        return (logits[rows, rival] - logits[rows, y]).double()

    value = lead(logits).sum()
    slope = torch.autograd.grad(value, point, allow_unused=True)[0] if value.requires_grad else None
    slope = torch.zeros_like(x) if slope is None else slope.nan_to_num(0.0, 0.0, 0.0)
    missed, size = [], []
    for _ in range(CHECKED_WAYS):
        way = noise.signs(*x.shape[1:], dtype=x.dtype)
        ahead, back = (end.clamp(*model.box) for end in (x + stride * way, x - stride * way))
        with torch.no_grad():
            rise = lead(model.logits(ahead)) - lead(model.logits(back))
        told = (slope.double() * (ahead - back).double()).flatten(1).sum(1)
        missed.append(told - rise)
        size.append(torch.maximum(told.abs(), rise.abs()))
    off, whole = (torch.stack(each).nan_to_num(0.0, 0.0, 0.0).norm(dim=0) for each in (missed, size))
    return (off / whole.clamp(min=1e-300)).clamp(max=2.0), (2 + 2 * CHECKED_WAYS) * len(x)


def _leap(model: Model, x: Tensor, y: Tensor, noise: Noise) -> tuple[float | None, int]:
    """G8: on the way to an image of another class, as it is and with noise on it, does the margin come down to 0 where
    the class changes? And the passes.

    Scores that are another net's, or the class alone with a made-up confidence, stay large on both sides of the border.
    """
    n, passes = len(x), 0
    others = [next((j % n for j in range(i + 1, i + n) if y[j % n] != y[i]), i) for i in range(n)]
    able = torch.tensor([other != i for i, other in enumerate(others)], dtype=torch.bool, device=x.device)
    if not bool(able.any()):
        return None, 0
    low, high = model.box
    end = x[torch.tensor(others, device=x.device)]
    clean = losses.margin(model.logits(x), Untargeted(y)).abs()
    worst, wide = torch.zeros_like(clean), (-1, *[1] * (x.dim() - 1))
    for goal in (end, (end + 0.5 * (high - low) * noise.signs(*x.shape[1:], dtype=x.dtype)).clamp(low, high)):
        right, wrong = torch.zeros(n, dtype=x.dtype, device=x.device), torch.ones(n, dtype=x.dtype, device=x.device)
        for _ in range(HALVINGS):
            middle = (right + wrong) / 2
            over = model.logits(x + middle.view(wide) * (goal - x)).argmax(1) != y
            right, wrong = torch.where(over, right, middle), torch.where(over, middle, wrong)
        before, behind = (
            losses.margin(model.logits(x + share.view(wide) * (goal - x)), Untargeted(y)) for share in (right, wrong)
        )
        crossed = (before < 0) & (behind >= 0)  # else the way has no border
        worst = torch.where(crossed, torch.maximum(worst, torch.maximum(before.abs(), behind)), worst)
        passes += (HALVINGS + 2) * n
    found = (worst / clean.clamp(min=1e-30)).nan_to_num(0.0)[able]
    return float(found.clamp(max=1e30).quantile(QUARTER)), passes + n


def _aligned(model: Model, x: Tensor, y: Tensor, threat: Threat, noise: Noise) -> float | None:
    """G5: do gradients at the image and nearby point the same way? Of those that have any."""
    here = _slope(model, x, y, losses.cross_entropy).flatten(1)
    assert threat.eps is not None
    near = min(1.0, FARTHEST * threat.within(model.box).reach(x[0].numel()) / threat.eps)
    there = _slope(model, _ball(model, x, threat, near).sample(noise), y, losses.cross_entropy).flatten(1)
    alive = (here != 0).any(1) & (there != 0).any(1)
    if 2 * int(alive.sum()) < len(x) or not len(x):
        return None
    return float(F.cosine_similarity(here[alive].double(), there[alive].double(), dim=1, eps=0).mean())


def _slope(model: Model, x: Tensor, y: Tensor, loss: LossFunction) -> Tensor:
    point = x.detach().clone().requires_grad_()
    value = loss(model.logits(point), Untargeted(y)).sum()
    found = torch.autograd.grad(value, point, allow_unused=True)[0] if value.requires_grad else None
    return torch.zeros_like(x) if found is None else found.nan_to_num(0.0, 0.0, 0.0)


def _ball(model: Model, x: Tensor, threat: Threat, share: float) -> Ball:
    assert threat.eps is not None
    return Ball(x, threat.norm, torch.full((len(x),), share * threat.eps, dtype=x.dtype, device=x.device), model.box)


def _stride(threat: Threat, width: float) -> float:
    """How far to go for a difference: a hundredth of a Linf radius; far enough for float32."""
    assert threat.eps is not None
    linf = str(threat.norm) == "Linf"
    return max(0.01 * threat.eps if linf else 3e-3 * width, STEP * width)


def _ranks(values: Tensor) -> Tensor:
    """[m, n] ranks along the first dimension; equal values share their mean rank."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return below.double() + (equal - 1) / 2


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's along the first dimension: [n], NaN where one is constant."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / (a.square().sum(0) * b.square().sum(0)).sqrt()
