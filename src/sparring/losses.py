"""Losses of an attacker: f(logits [B, K], goal) -> [B], higher = closer to fooled.

This is the only place where a sign depends on targeted or untargeted. Never reduced over the batch: a
sample's gradient must not depend on its neighbours. Any function of this shape is a loss; those named here can
also be written by name ("pgd:loss=dlr").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from torch import Tensor

from sparring.spec import unknown
from sparring.threat import Goal


def cross_entropy(logits: Tensor, goal: Goal) -> Tensor:
    """-log p of the true class (untargeted), log p of the target (targeted).

    Its gradient underflows to exactly 0 in float32 once the logits are far apart: on such a model it proves
    nothing, use `margin` or `dlr`.
    """
    loss = F.cross_entropy(logits, goal.label, reduction="none")
    return -loss if goal.targeted else loss


def margin(logits: Tensor, goal: Goal) -> Tensor:
    """Best other logit minus the true one (untargeted), target minus best other (targeted): the C&W loss."""
    return goal.margin(logits)


def dlr(logits: Tensor, goal: Goal) -> Tensor:
    """Difference of logits ratio: the margin over (largest - third largest logit), free of scale and shift.

    Croce & Hein 2020, arXiv:2003.01690, eq. 6. With fewer than 3 classes the ratio is not defined: the margin.
    """
    return _ratio(goal.margin(logits), logits, third_only=True)


def dlr_targeted(logits: Tensor, goal: Goal) -> Tensor:
    """(z_t - z_y) over (largest - mean of third and fourth): DLR towards the class `goal.t`.

    Croce & Hein 2020, eq. 7. Where only one of y and t is known, the best other class stands for the other.
    With 3 classes it divides as `dlr` does, with 2 not at all.
    """
    return _ratio(logit_difference(logits, goal), logits, third_only=False)


def logit_difference(logits: Tensor, goal: Goal) -> Tensor:
    """z_t - z_y: towards one class, away from another (MultiTargeted, Gowal et al. 2019, arXiv:1910.09338)."""
    if goal.y is None or goal.t is None:
        return goal.margin(logits)
    pair = logits.gather(1, torch.stack([goal.t, goal.y], 1))
    return pair[:, 0] - pair[:, 1]


def towards(logits: Tensor, goal: Goal) -> Tensor:
    """log p of the class `goal.t`, whatever the goal counts as success (ILCM, and every search by a detour)."""
    assert goal.t is not None, "aim the goal at a class first"
    return -F.cross_entropy(logits, goal.t, reduction="none")


def logit(logits: Tensor, goal: Goal) -> Tensor:
    """Only the class in question: minus the true logit (untargeted), the target's logit (targeted)."""
    own = logits.gather(1, goal.label[:, None]).squeeze(1)
    return own if goal.targeted else -own


def logit_above_mean(logits: Tensor, goal: Goal) -> Tensor:
    """The same, above the mean of all logits: a net that adds a number to all of them is no other net."""
    return logit(logits - logits.mean(1, keepdim=True), goal)


def log_odds(logits: Tensor, goal: Goal) -> Tensor:
    """log of (1 - p) / p of the true class (untargeted), of p / (1 - p) of the target: GenAttack's fitness.

    Alzantot et al. 2018, arXiv:1805.11090. By a logsumexp of the other classes: 1 - p itself has no digits left in
    float32 where the net is sure.
    """
    own = logits.gather(1, goal.label[:, None]).squeeze(1)
    odds = own - logits.scatter(1, goal.label[:, None], float("-inf")).logsumexp(1)
    return odds if goal.targeted else -odds


def houdini(logits: Tensor, goal: Goal) -> Tensor:
    """log of Houdini with the 0/1 loss of classification: log P(margin > noise), the noise standard normal.

    Cisse et al. 2017, arXiv:1707.05373. P itself has no gradient left in float32 13 logits away from the goal; its
    log pulls the harder the farther away it is. Its gradient is that of the margin, rescaled.
    """
    return _log_chance(goal.margin(logits))


@cache
def houdini_top(k: int) -> Callable[[Tensor, Goal], Tensor]:
    """Houdini with the 0/1 loss of the best `k`: the true class is not among them (untargeted), the target is.

    With fewer than k + 1 classes, k is as large as it can be.
    """

    def loss(logits: Tensor, goal: Goal) -> Tensor:
        own = logits.gather(1, goal.label[:, None]).squeeze(1)
        rest = logits.scatter(1, goal.label[:, None], float("-inf"))
        gap = rest.topk(min(k, logits.shape[1] - 1), 1).values[:, -1] - own
        return _log_chance(-gap if goal.targeted else gap)

    loss.__name__ = f"houdini-top{k}"
    return loss


def _log_chance(gap: Tensor) -> Tensor:
    """log P(standard normal noise < gap), with a gradient that is right however negative the gap.

    That of `torch.special.log_ndtr` is off by 4 % at -1000 in float32, and 0 at -1e6; below -20 this is the series.
    """
    near: Tensor = torch.special.log_ndtr(gap.clamp(min=-20))
    far = gap.clamp(max=-20)
    tail = -far.square() / 2 - (-far * math.sqrt(2 * math.pi)).log() + (-1 / far.square()).log1p()
    return torch.where(gap < -20, tail, near)


def _ratio(gap: Tensor, logits: Tensor, third_only: bool) -> Tensor:
    classes = logits.shape[1]
    if classes < 3:
        return gap
    top = logits.topk(min(4, classes), 1).values
    low = top[:, 2] if third_only or classes == 3 else (top[:, 2] + top[:, 3]) / 2
    return gap / (top[:, 0] - low + 1e-12)


LOSSES: dict[str, Callable[[Tensor, Goal], Tensor]] = {
    "ce": cross_entropy,
    "margin": margin,
    "dlr": dlr,
    "dlr-t": dlr_targeted,
    "logit-difference": logit_difference,
    "logit": logit,
    "logit-above-mean": logit_above_mean,
    "towards": towards,
    "log-odds": log_odds,
    "houdini": houdini,
    "houdini-top5": houdini_top(5),
}


def _lookup(value: Any) -> Any:
    if isinstance(value, str):
        name = value.lower().replace("_", "-")
        name = {"cross-entropy": "ce", "cw": "margin", "dlr-targeted": "dlr-t"}.get(name, name)
        if name not in LOSSES:
            raise unknown("loss", value, LOSSES)
        return LOSSES[name]
    return value


def _name(loss: Callable[..., Tensor]) -> str:
    return next((name for name, known in LOSSES.items() if known is loss), getattr(loss, "__name__", repr(loss)))


Loss = Annotated[
    Callable[[Tensor, Goal], Tensor],
    BeforeValidator(_lookup),
    PlainSerializer(_name, return_type=str),
    WithJsonSchema({"type": "string", "enum": list(LOSSES)}),
]
"""A loss as a field of an attack: a function, or one of the names in `LOSSES`."""
