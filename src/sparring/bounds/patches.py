"""CROWN's bounds of a convolution's neurons, on the patch of pixels that each sees instead of the whole image.

The same bounds as by `backward.least` on rows that are zero almost everywhere, in a fraction of the time. Where the
way back to the pixels is a chain of convolutions, ReLUs and scalings, a neuron at (i, j) depends on the patch of side
`size` that begins at (i, j) * stride - padding: all three grow layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d, one_hot, pad

from sparring.bounds.backward import CHUNK, Lines
from sparring.bounds.ball import Region
from sparring.bounds.graph import Graph
from sparring.bounds.interval import Interval
from sparring.bounds.ops import Conv, Input, Relu, Scale

Pair = tuple[int, int]


@dataclass(frozen=True)
class View:
    """Which patch of a node each neuron sees: its size, and where it begins for neuron (0, 0) and for the next one."""

    size: Pair
    stride: Pair
    padding: Pair

    def through(self, conv: Conv) -> View:
        """The same patch, in the input of a convolution."""
        (kh, kw), (sh, sw), (ph, pw) = conv.weight.shape[2:], conv.stride, conv.padding
        return View(
            ((self.size[0] - 1) * sh + kh, (self.size[1] - 1) * sw + kw),
            (self.stride[0] * sh, self.stride[1] * sw),
            (self.padding[0] * sh + ph, self.padding[1] * sw + pw),
        )

    def cut(self, values: Tensor, neurons: Pair) -> Tensor:
        """Values [B, C, H, W] -> their patches [B, *neurons, C, *size], as a view; zero outside."""
        margins: list[int] = []
        for side in (1, 0):  # `pad` wants the last dimension first
            before = self.padding[side]
            need = (neurons[side] - 1) * self.stride[side] + self.size[side]
            margins += [before, max(0, need - before - values.shape[2 + side])]
        padded = pad(values, margins)
        found = padded.unfold(2, self.size[0], self.stride[0]).unfold(3, self.size[1], self.stride[1])
        return found[:, :, : neurons[0], : neurons[1]].permute(0, 2, 3, 1, 4, 5)


def sees_patches(graph: Graph, number: int) -> bool:
    """A chain of plain convolutions, ReLUs and scalings leads to the pixels, and patches are smaller than the image."""
    view, node = View((1, 1), (1, 1), (0, 0)), graph.nodes[number]
    if not isinstance(node.op, Conv):
        return False
    while not isinstance(node.op, Input):
        if isinstance(node.op, Conv):
            if node.op.groups != 1 or node.op.dilation != (1, 1):
                return False
            view = view.through(node.op)
        elif not isinstance(node.op, (Relu, Scale)):
            return False
        node = graph.nodes[node.inputs[0]]
    return len(node.shape) == 3 and 2 * view.size[0] * view.size[1] < node.shape[1] * node.shape[2]


def patch_bounds(
    graph: Graph, number: int, owner: Tensor, neuron: Tensor, lines: Mapping[int, Lines], region: Region
) -> Interval:
    """(low, high) [R] of some neurons of a node, each of the image `owner`, by CROWN."""
    low, high = (torch.empty(len(owner), dtype=region.x.dtype, device=region.x.device) for _ in range(2))
    count = max(1, CHUNK // _largest(graph, number))
    for first in range(0, len(owner), count):
        here = slice(first, first + count)
        low[here], high[here] = _bounds(graph, number, owner[here], neuron[here], lines, region)
    return low, high


def _largest(graph: Graph, number: int) -> int:
    """Values of the largest patch on the way."""
    view, most = View((1, 1), (1, 1), (0, 0)), 1
    while not isinstance(graph.nodes[number].op, Input):
        op = graph.nodes[number].op
        view = view.through(op) if isinstance(op, Conv) else view
        number = graph.nodes[number].inputs[0]
        most = max(most, graph.nodes[number].shape[0] * view.size[0] * view.size[1])
    return most


def _bounds(
    graph: Graph, number: int, owner: Tensor, neuron: Tensor, lines: Mapping[int, Lines], region: Region
) -> Interval:
    channels, height, width = graph.nodes[number].shape
    channel, place = neuron // (height * width), neuron % (height * width)
    neurons, view = (height, width), View((1, 1), (1, 1), (0, 0))
    at = (owner, place // width, place % width)
    a = one_hot(channel, channels).to(region.x.dtype)[:, :, None, None]
    both, shifts = [a, -a], [a.new_zeros(len(a)), a.new_zeros(len(a))]
    while not isinstance(graph.nodes[number].op, Input):
        node = graph.nodes[number]
        inside = view.cut(torch.ones(1, 1, *node.shape[1:], dtype=a.dtype, device=a.device), neurons)
        within = inside[torch.zeros_like(owner), at[1], at[2]]
        both = [coefficients * within for coefficients in both]
        match node.op:
            case Conv() as op:
                shifts = [s + op.offset(c) for s, c in zip(shifts, both, strict=True)]
                both = [conv_transpose2d(c, op.weight, stride=op.stride) for c in both]
                view = view.through(op)
            case Scale() as op:
                shifts = [s + op.offset(c) for s, c in zip(shifts, both, strict=True)]
                both = [op.pull(c) for c in both]
            case Relu():
                around = lines[number]
                below, above, shift = (view.cut(v, neurons)[at] for v in (around.below, around.above, around.shift))
                down = [c.clamp(max=0) for c in both]
                shifts = [s + (d * shift).flatten(1).sum(1) for s, d in zip(shifts, down, strict=True)]
                both = [(c - d) * below + d * above for c, d in zip(both, down, strict=True)]
        number = node.inputs[0]
    shape = (-1, *graph.nodes[0].shape)
    x, low, high = (view.cut(v.reshape(shape), neurons)[at].flatten(1) for v in (region.x, region.low, region.high))
    seen = Region(x, low, high, region.eps[owner], region.norm)
    least = [seen.least(c.flatten(1)) + s for c, s in zip(both, shifts, strict=True)]
    return least[0], -least[1]
