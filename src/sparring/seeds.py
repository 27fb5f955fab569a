"""Seeds for the parts of a run, so that each part is reproducible by itself and a resumed run is exact."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sparring.errors import InputError


def whole_seed(seed: Any) -> int:
    """A seed as a whole number of any size and sign. Raises InputError: None, a fraction, text."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise InputError(f"seed is {seed!r}; it must be a whole number, such as 0")
    return int(seed)


def torch_seed(seed: int) -> int:
    """A whole number of any size and sign as one that torch's generators take: those that they take stay themselves."""
    return seed if -(2**63) <= seed < 2**63 else derived_seed(seed)


def derived_seed(seed: int, *tags: int | str) -> int:
    """A 63-bit seed for one part of a run: a pure function of the run's seed and the part's name.

    >>> derived_seed(0, "shuffle", 3) == derived_seed(0, "shuffle", 3) != derived_seed(0, "shuffle", 4)
    True
    """
    text = "/".join(str(tag) for tag in (seed, *tags))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def private_rng(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's default generators of the CPU and of `device`, and put back their states afterwards.

    Dropout takes no generator of its own: this makes its noise reproducible without a lasting reseed.
    """
    accelerator = None if device.type == "cpu" else torch.get_device_module(device)
    cpu_state = torch.get_rng_state()
    accelerator_state = accelerator.get_rng_state() if accelerator else None
    # torch.manual_seed would reseed every device; the default generator is the CPU's alone.
    torch.default_generator.manual_seed(torch_seed(seed))
    if accelerator:
        accelerator.manual_seed(torch_seed(seed))
    try:
        yield
    finally:
        torch.set_rng_state(cpu_state)
        if accelerator:
            accelerator.set_rng_state(accelerator_state)
