"""A step that adapts to the share of its tries that worked, for each row on its own."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rate(NamedTuple):
    """A step [b] and its last tries: a tuple, so that rows leave it as any state.

    >>> step = Rate.start(torch.zeros(2), 0.1)
    >>> for worked in (torch.tensor([True, False]),) * 2:
    ...     step = step.tell(torch.tensor([True, True]), worked, window=2, aim=0.5)
    >>> step.value
    tensor([0.1500, 0.0667])
    """

    value: Tensor
    tries: Tensor
    hits: Tensor

    @classmethod
    def start(cls, like: Tensor, value: float) -> Rate:
        """`value` for every row of `like` [b]."""
        blank = torch.zeros_like(like)
        return cls(blank + value, blank, blank)

    def tell(
        self,
        tried: Tensor,
        worked: Tensor,
        window: int,
        aim: float,
        factor: float = 1.5,
        least: float = 0.0,
        most: float = 1.0,
    ) -> Rate:
        """The next state. After `window` tries: longer if more than `aim` of them worked, shorter if fewer did.

        Args:
            tried, worked: bool [b]. least, most: the step stays between them.
        """
        tries = self.tries + tried
        hits = self.hits + (tried & worked)
        full = tries >= window
        share = hits / tries.clamp(min=1)
        scale = torch.where(share > aim, factor, torch.where(share < aim, 1 / factor, 1.0)).to(self.value.dtype)
        value = torch.where(full, (self.value * scale).clamp(least, most), self.value)
        return Rate(value, torch.where(full, 0, tries), torch.where(full, 0, hits))
