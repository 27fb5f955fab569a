"""Small pictures as data URIs, so that a page needs no other file."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor

MOST = 112
"pixels a side; larger pictures are made smaller, so that a dozen noisy ones leave a page below 3 MB"


def data_uri(pixels: Tensor) -> str | None:
    """A picture [1 or 3, H, W] with values in [0, 1] as a PNG data URI; None for what is no picture."""
    from PIL import Image

    if pixels.dim() != 3 or pixels.shape[0] not in (1, 3):
        return None
    levels = (pixels.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    grid = levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)
    image = Image.fromarray(grid.contiguous().numpy())
    image.thumbnail((MOST, MOST))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def triple(clean: Tensor, adversarial: Tensor, box: tuple[float, float]) -> tuple[str, str, str] | None:
    """The clean picture, the perturbation (grey = unchanged, stretched to the full range) and the adversarial one."""
    low, high = box
    delta = adversarial - clean
    peak = float(delta.abs().max()) or 1.0
    shown = [data_uri(part) for part in ((clean - low) / (high - low), delta / (2 * peak) + 0.5)]
    last = data_uri((adversarial - low) / (high - low))
    if shown[0] is None or shown[1] is None or last is None:
        return None
    return shown[0], shown[1], last
