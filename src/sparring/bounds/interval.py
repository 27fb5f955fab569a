"""Interval bound propagation: the smallest and largest value of every node, layer by layer.

Mirman et al. 2018 (ICML, DiffAI) and Gowal et al. 2018, arXiv:1810.12715. Cheap, differentiable, and loose.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.bounds.graph import Graph, Node
from sparring.bounds.ops import Add, Input, Linear, Relu

Interval = tuple[Tensor, Tensor]


def interval_bounds(graph: Graph, low: Tensor, high: Tensor) -> list[Interval]:
    """(low, high) of every node, [B, *shape] each, for pixels between low and high [B, d] or [B, ...]."""
    found: list[Interval] = []
    for node in graph.nodes:
        found.append(step(node, found, low, high))
    return found


def step(node: Node, found: list[Interval], low: Tensor, high: Tensor) -> Interval:
    """The interval of one node from those before it."""
    if isinstance(node.op, Input):
        return low.reshape(-1, *node.shape), high.reshape(-1, *node.shape)
    first, *others = (found[i] for i in node.inputs)
    match node.op:
        case Linear() as op:
            centre, radius = op.forward((first[0] + first[1]) / 2), op.spread((first[1] - first[0]) / 2)
            return centre - radius, centre + radius
        case Relu():
            return first[0].relu(), first[1].relu()
        case Add(sign):
            (second,) = others
            low_second, high_second = second if sign > 0 else (-second[1], -second[0])
            low, high = first[0] + low_second, first[1] + high_second
            if node.max_of is not None:
                a, b = (found[i] for i in node.max_of)
                low, high = (
                    torch.maximum(low, torch.maximum(a[0], b[0])),
                    torch.minimum(high, torch.maximum(a[1], b[1])),
                )
            return low, high
    raise TypeError(f"no interval rule for {node.op}")


def widened(low: Tensor, high: Tensor, error: Tensor) -> Interval:
    """An interval rounded outwards, by what it may be off by (`rounding`), and by its own last places."""
    pad = torch.finfo(low.dtype).eps * (error + 16 * torch.maximum(low.abs(), high.abs()))
    return low - pad, high + pad
