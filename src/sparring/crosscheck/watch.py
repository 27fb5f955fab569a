"""A model under watch: what an attack of whatever origin shows it, counted and judged from outside.

As AttackBench measures (Cina et al. 2025, arXiv:2404.19460): what counts is the nearest success *seen during the run*.
A row of a full batch belongs to the image in its place; of a smaller batch, to the nearest clean image. A wrong match
can do an image only good: it counts only where the model errs about that image's label.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.model import Model
from sparring.norms import Norm

SLACK = 1e-6
"of the box: a rounding error is no violation"


class Watched(nn.Module):
    """`model` as a net over pixels in [0, 1], whatever its own box, while an attack on `x` [n, ...] runs.

    Attributes:
        nearest: [n] the smallest perturbation, in the model's pixels, that fooled it so far; inf = none.
        forward_passes, backward_passes: rows that went through.
    """

    def __init__(self, model: Model, x: Tensor, y: Tensor, norm: Norm) -> None:
        super().__init__()
        self.model, self.norm, self.y = model, norm, y
        self.low, self.span = model.box[0], model.box[1] - model.box[0]
        self.clean = x
        self.nearest = torch.full((len(x),), torch.inf, dtype=torch.float64)
        self.forward_passes = self.backward_passes = 0
        self.eval()

    @property
    def inputs(self) -> Tensor:
        """The images as the attack gets them, in [0, 1]."""
        return (self.clean - self.low) / self.span

    def forward(self, u: Tensor) -> Tensor:
        """[b, ...] in [0, 1] -> logits [b, K]."""
        logits = self.model.logits(self.low + self.span * u)
        self.forward_passes += len(u)
        with torch.no_grad():
            self._judge(u.detach(), logits.detach())
        if logits.requires_grad:
            logits.register_hook(self._came_back)  # type: ignore[no-untyped-call]
        return logits

    def look(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """A fresh look at points [n, ...], not counted: bool [n] fooled, and their sizes [n] in the model's pixels."""
        with torch.no_grad():
            fooled = self.model.logits(self.low + self.span * u).argmax(1) != self.y
        return fooled & u.flatten(1).isfinite().all(1), self._size(u, torch.arange(len(u)))

    def _came_back(self, slope: Tensor) -> None:
        self.backward_passes += len(slope)

    def _judge(self, u: Tensor, logits: Tensor) -> None:
        rows = torch.arange(len(u)) if len(u) == len(self.y) else self._whose(u)
        inside = (u.flatten(1).amin(1) >= -SLACK) & (u.flatten(1).amax(1) <= 1 + SLACK)
        at = ((logits.argmax(1) != self.y[rows]) & inside & logits.isfinite().all(1)).nonzero().squeeze(1)
        if len(at):
            self.nearest.scatter_reduce_(0, rows[at], self._size(u[at], rows[at]), "amin")

    def _whose(self, u: Tensor) -> Tensor:
        flat, clean = u.flatten(1), self.inputs.flatten(1)
        return (clean.square().sum(1)[None] - 2 * flat @ clean.T).argmin(1)

    def _size(self, u: Tensor, rows: Tensor) -> Tensor:
        return self.norm.size(self.low + self.span * u - self.clean[rows]).double()
