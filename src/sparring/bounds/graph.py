"""A net as a graph of linear operations, ReLUs and sums: what all bounds are computed on. Made by `read_graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor

from sparring.bounds.ops import Input, Linear, Op, Relu, Shape


@dataclass(frozen=True)
class Node:
    """An operation in its place.

    Attributes:
        op: what it does. inputs: the numbers of the nodes it takes. shape: of its value, without the batch.
        max_of: two nodes whose elementwise maximum this one is, by way of a ReLU; intervals know a shorter way.
    """

    op: Op
    inputs: tuple[int, ...]
    shape: Shape
    max_of: tuple[int, int] | None = None


@dataclass
class Graph:
    """Nodes in an order in which they can be computed; the first is the image, the last the logits."""

    nodes: list[Node] = field(default_factory=list)

    def add(self, op: Op, inputs: Sequence[int], shape: Shape, max_of: tuple[int, int] | None = None) -> int:
        """Append a node; its number."""
        self.nodes.append(Node(op, tuple(inputs), tuple(shape), max_of))
        return len(self.nodes) - 1

    @property
    def last(self) -> int:
        return len(self.nodes) - 1

    @property
    def classes(self) -> int:
        return self.nodes[-1].shape[0]

    @property
    def relus(self) -> list[int]:
        """The ReLU nodes, in order."""
        return [i for i, node in enumerate(self.nodes) if isinstance(node.op, Relu)]

    @property
    def neurons(self) -> int:
        """How many ReLUs there are."""
        return sum(prod(self.nodes[i].shape) for i in self.relus)

    def value(self, x: Tensor) -> Tensor:
        """Images [B, ...] -> logits [B, K]."""
        return self.values(x)[-1]

    def values(self, x: Tensor) -> list[Tensor]:
        """The value of every node: [B, *shape] each."""
        found: list[Tensor] = []
        for node in self.nodes:
            found.append(x if isinstance(node.op, Input) else node.op.forward(*(found[i] for i in node.inputs)))
        return found

    def to(self, dtype: torch.dtype) -> Graph:
        """The same net in another precision."""
        return Graph([replace(node, op=node.op.to(dtype)) for node in self.nodes])

    def settles(self, start: int) -> bool:
        """No ReLU lies before node `start`: its intervals are those of a linear function of the image."""
        todo, seen = [start], set()
        while todo:
            here = todo.pop()
            if here in seen:
                continue
            seen.add(here)
            if isinstance(self.nodes[here].op, Relu):
                return False
            todo += self.nodes[here].inputs
        return True

    @property
    def sequential(self) -> bool:
        """Each node takes just the one before it."""
        chain = all(node.inputs == (i,) for i, node in enumerate(self.nodes[1:]))
        return chain and all(isinstance(node.op, (Linear, Relu, Input)) for node in self.nodes)
