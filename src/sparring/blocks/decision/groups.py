"""Groups of changed pixels, to be reset together: larger after each that could be, halved after each that could not."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.bout import Bout


class Groups(NamedTuple):
    """Sweeps over the changed pixels of each row; a tuple, so that rows leave it as any state.

    Attributes:
        order: [b, d] pixels, the changed ones first, shuffled. changed: [b] how many those are.
        at, size: [b] where the next group begins, and how many it has. reset_any: bool [b], some in this sweep were.
        sweep: [b] its number. done: bool [b], in a whole sweep no pixel alone could be reset.
    """

    order: Tensor
    changed: Tensor
    at: Tensor
    size: Tensor
    reset_any: Tensor
    sweep: Tensor
    done: Tensor

    @classmethod
    def start(cls, bout: Bout, z: Tensor) -> Groups:
        """The first sweep, over what `z` [b, ...] has changed; in groups of a quarter."""
        sweep = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        order, changed = _shuffled(bout, z, sweep)
        return cls(order, changed, torch.zeros_like(sweep), (changed // 4).clamp(min=1), sweep > 0, sweep, changed == 0)

    def reset(self, bout: Bout, z: Tensor) -> Tensor:
        """`z` [b, ...] with the next group as in the clean image."""
        place = torch.arange(self.order.shape[1], device=z.device)
        inside = (place >= self.at[:, None]) & (place < torch.minimum(self.at + self.size, self.changed)[:, None])
        chosen = torch.zeros_like(inside).scatter(1, self.order, inside).reshape(z.shape)
        return torch.where(chosen, bout.x, z)

    def tell(self, bout: Bout, z: Tensor, hit: Tensor) -> Groups:
        """The next state: `hit` bool [b], the group could be reset; `z` [b, ...], without it then."""
        passed = hit | (self.size == 1)
        at = torch.where(passed, self.at + self.size, self.at)
        size = torch.where(hit, 2 * self.size, (self.size // 2).clamp(min=1))
        reset_any = self.reset_any | hit
        over = at >= self.changed
        sweep = self.sweep + over
        order, changed = self.order, self.changed
        if bool(over.any()):
            new_order, new_count = _shuffled(bout, z, sweep)
            order = torch.where(over[:, None], new_order, order)
            changed = torch.where(over, new_count, changed)
        done = (over & ~reset_any) | (changed == 0)
        at = torch.where(over, 0, at)
        size = torch.minimum(size, (changed - at).clamp(min=1))
        return Groups(order, changed, at, size, reset_any & ~over, sweep, done)


def _shuffled(bout: Bout, z: Tensor, sweep: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels in random order, the changed ones first, and how many those are. The sweep's number is a tag of noise."""
    changed = (z != bout.x).flatten(1)
    keys = bout.noise.fold(sweep).uniform(changed.shape[1]) - changed.to(torch.float32)
    return keys.argsort(dim=1, stable=True), changed.sum(1)
