"""CROWN: bounds of every ReLU's input by linear bounds pulled back to the pixels, and from them those of the margins.

Zhang et al. 2018, arXiv:1811.00866. Differs from the paper: the least value over the ball is taken together with the
box; every bound is met with the one by intervals, so none is looser than those; and only neurons that intervals leave
unstable are asked about. Interval margins merge the last layer with what is asked (Gowal et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sparring.bounds.backward import CACHED, Form, Lines, chunks, least, lines_around, settle
from sparring.bounds.ball import Region
from sparring.bounds.graph import Graph
from sparring.bounds.interval import Interval, interval_bounds, step, widened
from sparring.bounds.ops import Input, Relu, Reshape, Scale
from sparring.bounds.patches import patch_least, sees_patches
from sparring.bounds.rounding import spread_errors


@dataclass(frozen=True)
class Neurons:
    """What is known of the ReLUs' inputs for each of B images: (low, high) by the number of the ReLU node."""

    inputs: Mapping[int, Interval]

    def __getitem__(self, rows: Tensor) -> Neurons:
        return Neurons({number: (low[rows], high[rows]) for number, (low, high) in self.inputs.items()})

    @property
    def lines(self) -> dict[int, Lines]:
        """The lines of CROWN around each ReLU."""
        return {number: lines_around(*interval) for number, interval in self.inputs.items()}

    @property
    def unstable(self) -> Tensor:
        """[B] how many ReLUs may be on either side."""
        counts = [((low < 0) & (high > 0)).flatten(1).sum(1) for low, high in self.inputs.values()]
        return torch.stack(counts).sum(0)


def margin_rows(y: Tensor, classes: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows [B (K - 1), K] that turn logits into margins y - k, and the image of each: [B (K - 1)]."""
    eye = torch.eye(classes, dtype=dtype, device=y.device)
    every = eye[y][:, None] - eye[None]
    others = torch.arange(classes, device=y.device)[None] != y[:, None]
    owner = torch.arange(len(y), device=y.device).repeat_interleave(classes - 1)
    return every[others], owner


def interval_margins(graph: Graph, region: Region, rows: Tensor, owner: Tensor) -> Tensor:
    """[R] lower bounds of the rows by intervals. Differentiable in the weights of the graph."""
    return _by_intervals(graph, interval_bounds(graph, *region.box), region, rows, owner)


def crown_margins(graph: Graph, region: Region, neurons: Neurons, rows: Tensor, owner: Tensor) -> Tensor:
    """[R] lower bounds of the rows by CROWN, no looser than by intervals."""
    intervals = _with(graph, region, neurons)
    loose = _by_intervals(graph, intervals, region, rows, owner)
    return torch.maximum(loose, least(graph, Form.of(graph.last, rows), owner, neurons.lines, region))


def crown_neurons(graph: Graph, region: Region) -> Neurons:
    """Bounds of all ReLU inputs, in order, each by those before it."""
    found: list[Interval] = []
    known: dict[int, Interval] = {}
    lines: dict[int, Lines] = {}
    asked = {graph.nodes[number].inputs[0] for number in graph.relus}
    with torch.no_grad():
        errors = spread_errors(graph, *region.box)
        for number, node in enumerate(graph.nodes):
            low, high = step(node, found, *region.box)
            if number in asked and not _exact(graph, number, region):
                low, high = _tightened(graph, number, low, high, lines, region)
            if number in asked:
                low, high = widened(low, high, errors[number])
            found.append((low, high))
            if isinstance(node.op, Relu):
                known[number] = found[node.inputs[0]]
                lines[number] = lines_around(*known[number])
    return Neurons(known)


def _tightened(
    graph: Graph, number: int, low: Tensor, high: Tensor, lines: Mapping[int, Lines], region: Region
) -> Interval:
    """The interval of a node, met with CROWN's where a ReLU after it could be on either side.

    The likelier side goes first; a neuron that it settles is not asked about again.
    """
    flat_low, flat_high = low.flatten(1).clone(), high.flatten(1).clone()
    neuron, owner = ((flat_low < 0) & (flat_high > 0)).T.nonzero(as_tuple=True)
    sign = torch.where(flat_low + flat_high > 0, 1.0, -1.0).to(low.dtype)[owner, neuron]
    bound = patch_least if sees_patches(graph, number) else _neuron_least
    for _ in range(2):
        reached = bound(graph, number, owner, neuron, sign, lines, region)
        up = sign > 0
        for flat, meet, which in ((flat_low, torch.maximum, up), (flat_high, torch.minimum, ~up)):
            at = (owner[which], neuron[which])
            flat[at] = meet(flat[at], (sign * reached)[which])
        open_ = reached < 0
        owner, neuron, sign = owner[open_], neuron[open_], -sign[open_]
    return flat_low.reshape(low.shape), torch.maximum(flat_low, flat_high).reshape(low.shape)


def _neuron_least(
    graph: Graph,
    number: int,
    owner: Tensor,
    neuron: Tensor,
    sign: Tensor,
    lines: Mapping[int, Lines],
    region: Region,
) -> Tensor:
    """[R] lower bounds of sign times neurons of a node: back to the ReLUs before it, the way is that of all images."""
    shape = graph.nodes[number].shape
    found = []
    for here in chunks(graph, len(owner), most=CACHED):
        asked, which = torch.unique_consecutive(neuron[here], return_inverse=True)
        rows = one_hot(asked, prod(shape)).to(sign.dtype).reshape(-1, *shape)
        form = settle(graph, Form.of(number, rows))[which].times(sign[here])
        found.append(least(graph, form, owner[here], lines, region))
    return torch.cat(found) if found else sign


def _exact(graph: Graph, number: int, region: Region) -> bool:
    """Intervals say all there is to say: at most one layer that mixes values lies between the box and this node."""
    mixing, node = 0, graph.nodes[number]
    while not isinstance(node.op, Input):
        mixing += not isinstance(node.op, (Scale, Reshape))
        if len(node.inputs) > 1 or isinstance(node.op, Relu):
            return False
        node = graph.nodes[node.inputs[0]]
    return mixing <= 1 and region.norm.p == float("inf")


def _by_intervals(graph: Graph, found: list[Interval], region: Region, rows: Tensor, owner: Tensor) -> Tensor:
    form = settle(graph, Form.of(graph.last, rows))
    total = form.shift
    for number, a in form.parts.items():
        if isinstance(graph.nodes[number].op, Input):
            total = total + region[owner].least(a.flatten(1))
        else:
            low, high = found[number][0][owner], found[number][1][owner]
            total = total + torch.where(a > 0, a * low, a * high).flatten(1).sum(1)
    return total


def _with(graph: Graph, region: Region, neurons: Neurons) -> list[Interval]:
    """Intervals of all nodes, the ReLUs' inputs as they are known."""
    found: list[Interval] = []
    for number, node in enumerate(graph.nodes):
        if number in neurons.inputs:
            low, high = neurons.inputs[number]
            found.append((low.relu(), high.relu()))
        else:
            found.append(step(node, found, *region.box))
    return found
