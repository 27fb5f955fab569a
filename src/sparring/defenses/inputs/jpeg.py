"""JPEG and back (Guo et al. 2018, arXiv:1711.00117; Das et al. 2017, arXiv:1705.02900), by the codec that people use.

The twin does the same in torch: colours, 8 x 8 cosine transform, the standard tables, and for rounding the cubic
x -> [x] + (x - [x])^3 (Shin & Song 2017), whose slope is not zero. Broken to 0 % by BPDA (arXiv:1802.00420).
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage

LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
"annex K of the standard"
YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@register_stage("jpeg")
class Jpeg:
    """Every image compressed as a JPEG of `quality` 1 to 100, colours not subsampled.

    Args:
        backward: "twin", or "identity".
    """

    backward: Backward = "straight_through"
    random = False

    def __init__(self, quality: int = 75, *, backward: str = "twin", box: tuple[float, float] = (0.0, 1.0)) -> None:
        if not isinstance(quality, int) or not 1 <= quality <= 100:
            raise InputError(f"quality is {quality!r}; it must be a whole number from 1 to 100")
        if backward not in ("twin", "identity"):
            raise InputError(f"backward is {backward!r}; it must be twin or identity")
        self.quality, self.box = quality, box
        self.backward = self.twin if backward == "twin" else "straight_through"
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        self.tables = [
            ((torch.tensor(table) * scale + 50).div(100, rounding_mode="floor")).clamp(1, 255).float()
            for table in (LUMA, CHROMA)
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """Pixels [B, 1 or 3, H, W] -> as many, through bytes."""
        low, high = self._checked(x)
        share = ((x.detach() - low) / (high - low)).clamp(0, 1)
        pixels = (share * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
        back = np.stack([self._through(image) for image in pixels]) if len(pixels) else pixels
        made = torch.from_numpy(back).permute(0, 3, 1, 2).to(x.device, x.dtype) / 255
        return made * (high - low) + low

    def _through(self, image: np.ndarray) -> np.ndarray:
        held = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[2] == 1 else image).save(
            held, "JPEG", quality=self.quality, subsampling=0
        )
        with Image.open(held) as picture:
            return np.asarray(picture).reshape(image.shape)

    def twin(self, x: Tensor) -> Tensor:
        """The same, nearly, with a gradient."""
        low, high = self._checked(x)
        share = (x - low) / (high - low) * 255
        colours = torch.tensor(YCC, dtype=x.dtype, device=x.device) if x.shape[1] == 3 else None
        planes = share - 128 if colours is None else torch.einsum("ck,bkhw->bchw", colours, share)
        if colours is not None:
            planes = torch.cat([planes[:, :1] - 128, planes[:, 1:]], 1)
        made = torch.cat([self._plane(planes[:, k : k + 1], self.tables[min(k, 1)]) for k in range(planes.shape[1])], 1)
        if colours is not None:
            made = torch.cat([made[:, :1] + 128, made[:, 1:]], 1)
            made = torch.einsum("ck,bkhw->bchw", torch.linalg.inv(colours), made)
        else:
            made = made + 128
        return made.clamp(0, 255) / 255 * (high - low) + low

    def _plane(self, plane: Tensor, table: Tensor) -> Tensor:
        """One colour plane [B, 1, H, W] through blocks of 8 x 8."""
        height, width = plane.shape[2:]
        padded = pad(plane, (0, -width % 8, 0, -height % 8), mode="replicate")
        rows, columns = padded.shape[2] // 8, padded.shape[3] // 8
        blocks = padded.reshape(len(plane), rows, 8, columns, 8).transpose(2, 3)
        basis, steps = _cosines().to(plane), table.to(plane)
        codes = (basis @ blocks @ basis.T) / steps
        nearest = codes.detach().round()
        blocks = basis.T @ ((nearest + (codes - nearest) ** 3) * steps) @ basis
        return blocks.transpose(2, 3).reshape(padded.shape)[..., :height, :width]

    def _checked(self, x: Tensor) -> tuple[float, float]:
        if x.dim() != 4 or x.shape[1] not in (1, 3):
            raise InputError(f"jpeg takes grey or colour pictures [B, 1 or 3, H, W]; these are {tuple(x.shape)}")
        return self.box


def _cosines() -> Tensor:
    """The orthonormal cosine transform of 8 values: [8, 8]."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)
    basis = torch.cos(math.pi / 8 * (n + 0.5) * k) / 2
    basis[0] /= math.sqrt(2)
    return basis
