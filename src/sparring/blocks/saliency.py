"""The saliency map of JSMA: which pair of pixels helps the target and hurts the other classes most."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.kernels import unit_peak

MEMORY = 2**24
"the most scores held at once"


def strongest_pair(helps: Tensor, hurts: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """The pair p < q with the largest (helps_p + helps_q) * (hurts_p + hurts_q), both sums above 0.

    Exact without looking at all pairs: replacing a pixel by one that is at least as good in both never lowers the
    score, so the best pair lies among the pixels to which at most one other is superior. They are few.

    Args:
        helps, hurts: [b, n] what moving a pixel does for the target's score, and against the others'.
        usable: bool [b, n], the pixels that may be chosen.

    Returns:
        The pair [b, 2], and bool [b]: is there one?

    >>> strongest_pair(torch.tensor([[3.0, 2.0, -1.0]]), torch.tensor([[-1.0, 2.0, 9.0]]), torch.ones(1, 3).bool())
    (tensor([[0, 2]]), tensor([True]))
    """
    helps, hurts = (unit_peak(values).masked_fill(~usable, -torch.inf) for values in (helps, hurts))
    at = _undominated(helps, hurts)
    helps, hurts, count = helps.gather(1, at), hurts.gather(1, at), at.shape[1]
    top = helps.new_zeros(len(at))
    pair = torch.zeros_like(at[:, :1]).expand(-1, 2)
    everybody = torch.arange(count, device=at.device)
    for some in torch.split(everybody, max(1, MEMORY // max(1, len(at) * count))):
        good, bad = (values[:, some, None] + values[:, None, :] for values in (helps, hurts))
        score = torch.where((good > 0) & (bad > 0), good * bad, 0)
        score = score.masked_fill(some[:, None] == everybody, 0).flatten(1)
        value, where = score.max(1)
        here = torch.stack([at.gather(1, some[where // count, None]), at.gather(1, where[:, None] % count)], 1)[..., 0]
        pair = torch.where((value > top)[:, None], here.sort(1).values, pair)
        top = torch.maximum(top, value)
    return pair, top > 0


def _undominated(helps: Tensor, hurts: Tensor) -> Tensor:
    """[b, m] the pixels that at most one other beats or equals in both, and as many more as make rows even."""
    order = hurts.argsort(dim=1, descending=True, stable=True)
    order = order.gather(1, helps.gather(1, order).argsort(dim=1, descending=True, stable=True))
    value = hurts.gather(1, order)
    first = _rising(value)
    kept = first | _rising(value.masked_fill(first, -torch.inf))
    most = max(2, int(kept.sum(1).max())) if len(kept) else 2
    return order.gather(1, kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most])


def _rising(value: Tensor) -> Tensor:
    """bool [b, n]: larger than all before it in its row."""
    before = value.cummax(1).values.roll(1, 1)
    before[:, 0] = -torch.inf
    return value > before
