"""CROWN's bounds of a convolution's neurons, on the patch of pixels that each sees instead of the whole image.

The same bounds as by `backward.least` on rows that are zero almost everywhere, in a fraction of the time. Where the
way back to the pixels is a chain of convolutions, ReLUs and scalings, a neuron at (i, j) depends on the patch of side
`size` that begins at (i, j) * stride - padding: all three grow layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d, pad

from sparring.bounds.backward import CHUNK, Lines
from sparring.bounds.ball import Region, products
from sparring.bounds.graph import Graph
from sparring.bounds.ops import Conv, Input, Relu, Scale
from sparring.norms import Linf

Pair = tuple[int, int]
DENSE = 8
"the most that a matrix product may do, in multiples of the convolution"
CACHED = 2**17
"values of a patch over all rows that are worked on at once: so many stay in the cache"


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
    """[R] lower bounds of sign [R] times some neurons [R] of a node, each of the image `owner` [R], by CROWN.

    Neurons of several channels see the same patch. Rows are sorted by it: each patch is cut once, and its rows are done
    while it is in the cache.
    """
    if not len(owner):
        return sign
    _, height, width = graph.nodes[number].shape
    channel, place = neuron // (height * width), neuron % (height * width)
    seen, order = (owner * (height * width) + place).sort(stable=True)
    spots, counts = torch.unique_consecutive(seen, return_counts=True)
    largest = _largest(graph, number)
    cut_at_once, rows_at_once = max(1, CHUNK // largest), max(1, CACHED // largest)
    found, first = torch.empty_like(sign), 0
    for here, count in zip(torch.split(spots, cut_at_once), torch.split(counts, cut_at_once), strict=True):
        rows = order[first : first + int(count.sum())]
        first += len(rows)
        way = _way(graph, number, here, lines, region, len(rows))
        spot = torch.arange(len(here), device=here.device).repeat_interleave(count)
        for some, which in zip(torch.split(rows, rows_at_once), torch.split(spot, rows_at_once), strict=True):
            found[some] = _least(way, channel[some], sign[some], which)
    return found


def _largest(graph: Graph, number: int) -> int:
    """Values of the largest patch on the way."""
    view, most = View((1, 1), (1, 1), (0, 0)), 1
    while not isinstance(graph.nodes[number].op, Input):
        op = graph.nodes[number].op
        view = view.through(op) if isinstance(op, Conv) else view
        number = graph.nodes[number].inputs[0]
        most = max(most, graph.nodes[number].shape[0] * view.size[0] * view.size[1])
    return most


@dataclass(frozen=True)
class Layer:
    """A convolution or a scaling on the way.

    Attributes:
        op: the layer. matrix: it as a product, where that is quicker. mask: [S, C * h * w] zero where a patch of its
            output reaches beyond the image; None where nothing does.
    """

    op: Conv | Scale
    matrix: Tensor | None
    mask: Tensor | None


@dataclass(frozen=True)
class Way:
    """From neurons of a convolution back to the pixels, for S places.

    Attributes:
        conv: the convolution. steps: what comes before it, from the back: layers, and for each ReLU the lines on each
            patch, [S, 3 n]: the slopes below, how much steeper the ones above are, their shifts.
        region: of the pixels of each patch, S rows.
    """

    conv: Conv
    steps: list[Layer | Tensor]
    region: Region


def _way(graph: Graph, number: int, spots: Tensor, lines: Mapping[int, Lines], region: Region, rows: int) -> Way:
    """The way from the neurons at `spots` [S], image * places + place; `rows` are going to take it."""
    (_, height, width), conv = graph.nodes[number].shape, graph.nodes[number].op
    assert isinstance(conv, Conv)
    image, neurons = spots // (height * width), (height, width)
    at = (image, spots // width % height, spots % width)
    dense = 2 * len(spots) > len(region.x) * height * width

    def patches(values: Tensor) -> Tensor:
        every = view.cut(values, neurons)
        return every.flatten(0, 2).flatten(1).index_select(0, spots) if dense else every[at].flatten(1)

    steps: list[Layer | Tensor] = []
    view, number, inside = View((1, 1), (1, 1), (0, 0)).through(conv), graph.nodes[number].inputs[0], False
    while not isinstance(graph.nodes[number].op, Input):
        node, mask = graph.nodes[number], None
        if not inside and not isinstance(node.op, Relu):  # lines are zero outside anyway
            ones = torch.ones(1, *node.shape, dtype=region.x.dtype, device=region.x.device)
            mask = view.cut(ones, neurons)[torch.zeros_like(image), at[1], at[2]].flatten(1)
        match node.op:
            case Conv() as op:
                steps.append(Layer(op, _matrix(op, (node.shape[0], *view.size), rows), mask))
                view, inside = view.through(op), False
            case Scale() as op:
                steps.append(Layer(op, None, mask))
                inside = True
            case Relu():
                around, inside = lines[number], True
                steeper = around.above - around.below
                steps.append(torch.cat([patches(each) for each in (around.below, steeper, around.shift)], 1))
        number = node.inputs[0]
    low, high = (bound.reshape(-1, *graph.nodes[0].shape) for bound in (region.low, region.high))
    x = region.x.reshape(low.shape)
    if region.norm is Linf:  # a box: its middle and half its width say all
        half = (high - low) / 2
        x, high = patches(x + low + half), patches(half)
        low = -high
    else:
        x, low, high = patches(x), patches(low), patches(high)
    return Way(conv, steps, Region(x, low, high, region.eps[image], region.norm))


def _least(way: Way, channel: Tensor, sign: Tensor, which: Tensor) -> Tensor:
    """[R] the bounds of rows by their channels, signs and places."""
    conv = way.conv
    size = (-1, *conv.weight.shape[1:])
    a = conv.weight.flatten(1).index_select(0, channel) * sign[:, None]
    shift = torch.zeros_like(sign) if conv.bias is None else conv.bias[channel] * sign
    for step in way.steps:
        if isinstance(step, Tensor):
            below, steeper, shifts = step.index_select(0, which).tensor_split(3, 1)
            down = a.clamp(max=0)
            shift = shift + products(down, shifts)
            a = (a * below).addcmul_(down, steeper)
            continue
        if step.mask is not None:
            a = a * step.mask.index_select(0, which)
        shaped = a.reshape(size)
        shift = shift + step.op.offset(shaped)
        if isinstance(step.op, Scale):
            a = step.op.pull(shaped).flatten(1)
            continue
        a = _whole(step.op, shaped).flatten(1) if step.matrix is None else a @ step.matrix
        size = _before(step.op, size)
    region = way.region
    if region.norm is Linf:
        x, half = region.x.index_select(0, which), region.high.index_select(0, which)
        return products(a, x) - products(a.abs_(), half) + shift
    return region[which].least(a) + shift


def _matrix(conv: Conv, size: tuple[int, ...], rows: int) -> Tensor | None:
    """A convolution of patches [*size] as one matrix product, where that does not do much more than the convolution:
    many small patches suit that badly."""
    wide = _before(conv, (-1, *size))[2:]
    count = prod(size)
    if wide[0] * wide[1] > DENSE * conv.weight[0, 0].numel() or rows < count:
        return None
    eye = torch.eye(count, dtype=conv.weight.dtype, device=conv.weight.device)
    return _whole(conv, eye.reshape(-1, *size)).flatten(1)


def _whole(conv: Conv, a: Tensor) -> Tensor:
    """Coefficients [R, out, h, w] of patches through a convolution, without its padding."""
    return conv_transpose2d(a, conv.weight, stride=conv.stride)


def _before(conv: Conv, size: tuple[int, ...]) -> tuple[int, ...]:
    """The size (-1, C, h, w) of the patches before a convolution."""
    high, wide = (
        (side - 1) * step + kernel
        for side, step, kernel in zip(size[2:], conv.stride, conv.weight.shape[2:], strict=True)
    )
    return (-1, conv.weight.shape[1], high, wide)
