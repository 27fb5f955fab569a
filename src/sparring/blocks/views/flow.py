"""Flow fields: every pixel of the new image is read off the old one at a place nearby (Xiao et al. 2018).

A flow is [b, 2, H, W]: how many pixels to the right and how many downwards of each pixel its new value lies.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.blocks.directions import Memory, adam
from sparring.blocks.penalty.bisect import Bisect
from sparring.blocks.views.pictures import as_pictures
from sparring.bout import Bout
from sparring.kernels import per

FLOOR = 1e-8
"under the root of the smoothness term, whose slope at 0 would be infinite"


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """The images `x` [b, ...] read along the flow: bilinear, at the border the nearest pixel. Differentiable.

    A flow of 0 gives `x` to the bit, and where neighbours are equal nothing changes at all.
    """
    old = as_pictures(x)
    height, width = old.shape[2:]
    column = (torch.arange(width, device=x.device) + flow[:, 0]).clamp(0, width - 1)
    row = (torch.arange(height, device=x.device)[:, None] + flow[:, 1]).clamp(0, height - 1)
    left, above = column.detach().floor(), row.detach().floor()
    across, down = (column - left)[:, None], (row - above)[:, None]
    pixels = old.flatten(2)

    def at(right: int, below: int) -> Tensor:
        index = (above + below).clamp(max=height - 1) * width + (left + right).clamp(max=width - 1)
        return pixels.gather(2, index.long().flatten(1)[:, None].expand(-1, old.shape[1], -1)).reshape(old.shape)

    upper, lower = (at(0, below) + across * (at(1, below) - at(0, below)) for below in (0, 1))
    return (upper + down * (lower - upper)).reshape(x.shape)


def flow_loss(flow: Tensor) -> Tensor:
    """How uneven a flow is: sum over pixels and their 4 neighbours of the Euclidean size of the difference. [b]

    >>> step = torch.tensor([[[[0.0, 3.0]], [[0.0, 4.0]]]])  # one line of two pixels, each a neighbour of the other
    >>> flow_loss(step).round()
    tensor([10.])
    """
    squares = (flow.diff(dim=k).square().sum(1) for k in (2, 3))
    # sqrt(s + FLOOR) - sqrt(FLOOR), written so that an even flow costs exactly nothing, however a machine rounds
    down, right = ((s / ((s + FLOOR).sqrt() + FLOOR**0.5)).flatten(1).sum(1) for s in squares)
    loss: Tensor = 2 * (down + right)
    return loss


class _Rows(NamedTuple):
    """The rows of a search: the flow and its optimiser, did it fool in this run, and the smoothest flow that ever did.

    `weight` is that of being fooled, 1 / tau.
    """

    flow: Tensor
    memory: Memory
    hit: Tensor
    weight: Bisect
    smoothest: Tensor
    loss: Tensor


def smoothest_flow(
    bout: Bout, steps: int, search: int, tau: float, step: float, confidence: float
) -> tuple[Tensor, Tensor]:
    """The smoothest flows that fool, found by Adam on (confidence - margin)_+ + tau * flow_loss from a flow of 0.

    Args:
        steps: of each run. search: runs, each from 0 again; bisection looks for each row's largest tau that fools.
        tau: of the first run. step: the first of Adam's, in pixels; they shrink to 0.
        confidence: the margin that is asked for.

    Returns:
        For the rows that still stand, flows [b, 2, H, W], 0 where none fooled, and their losses [b], infinite there.
    """
    x = as_pictures(bout.x)
    still = x.new_zeros(len(x), 2, *x.shape[2:])
    nobody, never = torch.zeros(len(x), dtype=torch.bool, device=x.device), x.new_full((len(x),), torch.inf)
    rows = _Rows(still, {}, nobody, Bisect.start(x, 1 / tau), still, never)
    for _ in range(search):
        rows = rows._replace(flow=torch.zeros_like(rows.flow), memory={}, hit=torch.zeros_like(rows.hit))
        for k in range(steps):
            rows = bout.active(_descend(bout, rows, step * (1 - k / steps), confidence))
            if not len(bout):
                return rows.smoothest, rows.loss
        rows = rows._replace(weight=rows.weight.tell(rows.hit))
    return rows.smoothest, rows.loss


def _descend(bout: Bout, rows: _Rows, step: float, confidence: float) -> _Rows:
    """One step of Adam."""
    flow = rows.flow.requires_grad_()
    margin = bout.goal.margin(bout.logits(warp(bout.x, flow)))
    loss = flow_loss(flow)
    cost = loss + rows.weight.value * (confidence - margin).relu()
    (slope,) = torch.autograd.grad(cost.sum(), flow)
    direction, memory = adam()(slope.nan_to_num(0.0, 0.0, 0.0), rows.memory)
    flow, loss, hit = flow.detach(), loss.detach(), margin.detach() > 0
    smoother = hit & (loss < rows.loss)
    return rows._replace(
        flow=flow - step * direction,
        memory=memory,
        hit=rows.hit | hit,
        smoothest=torch.where(per(smoother, flow), flow, rows.smoothest),
        loss=torch.where(smoother, loss, rows.loss),
    )
