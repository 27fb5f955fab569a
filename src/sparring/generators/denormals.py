"""Numbers too small for float32's usual form cost a processor a hundred times as much as others: here they are 0.

Behind a saturated sigmoid almost all gradients are such numbers, and a projection spends most of its time on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TINY = 1e-39
"below float32's smallest normal number, 1.2e-38"


@contextmanager
def denormals_are_zero() -> Iterator[None]:
    """For this thread, inside the block, where the processor can; afterwards as it was."""
    was = not float(torch.tensor(TINY) * 1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was)
