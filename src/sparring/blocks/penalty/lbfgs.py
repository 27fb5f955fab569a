"""L-BFGS in a box, each row on its own: its own curvature, its own line search, its own pixels held at their bounds.

    z' = clip(z - t * H g, low, high),   H from the last steps s and changes of gradient y by the two-loop recursion

Nocedal & Wright 2006, doi:10.1007/978-0-387-40065-5, algorithm 7.4; pixels at a bound that the gradient pushes out are
held (Bertsekas 1982, doi:10.1137/0320018), t is halved until the Armijo condition holds. Ask and tell: `trial` says
where to look, `update` takes what was seen there; one look a step, whether it was accepted or not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.norms import per

SHORTEST = 2.0**-20
"the shortest share of a step that is tried before the curvature is forgotten, or the search given up"


class Lbfgs(NamedTuple):
    """The state of a minimisation for each row; a tuple of tensors [b, ...], so that rows leave it as any state.

    Attributes:
        z, value, slope: where a row is, what the function is there [b], and its gradient.
        direction: of the next step. length: [b] the share of it that is tried next.
        s, y: [b, m, ...] the last steps and changes of the gradient, newest first; zero where there were fewer.
        over: bool [b], there is nothing to gain any more.
    """

    z: Tensor
    value: Tensor
    slope: Tensor
    direction: Tensor
    length: Tensor
    s: Tensor
    y: Tensor
    over: Tensor

    @classmethod
    def start(cls, z: Tensor, value: Tensor, slope: Tensor, low: Tensor, high: Tensor, memory: int = 10) -> Lbfgs:
        """At the points `z` [b, ...] between the bounds `low` and `high`, where the function was seen."""
        blank = torch.zeros(len(z), memory, *z.shape[1:], dtype=z.dtype, device=z.device)
        nothing = torch.zeros_like(value)
        state = cls(z, value, slope, torch.zeros_like(z), nothing, blank, blank, nothing > 0)
        return state._aimed(low, high)

    def trial(self, low: Tensor, high: Tensor) -> Tensor:
        """Where to look next: [b, ...]."""
        return _clip(self.z + per(self.length, self.z) * self.direction, low, high)

    def update(self, z: Tensor, value: Tensor, slope: Tensor, low: Tensor, high: Tensor, least: float = 1e-7) -> Lbfgs:
        """The state after `trial` gave `z`, where the function is `value` [b] with the gradient `slope`.

        least: a step that gains less than this share of the value is the last.
        """
        descent = _dot(self.slope, z - self.z)
        takes = value <= self.value + 1e-4 * descent
        taken = per(takes, z)
        s, y = z - self.z, slope - self.slope
        bends = takes & (_dot(s, y) > 1e-10 * _dot(y, y))
        stays = per(bends, self.s)
        moved = self._replace(
            z=torch.where(taken, z, self.z),
            value=torch.where(takes, value, self.value),
            slope=torch.where(taken, slope, self.slope),
            s=torch.where(stays, torch.cat([s[:, None], self.s[:, :-1]], 1), self.s),
            y=torch.where(stays, torch.cat([y[:, None], self.y[:, :-1]], 1), self.y),
        )
        settled = takes & (self.value - value <= least * torch.maximum(self.value.abs(), value.abs()))
        lost = ~takes & (self.length / 2 < SHORTEST)
        blind = self.s.flatten(1).any(1)  # a curvature that leads nowhere is forgotten first
        forget = per(lost, self.s)
        moved = moved._replace(s=torch.where(forget, 0, moved.s), y=torch.where(forget, 0, moved.y))
        turned = moved._aimed(low, high)
        anew = takes | lost
        return turned._replace(
            direction=torch.where(per(anew, z), turned.direction, self.direction),
            length=torch.where(anew, turned.length, self.length / 2),
            over=self.over | turned.over | settled | (lost & ~blind),
        )

    def _aimed(self, low: Tensor, high: Tensor) -> Lbfgs:
        """With a new direction, at full length."""
        g = self.slope
        free = ~((self.z <= low) & (g > 0) | (self.z >= high) & (g < 0)) & (low < high)
        direction = _two_loop(torch.where(free, g, 0), free, self.s, self.y)
        gain = -_dot(direction, g)
        steep = torch.where(free, -g, 0)
        direction = torch.where(per(gain > 0, g), direction, steep)
        size = direction.flatten(1).abs().amax(1)
        first = ~self.s.flatten(1).any(1)  # nothing is known of the curvature: move no pixel by more than a tenth
        reach = (high - low).flatten(1).amax(1)
        length = torch.where(first, (0.1 * reach / size.clamp(min=torch.finfo(g.dtype).tiny)).clamp(max=1.0), 1.0)
        length = torch.where(first, length, torch.ones_like(length))
        return self._replace(direction=direction, length=length, over=self.over | (size == 0))


def _two_loop(g: Tensor, free: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """-H g on the free pixels alone; -g where there is no history."""
    s, y = s * free[:, None], y * free[:, None]
    bend = (s * y).flatten(2).sum(2)
    rho = torch.where(bend > 0, 1 / bend.clamp(min=torch.finfo(g.dtype).tiny), 0)
    alphas = []
    for k in range(s.shape[1]):
        alphas.append(rho[:, k] * _dot(s[:, k], g))
        g = g - per(alphas[k], g) * y[:, k]
    newest = bend[:, 0] / _dot(y[:, 0], y[:, 0]).clamp(min=torch.finfo(g.dtype).tiny)
    g = g * per(torch.where(bend[:, 0] > 0, newest, 1), g)
    for k in reversed(range(s.shape[1])):
        beta = rho[:, k] * _dot(y[:, k], g)
        g = g + per(alphas[k] - beta, g) * s[:, k]
    return -g


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _clip(z: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(z, low), high)
