"""A guess of the gradient on a coarse grid, and what two scores say about it. Ilyas et al. 2018, arXiv:1807.07978."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.blocks.decision.normals import unit
from sparring.blocks.estimators.antithetic import beside
from sparring.blocks.estimators.bases import image_shape
from sparring.bout import Bout, LossFunction
from sparring.norms import per

KEEP = 0.9


class Guess(NamedTuple):
    """A guess of the gradient [b, C, tiles, tiles], and the mean size of what tries have said so far [b]."""

    tiles: Tensor
    size: Tensor

    def enlarged(self, bout: Bout) -> Tensor:
        """As a direction of pixels: [b, ...]."""
        return enlarge(bout, self.tiles)


def first_guess(bout: Bout, tile: float) -> Guess:
    """None: zeros, with tiles whose side is `tile` of that of the image, one pixel at least."""
    channels, height, width = image_shape(bout.x)
    down, across = (max(1, round(side / max(1, round(tile * side)))) for side in (height, width))
    return Guess(bout.x.new_zeros(len(bout), channels, down, across), torch.zeros_like(bout.eps))


def enlarge(bout: Bout, tiles: Tensor) -> Tensor:
    """Each tile as so many equal pixels: [b, ...]."""
    _, height, width = image_shape(bout.x)
    return F.interpolate(tiles, (height, width), mode="nearest").reshape(bout.x.shape)


def explore(bout: Bout, z: Tensor, guess: Guess, loss: LossFunction, reach: float, rate: float, h: float) -> Guess:
    """The guess after two tries on either side of it and one look at `z` [b, ...]: three queries.

    Where a try meets NaN or Inf, the guess stays as it is.

    Args:
        reach: how far from the guess the tries are, of their own size. rate: how much they move it. h: how far from
            `z` the probes are, as a fraction of eps.
    """
    grain = bout.noise.normal(*guess.tiles.shape[1:], dtype=z.dtype) / guess.tiles[0].numel() ** 0.5
    sides = [unit(enlarge(bout, guess.tiles + side * reach * grain)) for side in (1, -1)]
    length = h * bout.eps * bout.ball.norm.size(unit(torch.ones_like(z))).reciprocal()
    probes = beside(bout, z, per(length, z)[:, None] * torch.stack(sides, 1))
    tries = bout.candidate_losses(torch.cat([z[:, None], probes], 1), loss)[:, 1:]
    known = tries.isfinite().all(1)
    said = torch.where(known, tries[:, 0] - tries[:, 1], 0)
    size = torch.where(guess.size > 0, KEEP * guess.size + (1 - KEEP) * said.abs(), said.abs())
    size = torch.where(known, size, guess.size)
    better = (said / size.clamp(min=1e-30)).clamp(-3, 3)
    return Guess(guess.tiles + rate * per(better, grain) * grain, size)
