"""Our arithmetic in float32 whatever `torch.set_default_dtype` says; the user's net as it says.

Numbers that come from nowhere (`torch.full`, `torch.where(mask, 1.0, -1.0)`, a division of integers) have torch's
default dtype. Under float64 they would not fit images in float32, under bfloat16 results would silently be others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_users: list[torch.dtype] = []
"the default of the outermost caller, while `float32_by_default` is on"


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Inside: torch's default dtype is float32. Also a decorator."""
    before = torch.get_default_dtype()
    outermost = not _users
    if outermost:
        _users.append(before)
    if before is not torch.float32:
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        if before is not torch.float32:
            torch.set_default_dtype(before)
        if outermost:
            _users.clear()


@contextmanager
def users_default() -> Iterator[None]:
    """Inside `float32_by_default`, for a call of the user's code: the default that the user has set."""
    wanted, before = _users[0] if _users else torch.get_default_dtype(), torch.get_default_dtype()
    if wanted is before:
        yield
        return
    torch.set_default_dtype(wanted)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
