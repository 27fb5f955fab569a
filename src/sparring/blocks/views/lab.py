"""Pixels in CIE LAB, where a distance is about as large as it looks. Differentiable everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
"linear sRGB to XYZ (IEC 61966-2-1); the sums of the rows are white, D65"


def lab(z: Tensor, box: tuple[float, float]) -> Tensor:
    """sRGB pictures [b, 3, H, W] as L*, a*, b*; inputs of any other shape as L* of a grey pixel each.

    >>> lab(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1), (0, 1)).flatten().round()
    tensor([53., 80., 67.])
    """
    unit = ((z - box[0]) / (box[1] - box[0])).clamp(0, 1)
    linear = torch.where(unit > 0.04045, ((unit.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, unit / 12.92)
    if z.dim() != 4 or z.shape[1] != 3:
        return 116 * _curve(linear) - 16
    matrix = z.new_tensor(TO_XYZ)
    x, y, t = _curve(torch.einsum("rc,bchw->brhw", matrix / matrix.sum(1, keepdim=True), linear)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - t)], 1)


def _curve(share: Tensor) -> Tensor:
    """The cube root, continued by its tangent near black."""
    knee = (6 / 29) ** 3
    return torch.where(share > knee, share.clamp(min=knee) ** (1 / 3), share / (3 * (6 / 29) ** 2) + 4 / 29)
