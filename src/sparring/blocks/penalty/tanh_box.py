"""The box as all of space: z = (tanh(w) + 1) / 2 between its bounds (Carlini & Wagner 2017, arXiv:1608.04644)."""

from __future__ import annotations

from torch import Tensor

INSIDE = 1 - 1e-6
"what a pixel exactly at a bound is drawn in by: there tanh is flat, and it could never move again"


class TanhBox:
    """Points of the box from any real numbers, and back.

    >>> import torch
    >>> box = TanhBox((0.0, 1.0))
    >>> z = torch.tensor([[0.0, 0.25, 1.0]])
    >>> bool(torch.allclose(box(box.inverse(z)), z, atol=1e-6))
    True
    """

    def __init__(self, box: tuple[float, float]) -> None:
        self.middle, self.half = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2

    def __call__(self, w: Tensor) -> Tensor:
        """[b, ...] anything -> pixels, strictly inside."""
        return w.tanh() * self.half + self.middle

    def inverse(self, z: Tensor) -> Tensor:
        """[b, ...] pixels -> finite numbers."""
        return ((z - self.middle) / self.half * INSIDE).atanh()
