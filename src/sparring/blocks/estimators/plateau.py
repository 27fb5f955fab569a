"""Shorter steps for the rows whose loss has stopped rising."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Plateau(NamedTuple):
    """The length of each row's steps: shrunk every `window` steps in which its loss did not rise. All [b].

    >>> pace = Plateau.start(torch.zeros(2), 0.4)
    >>> for k in range(3):
    ...     pace = pace.after(torch.tensor([1.0 * k, 1.0]), window=2)
    >>> pace.length
    tensor([0.4000, 0.2000])
    """

    length: Tensor
    mark: Tensor
    age: Tensor

    @classmethod
    def start(cls, like: Tensor, length: float) -> Plateau:
        """`length` for every row of `like` [b]."""
        return cls(torch.full_like(like, length), torch.full_like(like, -torch.inf), torch.zeros_like(like))

    def after(self, value: Tensor, window: int, shrink: float = 0.5, least: float = 0.0) -> Plateau:
        """The state after a step that met the loss `value`; lengths stay above `least`."""
        age = torch.where(self.mark.isinf(), window, self.age + 1)  # the first value begins the first window
        over = age >= window
        flat = over & (value <= self.mark)
        length = torch.where(flat, (self.length * shrink).clamp(min=least), self.length)
        return Plateau(length, torch.where(over, value, self.mark), torch.where(over, 0, age))
