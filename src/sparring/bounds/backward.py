"""Linear bounds pulled back through the net, row by row: from a node that is asked about to the pixels.

A row is a linear function of one node, for one image (`owner`). On its way back each ReLU is replaced by a line below
it where the coefficient is positive, by a line above it where it is negative (Zhang et al. 2018, arXiv:1811.00866).
What arrives is a linear function of the pixels below the one that was asked about, everywhere in the region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from sparring.bounds.ball import Region, products, taken
from sparring.bounds.graph import Graph
from sparring.bounds.ops import Add, Input, Linear, Relu
from sparring.norms import per

CHUNK = 2**20
"values of one node over all rows that are worked on at once"
CACHED = 2**18
"the same, where no gradients are asked for: so many stay in the cache, and more take twice the time a row"


@dataclass(frozen=True)
class Lines:
    """The lines around each ReLU [B, *shape]: below * z <= relu(z) <= above * z + shift."""

    below: Tensor
    above: Tensor
    shift: Tensor

    def __getitem__(self, rows: Tensor) -> Lines:
        return Lines(taken(self.below, rows), taken(self.above, rows), taken(self.shift, rows))


def lines_around(low: Tensor, high: Tensor) -> Lines:
    """The lines for inputs between low and high: the chord above; below the one of slope 0 or 1 that leaves less."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    above = high / (high - low).clamp(min=torch.finfo(high.dtype).tiny)
    below = torch.where((low < 0) & (high > 0), (high > -low).to(high.dtype), above.round())
    return Lines(below, above, -above * low)


@dataclass(frozen=True)
class Form:
    """R linear functions of nodes: the sum of `parts[i]` [R, *shape] times the value of node i, plus shift [R]."""

    parts: Mapping[int, Tensor]
    shift: Tensor

    @classmethod
    def of(cls, node: int, rows: Tensor) -> Form:
        """The functions of one node with these coefficients."""
        return cls({node: rows}, rows.new_zeros(len(rows)))

    def __len__(self) -> int:
        return len(self.shift)

    def __getitem__(self, rows: Tensor | slice) -> Form:
        return Form({node: a[rows] for node, a in self.parts.items()}, self.shift[rows])

    def times(self, factor: Tensor) -> Form:
        """Each function times a number [R]."""
        return Form({node: a * per(factor, a) for node, a in self.parts.items()}, self.shift * factor)


@dataclass(frozen=True)
class Pulled:
    """What arrived.

    Attributes:
        a: [R, d] coefficients of the pixels. shift: [R] the constant.
        at_relus: the coefficients [R, *shape] of the output of each ReLU, where they were asked for.
    """

    a: Tensor
    shift: Tensor
    at_relus: Mapping[int, Tensor]


def settle(graph: Graph, form: Form) -> Form:
    """The same functions, of ReLUs and pixels alone: back through what is linear. Exact, and the same for any image."""
    waiting, shift, settled = dict(form.parts), form.shift, {}
    while waiting:
        number = max(waiting)
        node, a = graph.nodes[number], waiting.pop(number)
        if isinstance(node.op, (Input, Relu)):
            settled[number] = a
        else:
            shift = shift + _through(graph, number, a, waiting)
    return Form(settled, shift)


def pull_back(
    graph: Graph,
    form: Form,
    lines: Mapping[int, Lines],
    *,
    push: Mapping[int, Tensor] | None = None,
    keep: bool = False,
) -> Pulled:
    """R linear functions -> linear functions of the pixels below them.

    Args:
        lines: for each ReLU on the way, its lines, a row each.
        push: for each ReLU, what to add to the coefficients of its input: multipliers of constraints.
        keep: remember the coefficients at the ReLUs.
    """
    waiting, shift = dict(form.parts), form.shift
    at_relus: dict[int, Tensor] = {}
    pixels = shift.new_zeros(len(form), prod(graph.nodes[0].shape))
    while waiting:
        number = max(waiting)
        node, a = graph.nodes[number], waiting.pop(number)
        match node.op:
            case Input():
                pixels = a.flatten(1)
            case Relu():
                if keep:
                    at_relus[number] = a
                around, down = lines[number], a.clamp(max=0)
                shift = shift + products(down, around.shift)
                a = torch.addcmul((a - down) * around.below, down, around.above)
                _send(waiting, node.inputs[0], a if push is None or number not in push else a + push[number])
            case _:
                shift = shift + _through(graph, number, a, waiting)
    return Pulled(pixels, shift, at_relus)


def _through(graph: Graph, number: int, a: Tensor, waiting: dict[int, Tensor]) -> Tensor | float:
    """Hand coefficients of a node that is no ReLU on to its inputs; what its bias adds."""
    node = graph.nodes[number]
    match node.op:
        case Linear() as op:
            _send(waiting, node.inputs[0], op.pull(a))
            return op.offset(a)
        case Add(sign):
            _send(waiting, node.inputs[0], a)
            _send(waiting, node.inputs[1], sign * a)
            return 0.0
    raise TypeError(f"no rule to pull through {node.op}")


def _send(waiting: dict[int, Tensor], node: int, a: Tensor) -> None:
    waiting[node] = waiting[node] + a if node in waiting else a


def least(graph: Graph, form: Form, owner: Tensor, lines: Mapping[int, Lines], region: Region) -> Tensor:
    """[R] lower bounds of the functions over the regions of their images, `owner` [R]. In chunks, no gradients."""
    found = []
    with torch.no_grad():
        for here in chunks(graph, len(form), most=CACHED):
            own = owner[here]
            mine = {number: around[own] for number, around in lines.items() if number <= max(form.parts)}
            pulled = pull_back(graph, form[here], mine)
            found.append(region[own].least(pulled.a) + pulled.shift)
    return torch.cat(found) if found else form.shift


def chunks(graph: Graph, rows: int, copies: int = 1, most: int = CHUNK) -> list[slice]:
    """Slices of so many rows that `most` values are not exceeded, if each node is held so many times."""
    size = copies * max(prod(node.shape) for node in graph.nodes)
    count = max(1, most // size)
    return [slice(first, first + count) for first in range(0, rows, count)]
