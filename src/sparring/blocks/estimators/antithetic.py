"""The gradient of a loss from pairs of points on either side: what NES and SPSA climb by.

    g = 1 / (2 sigma n) * sum_i [l(z + sigma u_i) - l(z - sigma u_i)] u_i

Antithetic sampling (Salimans et al. 2017, arXiv:1703.03864). Its expectation is the gradient of the loss smoothed
over radius sigma.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.blocks.estimators.directions import Draw
from sparring.bout import Bout, LossFunction

BLOCK = 2**18
"pixels of directions that a row draws at once; not by the size of the batch, or results would depend on it"


def antithetic(
    bout: Bout, z: Tensor, loss: LossFunction, pairs: int, sigma: float, draw: Draw, also: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean loss [b] around `z` [b, ...] and the estimated gradient [b, ...]. 2 * `pairs` queries.

    Probes stay in the box, in the region and on the grid; where that shortens them on one side, the estimate makes
    up for it. A pair that meets NaN or Inf on either side counts for nothing; where all do, the loss is NaN and the
    gradient 0.

    Args:
        sigma: how far the probes are, as a fraction of the box width; at least one step where the threat has a grid.
        draw: the directions, with a mean square of 1 in each pixel. also: ask about `z` itself, in the same batch.
    """
    ball, step = bout.ball, reach(bout, sigma)
    total, whole, real = (torch.zeros_like(z) for _ in range(3))
    value, heard = (torch.zeros_like(bout.eps, dtype=kind) for kind in (z.dtype, torch.float64))
    block = max(1, BLOCK // max(1, z[0].numel()))
    for start in range(0, pairs, block):
        count = min(block, pairs - start)
        u = draw(bout.noise, count, z)
        up, down = (beside(bout, z, side * step * u) for side in (1, -1))
        points = torch.stack([up, down], 2).flatten(1, 2)
        points = torch.cat([z[:, None], points], 1) if also and not start else points
        losses = bout.candidate_losses(points, loss)[:, -2 * count :].reshape(len(z), count, 2)
        known = losses.isfinite().all(2)
        losses = torch.where(known[:, :, None], losses, 0)
        value, heard = value + losses.mean(2).sum(1), heard + known.sum(1)
        gain = losses[:, :, 0] - losses[:, :, 1]
        total += (ball.column(gain.flatten()).reshape(*gain.shape, *[1] * (z.dim() - 1)) * u).sum(1)
        whole += 2 * step * u.abs().sum(1)
        real += (up - down).abs().sum(1)
    share = torch.where(real > 0, whole / real.clamp(min=1e-12), 0)
    length = ball.column((2 * step * heard.clamp(min=1)).to(z.dtype))
    return value / heard.to(value.dtype), total / length * share


def reach(bout: Bout, sigma: float) -> float:
    """The length of a probe in pixels: `sigma` of the box width, a step of the grid at least."""
    levels = bout.ball.levels
    return bout.ball.width * max(sigma, 0 if levels is None else 1 / (levels - 1))


def beside(bout: Bout, z: Tensor, by: Tensor) -> Tensor:
    """`z` [b, ...] moved by each of `by` [b, m, ...], back in the box, in the region and on the grid: [b, m, ...]."""
    rows = torch.arange(len(z), device=z.device).repeat_interleave(by.shape[1])
    ball = bout.ball[rows]
    return ball.snap(ball.clip((z[:, None] + by).flatten(0, 1))).reshape(by.shape)
