"""Labels as people have them (arrays of any integer type, lists, columns of a table) -> int64 tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.errors import InputError

WIDE = (torch.uint16, torch.uint32, torch.uint64)
"unsigned types, for which torch lacks most operations"


def integers(values: Any, what: str = "labels") -> Tensor:
    """A tensor of any shape from class numbers; floats and booleans stay what they are, for the caller to judge.

    Raises:
        InputError: None, text, objects or ragged lists; says what was seen.
    """
    if values is None:
        raise InputError(f"the {what} are None; give one class number for each image")
    if isinstance(values, Tensor):
        return _narrow(values.detach(), what)
    if isinstance(values, str | bytes):
        raise InputError(f"the {what} are the text {values!r}; {NEEDED}")
    try:
        if isinstance(values, list | tuple) and any(isinstance(value, Tensor) for value in values):
            values = torch.stack([torch.as_tensor(value) for value in values])
            return _narrow(values.detach(), what)
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"the {what} are a {type(values).__name__} that is no array ({_line(error)}); {NEEDED}"
        ) from None
    if array.dtype.kind == "O":  # a column of a table, perhaps; whole numbers are taken, nothing else
        if not all(isinstance(value, int | np.integer) for value in array.flat):
            odd = next(value for value in array.flat if not isinstance(value, int | np.integer))
            raise InputError(f"the {what} hold a {type(odd).__name__}; {NEEDED}")
        try:
            array = array.astype(np.int64)
        except OverflowError:
            raise InputError(f"the {what} hold a number beyond 64 bits; {NEEDED}") from None
    if array.dtype.kind not in "iufb":
        first = next(iter(array.flat), None)
        raise InputError(f"the {what} are {array.dtype} (the first is {first!r}); {NEEDED}")
    if array.dtype.kind in "iu":
        if array.dtype.itemsize == 8 and array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63:
            raise InputError(f"the {what} hold {int(array.max())}; {NEEDED}")
        array = array.astype(np.int64)
    elif array.dtype.kind == "f":
        array = array.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


NEEDED = "class numbers are needed, whole numbers from 0, one for each image"


def _narrow(values: Tensor, what: str) -> Tensor:
    if values.dtype not in WIDE:
        return values
    narrow = values.long()
    if bool((narrow < 0).any()):
        raise InputError(f"the {what} hold numbers of 2^63 and more; {NEEDED}")
    return narrow


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
