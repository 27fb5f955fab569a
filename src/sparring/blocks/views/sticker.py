"""The search of RP2: one change a row that works through many views, held back by a norm, in printable colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.blocks.views.chain import Chain, Show
from sparring.blocks.views.eot import EOT
from sparring.blocks.views.printable import non_printability, printable_colours
from sparring.bout import Bout, LossFunction, View
from sparring.norms import Norm, per
from sparring.rng import Noise

SLOW, FAST = 0.99, 0.9
"how long the scale and the direction of the gradient are remembered"
GRAIN = 8
"an eighth of a side is looked at together, so that the specks of an L1 search become a few shapes"


@dataclass(frozen=True)
class AlsoStraight:
    """Random views, and the picture itself as the first of several copies; it is not judged there.

    Views are interpolated, a picture seen straight on is sharp: what fools in all of them need not fool there.
    """

    copies: int
    show: Show

    @property
    def turns(self) -> Sequence[View]:
        straight, random = EOT(1, Chain()), EOT(1, self.show)
        return [straight, *[random] * (self.copies - 1)] if self.copies > 1 else [random]

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return self.show(z, noise)


@dataclass(frozen=True)
class Press:
    """Proximal gradient ascent on E[loss] - weight * |d| - printable * score, seen through a view.

    The gradient is divided by its root mean square, one for each row: pixels keep their proportions, which a weight on
    the norm has to be held against, and the steps do not depend on the net. Points behind a view are not judged.

    Args:
        steps: how many. rate: of each, as a part of the box. weight: on the norm, in widths of the box.
        sparse: the same, but in units of the gradient's root mean square. printable: on the non-printability score.
        alone: of the change itself.
    """

    steps: int
    rate: float
    loss: LossFunction
    view: View
    weight: float = 0.0
    sparse: float = 0.0
    printable: float = 0.0
    alone: bool = False

    def __call__(self, bout: Bout, place: Tensor, norm: Norm) -> Tensor:
        """Points [b, ...] that differ from the images only in `place`, bool [b, ...], for all rows of the bout."""
        width, length = bout.ball.width, self.rate * bout.ball.width
        final, at, z = bout.x.clone(), torch.arange(len(bout), device=bout.x.device), bout.x
        mean, square = torch.zeros_like(z), z.new_zeros(len(z))
        for k in range(1, self.steps + 1):
            g = bout.grad(z, self.loss, self.view) - self._unprintable(bout, z, place)
            z, g, place, at, mean, square = bout.active(z, g, place, at, mean, square)
            if not len(bout):
                break
            g = torch.where(place, g, 0)
            mean = FAST * mean + (1 - FAST) * g
            square = SLOW * square + (1 - SLOW) * g.square().flatten(1).sum(1) / place.flatten(1).sum(1).clamp(min=1)
            scale = (square / (1 - SLOW**k)).sqrt().clamp(min=torch.finfo(z.dtype).tiny)
            d = z - bout.x + length * mean / (1 - FAST**k) / per(scale, z)
            d = norm.prox(d, length * (self.sparse + self.weight / (width * scale)))
            z = bout.ball.project(torch.where(place, bout.x + d, bout.x))
            final[at] = z
        return final

    def _unprintable(self, bout: Bout, z: Tensor, place: Tensor) -> Tensor:
        """The gradient of the score, weighted."""
        if not self.printable:
            return torch.zeros_like(z)
        low, high = bout.ball.box
        point = z.detach().requires_grad_()
        colours = (point - (bout.x if self.alone else low)) / (high - low)
        score = non_printability(colours, place, printable_colours())
        (slope,) = torch.autograd.grad(self.printable * score.sum(), point)
        return slope


def stickers(d: Tensor, place: Tensor, share: float) -> Tensor:
    """Where most was changed: `share` of the pixels of `place`, in a few shapes, on all channels. bool, like d."""
    flat = d.dim() < 4  # no height and width: a picture one pixel high
    strength = d.abs().flatten(1)[:, None, None] if flat else d.abs().sum(1, keepdim=True)
    free = place.flatten(1)[:, None, None] if flat else place.any(1, keepdim=True)
    size = [side // GRAIN // 2 * 2 + 1 for side in strength.shape[2:]]
    around = F.avg_pool2d(strength, size, 1, [width // 2 for width in size])
    worth = torch.where(free, around, -1.0).flatten(1)
    rank = worth.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    count = (share * free.flatten(1).sum(1)).round().clamp(min=1)
    return (rank < count[:, None]).reshape(strength.shape).reshape(d.shape if flat else strength.shape) & place
