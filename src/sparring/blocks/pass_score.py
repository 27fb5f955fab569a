"""PASS: how alike two images look, small shifts forgiven (Rozsa, Rudd, Boult 2016, arXiv:1605.01775).

    PASS(x', x) = SSIM(x' aligned to x, x)

SSIM is that of Wang et al. 2004, doi:10.1109/TIP.2003.819861. The paper aligns by the homography with the largest
enhanced correlation coefficient; here it is the whole-pixel shift with the largest, which is all that attacks on
classifiers of small images call for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.blocks.pictures import as_pictures
from sparring.kernels import nonzero

WINDOW, SPREAD = 11, 1.5
"the side of the Gaussian window of SSIM and its standard deviation, in pixels"
STABLE = (0.01, 0.03)
"keep the ratios of SSIM finite, as fractions of the width of the box"


def pass_score(x_adv: Tensor, x: Tensor, box: tuple[float, float] = (0.0, 1.0), shift: int = 2) -> Tensor:
    """How alike `x_adv` and `x` [b, ...] look: [b], 1 = the same, no sharp bound below.

    Args:
        box: of the pixels. shift: by how many pixels at most the image may be moved to fit, each way.

    >>> import torch
    >>> x = torch.zeros(1, 1, 9, 9)
    >>> x[..., 3:5, 3:5] = 1
    >>> pass_score(x.roll(1, -1), x), bool(ssim(x.roll(1, -1), x) < 0.7)
    (tensor([1.]), True)
    """
    moved, still = as_pictures(x_adv), as_pictures(x)
    height, width = still.shape[2:]
    wide = F.pad(moved, (shift,) * 4, mode="replicate")
    fits = [
        wide[..., down : down + height, right : right + width]
        for down, right in sorted(
            ((d, r) for d in range(2 * shift + 1) for r in range(2 * shift + 1)),
            key=lambda at: (at[0] - shift) ** 2 + (at[1] - shift) ** 2,
        )
    ]
    closeness = torch.stack([_correlation(fit, still) for fit in fits], 1)
    chosen = closeness.argmax(1)  # of equals the first, the smallest shift
    return ssim(torch.stack(fits, 1)[torch.arange(len(still), device=x.device), chosen], still, box)


def ssim(a: Tensor, b: Tensor, box: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """Structural similarity of images [b, ...], the mean over windows and channels: [b]."""
    a, b = as_pictures(a), as_pictures(b)
    small, low = ((part * (box[1] - box[0])) ** 2 for part in STABLE)
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a.square(), _blur(b * b) - mean_b.square()
    both = _blur(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + small) / (mean_a.square() + mean_b.square() + small)
    return (light * (2 * both + low) / (var_a + var_b + low)).flatten(1).mean(1)


def _blur(z: Tensor) -> Tensor:
    """The Gaussian mean over each window that lies inside; one that is larger than the image is cut down to it."""
    channels, (height, width) = z.shape[1], z.shape[2:]
    rows, columns = (_gauss(min(WINDOW, side), z) for side in (height, width))
    kernel = (rows[:, None] * columns).expand(channels, 1, -1, -1)
    return F.conv2d(z, kernel, groups=channels)


def _gauss(side: int, like: Tensor) -> Tensor:
    at = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    weight = (-0.5 * (at / SPREAD).square()).exp()
    return weight / weight.sum()


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """The correlation of two images, brightness and contrast left out: [b]."""
    a, b = (values.flatten(1) - values.flatten(1).mean(1, keepdim=True) for values in (a, b))
    return (a * b).sum(1) / nonzero(a.norm(dim=1) * b.norm(dim=1))
