"""Sheets of images as PNG, and sheets joined into a GIF: what a person looks at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sparring.errors import InputError
from sparring.storage import write

GAP = 2


def sheet(images: Tensor, columns: int = 10, scale: int = 2) -> Image.Image:
    """Images [N, 1 or 3, H, W] in [0, 1] side by side, row by row, each pixel `scale` wide."""
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise InputError(f"a sheet shows images [N, 1 or 3, H, W]; got shape {tuple(images.shape)}")
    n, colours, height, width = images.shape
    rows = -(-n // columns)
    canvas = torch.ones(colours, rows * (height + GAP) + GAP, columns * (width + GAP) + GAP)
    for k, image in enumerate(images.detach().cpu().clamp(0, 1)):
        top, left = GAP + k // columns * (height + GAP), GAP + k % columns * (width + GAP)
        canvas[:, top : top + height, left : left + width] = image
    pixels = (canvas * 255).round().to(torch.uint8).permute(1, 2, 0).squeeze(-1).numpy()
    picture = Image.fromarray(pixels)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_sheet(images: Tensor, path: Path, columns: int = 10) -> None:
    """The sheet as a PNG."""
    held = io.BytesIO()
    sheet(images, columns).save(held, "PNG")
    write(path, held.getvalue())


def write_gif(pngs: Sequence[Path], path: Path, milliseconds: int = 250) -> None:
    """PNGs of our own as the frames of a GIF that repeats; the last one stays for two seconds."""
    frames = [Image.open(png).convert("L") for png in pngs]
    if not frames:
        raise InputError(f"no sheets to join into {path}")
    held = io.BytesIO()
    times = [milliseconds] * (len(frames) - 1) + [2000]
    frames[0].save(held, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    write(path, held.getvalue())
