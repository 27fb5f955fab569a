"""Clipping that lets gradients pass which lead back inside.

A plain clip has no gradient outside of its bounds. A net whose change darkens black pixels would never learn that it
should brighten them: on digits most pixels are black, and a fit may end there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _InwardClip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(z < low, z > high)
        return z.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        below, above = ctx.saved_tensors
        return slope.masked_fill((below & (slope > 0)) | (above & (slope < 0)), 0), None, None


def inward_clip(z: Tensor, low: float, high: float) -> Tensor:
    """`z` between the bounds. Outside of them, only gradients pass along which a step down comes back inside.

    >>> z = torch.tensor([-1.0, -1.0, 0.5], requires_grad=True)
    >>> (inward_clip(z, 0, 1) * torch.tensor([-1.0, 1.0, 1.0])).sum().backward()
    >>> z.grad
    tensor([-1., 0., 1.])
    """
    clipped: Tensor = _InwardClip.apply(z, low, high)  # type: ignore[no-untyped-call]
    return clipped
