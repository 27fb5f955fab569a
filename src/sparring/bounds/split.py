"""Bounds of parts of a ball, cut by the signs of some ReLUs' inputs: beta-CROWN. Wang et al. 2021, arXiv:2103.06624.

A part is known by a sign for each ReLU: +1, its input is held at z >= 0; -1, at z <= 0; 0, free. There the ReLU is
linear, and the constraint enters the bound with a multiplier beta >= 0: min f over z >= 0 is at least min f - beta z.
Slopes and multipliers are optimised together, each part with its own, from where its parent's ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from sparring.bounds.backward import Form, Lines, lines_around, pull_back
from sparring.bounds.ball import Region
from sparring.bounds.crown import Neurons
from sparring.bounds.graph import Graph

DECAY = 0.97
SLOPE_RATE, BETA_RATE = 0.1, 0.05
"""of Adam; the multipliers are in units of the largest coefficient at the ReLUs"""


@dataclass(frozen=True)
class Parts:
    """D parts; all tensors have a row a part, and a column a ReLU of the net, in order.

    Attributes:
        pair: [D] which function is to be bounded. sign: int8 [D, N]. slope, beta: [D, N]. bound: [D].
        choice: [D] the ReLU to split next; -1 = none is left.
    """

    pair: Tensor
    sign: Tensor
    slope: Tensor
    beta: Tensor
    bound: Tensor
    choice: Tensor

    def __len__(self) -> int:
        return len(self.pair)

    def __getitem__(self, rows: Tensor) -> Parts:
        return Parts(*(value[rows] for value in self._all))

    def __add__(self, other: Parts) -> Parts:
        return Parts(*(torch.cat(both) for both in zip(self._all, other._all, strict=True)))

    @property
    def _all(self) -> tuple[Tensor, ...]:
        return self.pair, self.sign, self.slope, self.beta, self.bound, self.choice

    def children(self) -> Parts:
        """Both halves of each part, by the ReLU that it chose."""
        twice = torch.arange(2 * len(self), device=self.pair.device) // 2
        both = self[twice]
        signs = torch.tensor([1, -1], dtype=torch.int8, device=self.pair.device).repeat(len(self))
        sign = both.sign.scatter(1, both.choice[:, None], signs[:, None])
        return Parts(both.pair, sign, both.slope, both.beta, both.bound, both.choice)


class Splitter:
    """Bounds parts for P linear functions of the logits.

    Args:
        graph: the net. region: of P rows, as all that follows. form: the functions, settled. neurons: what is known.
    """

    def __init__(self, graph: Graph, region: Region, form: Form, neurons: Neurons) -> None:
        self.graph, self.region, self.form = graph, region, form
        self.low, self.high = (
            torch.cat([interval[side].flatten(1) for interval in neurons.inputs.values()], 1) for side in (0, 1)
        )
        self.shapes = {number: graph.nodes[number].shape for number in neurons.inputs}

    def whole(self) -> Parts:
        """The uncut ball for each function; nothing is known of it yet."""
        count, neurons = self.low.shape
        device, dtype = self.low.device, self.low.dtype
        none = torch.zeros(count, neurons, dtype=dtype, device=device)
        lines = lines_around(self.low, self.high)
        least = torch.full((count,), -torch.inf, dtype=dtype, device=device)
        pair = torch.arange(count, device=device)
        return Parts(pair, none.to(torch.int8), lines.below, none, least, torch.full_like(pair, -1))

    def bound(self, parts: Parts, steps: int) -> tuple[Parts, Tensor, Tensor]:
        """The parts with better bounds and the ReLU to split next; for each the pixels [D, d] that look worst, and the
        mean of those over the second half of the ascent: near the optimum, it keeps the constraints of the part."""
        low, high, form, region = self._of(parts)
        lines = lines_around(low, high)
        free = (low < 0) & (high > 0)
        sign = parts.sign.to(low.dtype)
        slope, beta = parts.slope.clone().requires_grad_(), parts.beta.clone().requires_grad_()
        unit = self._unit(form, lines)
        adam = torch.optim.Adam(
            [{"params": [slope], "lr": SLOPE_RATE}, {"params": [beta], "lr": BETA_RATE}], maximize=True
        )
        best = torch.full_like(parts.bound, -torch.inf)
        kept = (parts.slope, parts.beta, self._worst(form, region))
        score, mean = torch.zeros_like(low), self._worst(form, region)
        for number in range(steps + 1):
            with torch.enable_grad():
                held = Lines(torch.where(free, slope, lines.below), lines.above, lines.shift)
                push = -(sign * beta) * unit[:, None]
                pulled = pull_back(self.graph, form, self._each(held), push=self._cut(push), keep=True)
                bound = region.least(pulled.a) + pulled.shift
                total = bound.sum()
            with torch.no_grad():
                better = bound > best
                column = better[:, None]
                best = torch.where(better, bound, best)
                point = torch.where(column, pulled.a, kept[2])
                kept = (torch.where(column, slope, kept[0]), torch.where(column, beta, kept[1]), point)
                if 2 * number >= steps:
                    mean += region.lowest(pulled.a) / (steps // 2 + 1)
                at = torch.cat([pulled.at_relus[key].flatten(1) for key in self.shapes], 1)
                score = torch.where(column, _score(at, held, low, high) * free, score)
            if number < steps:
                slope.grad, beta.grad = torch.autograd.grad(total, [slope, beta])
                adam.step()
                with torch.no_grad():
                    slope.clamp_(0, 1)
                    beta.clamp_(min=0)
                for group in adam.param_groups:
                    group["lr"] *= DECAY
        choice = torch.where(free.any(1), torch.where(free, score, -1).argmax(1), -1)
        found = Parts(parts.pair, parts.sign, kept[0], kept[1], torch.maximum(parts.bound, best), choice)
        return found, region.lowest(kept[2]), mean

    def _of(self, parts: Parts) -> tuple[Tensor, Tensor, Form, Region]:
        """What is known of the ReLUs in each part, and its function and region."""
        low, high = self.low[parts.pair], self.high[parts.pair]
        low = torch.where(parts.sign > 0, low.clamp(min=0), low)
        high = torch.where(parts.sign < 0, high.clamp(max=0), high)
        return low, high, self.form[parts.pair], self.region[parts.pair]

    def _cut(self, flat: Tensor) -> dict[int, Tensor]:
        """Columns of all ReLUs -> those of each ReLU node, in its shape."""
        pieces = torch.split(flat, [prod(shape) for shape in self.shapes.values()], 1)
        return {
            number: piece.reshape(-1, *self.shapes[number]) for number, piece in zip(self.shapes, pieces, strict=True)
        }

    def _each(self, lines: Lines) -> dict[int, Lines]:
        below, above, shift = (self._cut(flat) for flat in (lines.below, lines.above, lines.shift))
        return {number: Lines(below[number], above[number], shift[number]) for number in self.shapes}

    def _unit(self, form: Form, lines: Lines) -> Tensor:
        """[D] the largest coefficient at any ReLU: what multipliers are measured in."""
        with torch.no_grad():
            pulled = pull_back(self.graph, form, self._each(lines), keep=True)
        return torch.stack([a.abs().flatten(1).amax(1) for a in pulled.at_relus.values()]).amax(0).clamp(min=1e-6)

    def _worst(self, form: Form, region: Region) -> Tensor:
        return torch.zeros(len(form), region.x.shape[1], dtype=region.x.dtype, device=region.x.device)


def _score(a: Tensor, lines: Lines, low: Tensor, high: Tensor) -> Tensor:
    """How much the bound may gain where a ReLU is split: what its two lines give away at most."""
    gap = torch.minimum(-lines.below * low, (1 - lines.below) * high)
    return -a.clamp(max=0) * lines.shift + a.clamp(min=0) * gap
