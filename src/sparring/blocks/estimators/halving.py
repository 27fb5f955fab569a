"""Blocks of pixels that get smaller: all, halves, quarters, down to single ones, and again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def blocks(like: Tensor) -> Iterator[tuple[Tensor, bool]]:
    """Endless (block: bool, the shape of one of the images `like` [b, ...]; a new round begins here).

    >>> import itertools
    >>> [block.tolist() for block, _ in itertools.islice(blocks(torch.zeros(1, 3)), 6)][1:]
    [[True, True, False], [False, False, True], [True, False, False], [False, True, False], [False, False, True]]
    """
    shape, size = like.shape[1:], like[0].numel() if len(like) else 0
    at = torch.arange(size, device=like.device)
    while size:
        length = size
        while True:
            for start in range(0, size, length):
                yield ((at >= start) & (at < start + length)).reshape(shape), length == size and start == 0
            if length == 1:
                break
            length = -(-length // 2)
