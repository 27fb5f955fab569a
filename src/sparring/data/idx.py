"""The IDX format of MNIST: a 4-byte magic, one big-endian uint32 a dimension, then the bytes.

Files come from outside, so the header is believed only as far as the bytes that follow bear it out.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from sparring.data.errors import DataError

MAX_BYTES = 1 << 30
CHUNK = 1 << 20


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The unsigned bytes in an IDX file, plain or gzipped (told by its first bytes), as a writable array.

    Args:
        path: the file.
        dimensions: how many the header must declare: 3 for images [N, H, W], 1 for labels [N].

    Raises:
        DataError: not IDX, not unsigned bytes, other dimensions, empty, larger than 1 GiB, shorter or longer
            than its header says, or a damaged gzip stream. The message names the file.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _parse(path, raw, dimensions)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _parse(path, cast(BinaryIO, stream), dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is truncated or corrupt gzip ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _parse(path: Path, stream: BinaryIO, dimensions: int) -> NDArray[np.uint8]:
    header = stream.read(4 + 4 * dimensions)
    wanted = bytes((0, 0, 8, dimensions))
    if header[:4] != wanted:
        raise DataError(f"{path} starts with {header[:4].hex() or 'nothing'}; expected IDX magic {wanted.hex()}")
    if len(header) < 4 + 4 * dimensions:
        raise DataError(f"{path} is truncated: it ends inside its IDX header")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    expected = math.prod(shape)
    if not 0 < expected <= MAX_BYTES:
        raise DataError(f"{path} declares {list(shape)} = {expected} bytes; expected 1 to {MAX_BYTES}")
    # Grown piece by piece, one byte beyond what is expected: a lying header cannot make us allocate.
    body = bytearray()
    while len(body) <= expected and (piece := stream.read(min(CHUNK, expected + 1 - len(body)))):
        body += piece
    if len(body) != expected:
        seen = f"only {len(body)}" if len(body) < expected else "more"
        raise DataError(f"{path} is truncated or corrupt: its header promises {expected} bytes, it holds {seen}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
