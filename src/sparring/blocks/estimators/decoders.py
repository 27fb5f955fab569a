"""Decoders: perturbations from fewer numbers than an image has. The fewer, the fewer queries a gradient takes.

A decoder is linear enough that a zero code is no perturbation; codes [n, *code], perturbations [n, ...].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparring.blocks.estimators.bases import image_shape
from sparring.errors import InputError
from sparring.spec import unknown


class Decoder(Protocol):
    """From codes to perturbations."""

    def code(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the code of an image of such a shape [C, H, W]."""
        ...

    def __call__(self, code: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Perturbations [n, *shape] of images of such a shape: codes [n, *code]."""
        ...


@dataclass(frozen=True)
class Pixels:
    """Every value of an image is a number of the code."""

    def code(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def __call__(self, code: Tensor, shape: tuple[int, ...]) -> Tensor:
        return code

    def __str__(self) -> str:
        return "pixels"


@dataclass(frozen=True)
class Bilinear:
    """A picture of half the height and half the width, enlarged (AutoZOOM-BiLIN)."""

    def code(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = image_shape(torch.empty(1, *shape, device="meta"))
        return channels, (height + 1) // 2, (width + 1) // 2

    def __call__(self, code: Tensor, shape: tuple[int, ...]) -> Tensor:
        _, height, width = image_shape(torch.empty(1, *shape, device="meta"))
        return F.interpolate(code, (height, width), mode="bilinear", align_corners=False).reshape(-1, *shape)

    def __str__(self) -> str:
        return "bilinear"


class Codec(nn.Module):
    """A small convolutional autoencoder of one half the height and width; its decoder perturbs (AutoZOOM-AE).

    Trained by `sparring.generators.codec.train_codec` on images without labels. Tu et al. 2018, arXiv:1805.11770, have
    the same layers. The perturbation is decoder(code) - decoder(0), so that a zero code is none.

    Args:
        channels: of the images. width: of the hidden layers.
    """

    def __init__(self, channels: int = 1, width: int = 16) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip
        self.source: str | None = None

    def code(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """See `Decoder`. Raises InputError: images of another shape than it was made for."""
        if len(shape) != 3 or shape[0] != self.channels or shape[1] % 2 or shape[2] % 2:
            raise InputError(
                f"the images have shape {shape}, the decoder is made for {self.channels} channels and even sides; "
                "use decoder=bilinear or train another"
            )
        return shape[0], shape[1] // 2, shape[2] // 2

    def forward(self, code: Tensor, shape: tuple[int, ...]) -> Tensor:
        dtype = next(self.parameters()).dtype
        with torch.no_grad():
            made: Tensor = self.decoder(code.to(dtype)) - self.decoder(torch.zeros_like(code[:1], dtype=dtype))
        return made.to(code.dtype)

    def save(self, path: str | Path) -> None:
        """Write the weights to a .safetensors file."""
        save_file(self.state_dict(), str(path), {"channels": str(self.channels), "width": str(self.width)})
        self.source = str(path)

    def __str__(self) -> str:
        return self.source or "codec"


def load_codec(path: str | Path) -> Codec:
    """A codec that `Codec.save` wrote. Raises InputError: there is none in the file."""
    try:
        tensors = load_file(str(path))
        channels, width = tensors["encoder.3.bias"].shape[0], tensors["encoder.0.bias"].shape[0]
        codec = Codec(channels, width)
        codec.load_state_dict(tensors)
    except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as error:
        raise InputError(f"{path} holds no decoder: {str(error).splitlines()[0]}") from None
    codec.source = str(path)
    return codec.eval().requires_grad_(False)


DECODERS: dict[str, Callable[[], Decoder]] = {"pixels": Pixels, "bilinear": Bilinear}


def _lookup(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.endswith(".safetensors"):
        return load_codec(value)
    if value.lower() not in DECODERS:
        raise unknown("decoder", value, [*DECODERS, "FILE.safetensors"])
    return DECODERS[value.lower()]()


AnyDecoder = Annotated[
    Any, BeforeValidator(_lookup), PlainSerializer(lambda decoder: str(decoder), return_type=str),
    WithJsonSchema({"type": "string", "examples": [*DECODERS, "FILE.safetensors"]}),
]  # fmt: skip
"""A decoder as a field of an attack: a `Decoder`, its name, or a file that `Codec.save` wrote."""
