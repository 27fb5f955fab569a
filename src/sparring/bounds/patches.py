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
from sparring.bounds.ops import Conv, Input, Relu, Scale
from sparring.norms import Linf

Pair = tuple[int, int]
DENSE = 8
"the most that a matrix product may do, in multiples of the convolution"


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


def patch_least(
    graph: Graph,
    number: int,
    owner: Tensor,
    neuron: Tensor,
    sign: Tensor,
    lines: Mapping[int, Lines],
    region: Region,
) -> Tensor:
    """[R] lower bounds of sign [R] times some neurons [R] of a node, each of the image `owner` [R], by CROWN."""
    count = max(1, 4 * CHUNK // _largest(graph, number))
    found = []
    for first in range(0, len(owner), count):
        here = slice(first, first + count)
        found.append(_least(graph, number, owner[here], neuron[here], sign[here], lines, region))
    return torch.cat(found) if found else sign


def _largest(graph: Graph, number: int) -> int:
    """Values of the largest patch on the way."""
    view, most = View((1, 1), (1, 1), (0, 0)), 1
    while not isinstance(graph.nodes[number].op, Input):
        op = graph.nodes[number].op
        view = view.through(op) if isinstance(op, Conv) else view
        number = graph.nodes[number].inputs[0]
        most = max(most, graph.nodes[number].shape[0] * view.size[0] * view.size[1])
    return most


def _least(
    graph: Graph,
    number: int,
    owner: Tensor,
    neuron: Tensor,
    sign: Tensor,
    lines: Mapping[int, Lines],
    region: Region,
) -> Tensor:
    channels, height, width = graph.nodes[number].shape
    channel, place = neuron // (height * width), neuron % (height * width)
    neurons, view = (height, width), View((1, 1), (1, 1), (0, 0))
    # Neurons of several channels see the same patch: each is cut once, which is slow, and then copied row by row.
    spots, which = torch.unique(owner * (height * width) + place, return_inverse=True)
    at = (spots // (height * width), spots // width % height, spots % width)

    dense = 2 * len(spots) > len(region.x) * height * width

    def patches(values: Tensor) -> Tensor:
        every = view.cut(values, neurons)
        some = every.flatten(0, 2).flatten(1).index_select(0, spots) if dense else every[at].flatten(1)
        return some.index_select(0, which)

    a = (one_hot(channel, channels) * sign[:, None])[:, :, None, None]
    shift, inside = torch.zeros_like(sign), True
    while not isinstance(graph.nodes[number].op, Input):
        node = graph.nodes[number]
        if not inside and not isinstance(node.op, Relu):  # lines are zero outside anyway
            mask = view.cut(torch.ones(1, 1, *node.shape[1:], dtype=a.dtype, device=a.device), neurons)
            a = a * mask[torch.zeros_like(spots), at[1], at[2]][which]
        match node.op:
            case Conv() as op:
                shift = shift + op.offset(a)
                a, view, inside = _pull(op, a), view.through(op), False
            case Scale() as op:
                shift = shift + op.offset(a)
                a, inside = op.pull(a), True
            case Relu():
                around, size, flat = lines[number], a.shape, a.flatten(1)
                down = flat.clamp(max=0)
                shift = shift + (down * patches(around.shift)).sum(1)
                flat = (flat * patches(around.below)).addcmul_(down, patches(around.above - around.below))
                a, inside = flat.reshape(size), True
        number = node.inputs[0]
    shape = (-1, *graph.nodes[0].shape)
    if region.norm is Linf:  # a box: its middle and half its width say all
        half = (region.high - region.low) / 2
        x, high = (patches(v.reshape(shape)) for v in (region.x + region.low + half, half))
        low = -high
    else:
        x, low, high = (patches(v.reshape(shape)) for v in (region.x, region.low, region.high))
    return Region(x, low, high, region.eps[owner], region.norm).least(a.flatten(1)) + shift


def _pull(conv: Conv, a: Tensor) -> Tensor:
    """Coefficients [R, out, h, w] of patches through a convolution, without its padding.

    As one matrix product where that does not do much more than the convolution: many small patches suit it badly.
    """
    size = a.shape[1:]
    wide = [
        (side - 1) * step + kernel
        for side, step, kernel in zip(size[1:], conv.stride, conv.weight.shape[2:], strict=True)
    ]
    if wide[0] * wide[1] > DENSE * conv.weight[0, 0].numel() or len(a) < a[0].numel():
        return conv_transpose2d(a, conv.weight, stride=conv.stride)
    eye = torch.eye(a[0].numel(), dtype=a.dtype, device=a.device).reshape(-1, *size)
    matrix = conv_transpose2d(eye, conv.weight, stride=conv.stride)
    return (a.flatten(1) @ matrix.flatten(1)).reshape(len(a), *matrix.shape[1:])
