"""How far rounding can move what is computed: running error analysis in its probabilistic form.

A rounded sum of n products is off by about the precision times the root of the sum of their squares, and by sqrt(n)
times that in the worst order (Higham & Mary 2019, doi:10.1137/18M1226312). Where large terms cancel, that is far more
than the precision of the result. So both scales are propagated through the layers, like intervals.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparring.bounds.graph import Graph
from sparring.bounds.interval import interval_bounds
from sparring.bounds.ops import Add, Input, Linear, Relu

SAFETY = 4
"times the error that is to be expected in the worst order"


def spread_errors(graph: Graph, low: Tensor, high: Tensor) -> list[Tensor]:
    """[B, *shape] for every node: what bounds that are pulled back from it are off by, in units of the precision.

    They multiply the weights of several layers before anything cancels: each path through the net counts alone.
    """
    found: list[Tensor] = []
    for node in graph.nodes:
        taken = [found[i] for i in node.inputs]
        if isinstance(node.op, Input):
            found.append(torch.maximum(low.abs(), high.abs()).square().reshape(-1, *node.shape))
        else:
            found.append(_passed(node.op, taken))
    return [value.sqrt() * _factor(graph) for value in found]


def own_error(graph: Graph, low: Tensor, high: Tensor) -> Tensor:
    """[B, K]: what the net's own logits are off by, for pixels between low and high, in units of the precision."""
    found: list[Tensor] = []
    values = [torch.maximum(a.abs(), b.abs()).square() for a, b in interval_bounds(graph, low, high)]
    for number, node in enumerate(graph.nodes):
        if isinstance(node.op, Input):
            found.append(torch.zeros_like(values[number]))
        elif isinstance(node.op, Relu):
            found.append(found[node.inputs[0]])
        else:
            found.append(_passed(node.op, [found[i] + values[i] for i in node.inputs]))
    return found[-1].sqrt() * _factor(graph)


def _factor(graph: Graph) -> float:
    terms = [node.op.terms for node in graph.nodes if isinstance(node.op, Linear)]
    return SAFETY * math.sqrt(max(terms, default=1))


def _passed(op: object, squares: list[Tensor]) -> Tensor:
    """What an operation makes of the squares of its inputs."""
    match op:
        case Linear():
            return op.squared().forward(squares[0])
        case Relu():
            return squares[0]
        case Add():
            return squares[0] + squares[1]
    raise TypeError(f"no rounding rule for {op}")
