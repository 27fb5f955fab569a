"""The picture in a request: hostile bytes until they have become pixels of the right shape."""

from __future__ import annotations

import base64
import binascii
import io
import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import torch
from torch import Tensor

from sparring.errors import InputError

MOST_BYTES = 32 << 20
"of a request"
MOST_SIDE = 4096
FIELD = "image"
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


def from_json(body: bytes, wanted: tuple[int, ...] | None) -> Tensor:
    """Pixels [1, C, H, W] in [0, 1] from {"image": base64 of a PNG or JPEG, or nested lists [H][W][C] or [C][H][W]}.

    Args:
        wanted: (C, H, W) that the model takes, where it is known.

    Raises:
        InputError: anything else.
    """
    try:
        said = json.loads(body)
        image = said[FIELD]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise InputError(f'the body is not a JSON object with "{FIELD}"') from None
    if isinstance(image, str):
        try:
            return from_file(base64.b64decode(image, validate=True), wanted)
        except (binascii.Error, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f'"{FIELD}" is not base64') from None
    return _from_lists(image, wanted)


def from_form(body: bytes, kind: str, wanted: tuple[int, ...] | None) -> Tensor:
    """Pixels [1, C, H, W] in [0, 1] from a form with a file. kind: the Content-Type, with the boundary in it."""
    if not kind.isascii() or not kind.isprintable():
        raise InputError("the Content-Type of the form cannot be read")
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    for part in form.iter_parts() if form.is_multipart() else ():
        if part.get_filename() is not None:
            data = part.get_payload(decode=True)
            return from_file(data if isinstance(data, bytes) else b"", wanted)
    raise InputError("the form has no file")


def from_file(data: bytes, wanted: tuple[int, ...] | None) -> Tensor:
    """Pixels [1, C, H, W] in [0, 1] from the bytes of a picture file."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if max(picture.size) > MOST_SIDE:
                raise InputError(
                    f"the picture has {picture.width} x {picture.height} pixels; at most {MOST_SIDE} a side"
                )
            gray = wanted[0] == 1 if wanted else picture.mode in ("1", "L")
            image = picture.convert("L" if gray else "RGB")
    except InputError:
        raise
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        raise InputError(f"the picture cannot be read ({type(error).__name__}); send a {', '.join(FORMATS)}") from None
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(image.height, image.width, -1)
    return _checked(pixels.permute(2, 0, 1).float() / 255, wanted)


def _from_lists(image: Any, wanted: tuple[int, ...] | None) -> Tensor:
    try:
        pixels = torch.tensor(image, dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError, OverflowError):
        raise InputError(f'"{FIELD}" is neither base64 nor nested lists of numbers') from None
    if pixels.dim() != 3 or not pixels.numel() or not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise InputError(f'"{FIELD}" has shape {list(pixels.shape)}; expected [H][W][C] or [C][H][W] from 0 to 1')
    if wanted is None:
        last = pixels.shape[2] in (1, 3)
    else:
        last = tuple(pixels.shape) == (*wanted[1:], wanted[0])
    return _checked(pixels.permute(2, 0, 1) if last else pixels, wanted)


def _checked(pixels: Tensor, wanted: tuple[int, ...] | None) -> Tensor:
    if wanted is not None and tuple(pixels.shape) != tuple(wanted):
        raise InputError(
            f"the picture is {' x '.join(map(str, pixels.shape))}; expected {' x '.join(map(str, wanted))}"
        )
    return pixels[None].contiguous()
