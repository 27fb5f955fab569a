"""A picture on its way to a web service: 8 bits or floats, as JSON or as a form; and what tells two questions apart."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import InputError
from sparring.zoo.targets.http.mapping import Mapping, Request
from sparring.zoo.targets.http.secrets import VALUE, VARIABLE, names_secret

ROUNDS = 50_000
"of hashing what comes from the environment, so that it cannot be guessed from a key"


def shown(pixels: NDArray[np.float32], request: Request, name: str) -> NDArray[Any]:
    """What is sent of pixels [C, H, W] in [0, 1]: 8 bits, or the floats.

    Raises:
        InputError: no picture that a PNG can hold. name: of the service.
    """
    if request.encoding == "floats":
        return pixels
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise InputError(f"{name} gets PNGs; pictures are [1 or 3, H, W], not {list(pixels.shape)}")
    return np.rint(pixels * 255).astype(np.uint8)


def content(picture: NDArray[Any], request: Request, other: dict[str, Any]) -> dict[str, Any]:
    """Keywords of httpx's request for one picture, see `shown`. other: the further fields, as they are sent."""
    if request.encoding == "floats":
        pixels = picture if request.layout == "CHW" else picture.transpose(1, 2, 0)
        numbers = pixels.tolist() if request.scale == 1 else (pixels.astype(np.float64) * 255).tolist()
        return {"json": {**other, request.field: numbers}}
    image = png(picture)
    if request.format == "upload":
        form = {key: str(value) for key, value in other.items()}
        return {"files": {request.field: ("picture.png", image, "image/png")}, "data": form}
    return {"json": {**other, request.field: base64.b64encode(image).decode()}}


def identity(url: str, mapping: Mapping, headers: dict[str, str], other: dict[str, Any]) -> bytes:
    """A digest of all that decides what a service says of a picture, and how it is read.

    A header or field that carries a credential counts as it is written in the mapping, so that answers outlive the
    credential; any other as it is sent, `headers` and `other`. What comes from the environment is hashed slowly before
    it goes in.
    """
    answer = mapping.answer
    parts = [url, mapping.request.model_dump_json(), answer.kind, answer.path]
    parts += [answer.label, answer.score] if answer.kind == "topk" else []
    for name, written in sorted((name.lower(), text) for name, text in mapping.headers.items()):
        parts += [name, written]
    for texts, sent in ((mapping.headers, headers), (mapping.request.other, other)):
        for name, text in sorted(texts.items()):
            if VARIABLE.search(str(text)) and not (names_secret(name) or VALUE.match(str(text))):
                parts.append(hashlib.pbkdf2_hmac("sha256", str(sent[name]).encode(), url.encode(), ROUNDS).hex())
    return hashlib.sha256("\n".join(repr(part) for part in parts).encode()).digest()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [1 or 3, H, W] as the bytes of a PNG."""
    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
