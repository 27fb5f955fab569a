"""Reads a classifier into a `Graph`: torch.fx lists its calls, each becomes a few nodes.

Linear, Conv2d, BatchNorm in eval mode, average and max pooling, ReLU, flatten, sums, zero padding and dropout in eval
mode are understood, and the model's own mean and std. A max pooling becomes selections and ReLUs,
max(a, b) = b + relu(a - b), so that everything that is not linear is a ReLU.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from sparring.bounds.graph import Graph
from sparring.bounds.ops import Add, Conv, Dense, Input, Op, Relu, Reshape, Scale, Shape
from sparring.errors import InputError
from sparring.model import Model

KNOWN = "Linear, Conv2d, BatchNorm, AvgPool2d, MaxPool2d, ReLU, Flatten, Dropout, zero padding and sums of two"


def read_graph(model: Model, shape: Shape, *, check: bool = True, attached: bool = False) -> Graph:
    """The model as a graph from pixels to logits.

    Args:
        model: a plain `Model` around an `nn.Module`; no defense in front of it.
        shape: of one image, [C, H, W] or [d].
        check: compare the graph with the model on a few points.
        attached: keep the graph's weights in autograd's graph, for training.

    Raises:
        InputError: a layer that bounds don't know, named; a model that is no `nn.Module`.
    """
    if type(model) is not Model or not isinstance(model.net, nn.Module) or model.outputs != "logits":
        raise InputError(
            f"{model.name} cannot be certified by bounds: they need an nn.Module that returns logits, with nothing in "
            "front of it but mean and std; for anything else there is method='smoothing'"
        )
    builder = _Builder(model.dtype or torch.float32, model.device, attached)
    here = builder.start(tuple(shape), model)
    try:
        with torch.no_grad() if not attached else torch.enable_grad():
            traced = fx.symbolic_trace(nn.Sequential(model.net))  # one layer alone would be opened
            answer = _Reader(traced, builder).run(here)
    except InputError:
        raise
    except Exception as error:  # the net is anybody's code
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{model.name} cannot be read layer by layer: {reason}") from error
    if not isinstance(answer, Ref) or len(answer.shape) != 1:
        raise InputError(f"{model.name} must return one tensor of logits [B, K] to be certified by bounds")
    if answer.shape == (1,):  # one logit z says [-z/2, z/2]
        weight = torch.tensor([[-0.5], [0.5]], dtype=builder.dtype, device=model.device)
        answer = builder.put(Dense(weight, weight.new_zeros(2)), [answer], (2,))
    if answer.number != builder.graph.last:
        answer = builder.put(Reshape(answer.shape, answer.shape), [answer], answer.shape)
    if check:
        _compare(model, builder.graph, tuple(shape))
    return builder.graph


class Ref:
    """The value of a node while the net is read."""

    def __init__(self, number: int, shape: Shape) -> None:
        self.number = number
        self.shape = tuple(shape)


class _Builder:
    """Puts nodes into a graph, with weights in one precision."""

    def __init__(self, dtype: torch.dtype, device: torch.device | None, attached: bool) -> None:
        self.graph, self.dtype, self.device, self.attached = Graph(), dtype, device, attached

    def put(self, op: Op, inputs: list[Ref], shape: Shape, max_of: tuple[int, int] | None = None) -> Ref:
        return Ref(self.graph.add(op, [each.number for each in inputs], shape, max_of), shape)

    def start(self, shape: Shape, model: Model) -> Ref:
        here = self.put(Input(), [], shape)
        if model.mean is None and model.std is None:
            return here
        one = torch.ones(1, dtype=torch.float64)
        mean = torch.zeros(1, dtype=torch.float64) if model.mean is None else model.mean
        std = one if model.std is None else model.std
        channels = [1] * (len(shape) - 1)
        weight, bias = ((value.reshape(-1, *channels)) for value in (one / std, -mean / std))
        return self.put(Scale(self.own(weight), self.own(bias)), [here], shape)

    def own(self, tensor: Tensor) -> Tensor:
        kept = tensor if self.attached else tensor.detach().clone()
        return kept.to(self.device, self.dtype)

    # --- layers -----------------------------------------------------------------------------------------------

    def dense(self, z: Ref, weight: Tensor, bias: Tensor | None) -> Ref:
        if len(z.shape) != 1:
            raise InputError(f"a Linear layer on values of shape {z.shape} is not supported; flatten them first")
        shift = weight.new_zeros(len(weight)) if bias is None else bias
        return self.put(Dense(self.own(weight), self.own(shift)), [z], (len(weight),))

    def conv(
        self, z: Ref, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Ref:
        if isinstance(padding, str):
            raise InputError(f"a convolution with padding={padding!r} is not supported; write it as a number")
        steps, around, spread = _pair(stride), _pair(padding), _pair(dilation)
        shift = None if bias is None else self.own(bias)
        op = Conv(self.own(weight), shift, steps, around, spread, groups, z.shape)
        with torch.device("meta"):
            out = F.conv2d(torch.empty(1, *z.shape), torch.empty(weight.shape), None, steps, around, spread, groups)
        return self.put(op, [z], tuple(out.shape[1:]))

    def batch_norm(self, z: Ref, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Ref:
        if layer.running_mean is None or layer.running_var is None:
            raise InputError("batch norm without running statistics is not supported: it mixes the images of a batch")
        spread = (layer.running_var + layer.eps).sqrt()
        weight = torch.ones_like(spread) if layer.weight is None else layer.weight
        bias = torch.zeros_like(spread) if layer.bias is None else layer.bias
        gain = weight / spread
        shape = (-1, *[1] * (len(z.shape) - 1))
        shift = bias - layer.running_mean * gain
        return self.put(Scale(self.own(gain.reshape(shape)), self.own(shift.reshape(shape))), [z], z.shape)

    def relu(self, z: Ref) -> Ref:
        return self.put(Relu(), [z], z.shape)

    def reshape(self, z: Ref, *target: int) -> Ref:
        """To the shape that a batch of one would take."""
        shape = tuple(torch.empty(1, *z.shape, device="meta").reshape(target).shape)
        if shape[0] != 1:
            raise InputError(f"a reshape of a batch of {z.shape} to {target} mixes images")
        return z if shape[1:] == z.shape else self.put(Reshape(z.shape, shape[1:]), [z], shape[1:])

    def flatten(self, z: Ref, start: int = 1) -> Ref:
        if start < 0:
            start += len(z.shape) + 1
        if start < 1:
            raise InputError("a flatten from dimension 0 mixes images")
        return self.reshape(z, 1, *z.shape[: start - 1], -1)

    def average(self, z: Ref, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Ref:
        size = _pair(kernel_size)
        weight = torch.full((z.shape[0], 1, *size), 1 / prod(size), dtype=self.dtype)
        return self.conv(z, weight, None, _pair(stride or kernel_size), padding, 1, z.shape[0])

    def average_all(self, z: Ref, target: Any) -> Ref:
        if _pair(target) != (1, 1):
            raise InputError(f"adaptive average pooling to {target} is not supported, only to 1 x 1")
        return self.average(z, z.shape[1:], z.shape[1:])

    def maximum(self, z: Ref, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Ref:
        """Pairwise: max(a, b) = b + relu(a - b)."""
        size = _pair(kernel_size)
        if _pair(padding) != (0, 0) and not isinstance(self.graph.nodes[z.number].op, Relu):
            raise InputError("max pooling with padding is supported only right after a ReLU")
        picked = []
        for place in range(prod(size)):
            weight = torch.zeros(z.shape[0], 1, prod(size), dtype=self.dtype)
            weight[:, :, place] = 1
            weight = weight.reshape(z.shape[0], 1, *size)
            picked.append(self.conv(z, weight, None, _pair(stride or kernel_size), padding, 1, z.shape[0]))
        while len(picked) > 1:
            pairs = [picked[i : i + 2] for i in range(0, len(picked), 2)]
            picked = [pair[0] if len(pair) == 1 else self._larger(*pair) for pair in pairs]
        return picked[0]

    def _larger(self, a: Ref, b: Ref) -> Ref:
        over = self.relu(self.put(Add(-1.0), [a, b], a.shape))
        return self.put(Add(), [b, over], a.shape, (a.number, b.number))

    def pad(self, z: Ref, pad: Any, mode: str = "constant", value: Any = None) -> Ref:
        """Zeros around the pixels, or beside the maps: a convolution with windows of one pixel, which copies."""
        left, right, top, bottom, front, back = (*pad, *[0] * (6 - len(pad)))[:6]
        if mode != "constant" or value or len(pad) > 6 or len(z.shape) != 3:
            raise InputError("padding with anything but zeros around pictures is not supported by bounds")
        if left != right or top != bottom or min(left, top, front, back) < 0:
            raise InputError(f"padding by {tuple(pad)} is not supported by bounds, only the same on opposite sides")
        maps = z.shape[0]
        weight = torch.zeros(front + maps + back, maps, 1, 1, dtype=self.dtype)
        weight[front : front + maps, :, 0, 0] = torch.eye(maps, dtype=self.dtype)
        return self.conv(z, weight, None, 1, (top, left), 1, 1)

    def add(self, a: Any, b: Any, sign: float = 1.0) -> Ref:
        if not isinstance(a, Ref) or not isinstance(b, Ref) or a.shape != b.shape:
            raise InputError("only sums of two values of the same shape are supported")
        return self.put(Add(sign), [a, b], a.shape)


class _Reader(fx.Interpreter):
    """Runs a traced net on `Ref`s instead of tensors."""

    def __init__(self, traced: fx.GraphModule, builder: _Builder) -> None:
        super().__init__(traced, garbage_collect_values=False)
        self.builder = builder
        self.extra_traceback = False  # errors are for people

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        layer, build, z = self.fetch_attr(target), self.builder, args[0]
        match layer:
            case nn.Linear():
                return build.dense(z, layer.weight, layer.bias)
            case nn.Conv2d() if layer.padding_mode == "zeros":
                return build.conv(
                    z, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups
                )
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return build.batch_norm(z, layer)
            case nn.ReLU():
                return build.relu(z)
            case nn.Flatten() if layer.end_dim == -1:
                return build.flatten(z, layer.start_dim)
            case nn.AvgPool2d() if not layer.ceil_mode and layer.count_include_pad and not layer.divisor_override:
                return build.average(z, layer.kernel_size, layer.stride, layer.padding)
            case nn.AdaptiveAvgPool2d():
                return build.average_all(z, layer.output_size)
            case nn.MaxPool2d() if not layer.ceil_mode and _pair(layer.dilation) == (1, 1):
                return build.maximum(z, layer.kernel_size, layer.stride, layer.padding)
            case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d() | nn.Dropout3d():
                return z
        raise InputError(f"the layer {layer} is not supported by bounds; they know {KNOWN}")

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not any(isinstance(arg, Ref) for arg in (*args, *kwargs.values())):
            return target(*args, **kwargs)
        if target is getattr and args[1] == "shape":
            return torch.Size((1, *args[0].shape))
        known = self._functions().get(target)
        if known is None:
            raise InputError(f"the call {getattr(target, '__name__', target)} is not supported by bounds")
        return known(*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        here, *rest = args
        match target:
            case "size":
                whole = torch.Size((1, *here.shape))
                return whole[rest[0]] if rest else whole
            case "view" | "reshape":
                wanted = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
                return self.builder.reshape(here, *wanted)
            case "flatten":
                return self.builder.flatten(here, *rest, **{_START.get(k, k): v for k, v in kwargs.items()})
            case "relu" | "relu_":
                return self.builder.relu(here)
            case "contiguous":
                return here
            case "add" | "add_":
                return self.builder.add(*args)
        raise InputError(f"the call .{target}() is not supported by bounds; they know {KNOWN}")

    def _functions(self) -> dict[Any, Callable[..., Any]]:
        build = self.builder
        return {
            operator.add: build.add,
            operator.iadd: build.add,
            torch.add: build.add,
            operator.sub: lambda a, b: build.add(a, b, -1.0),
            torch.relu: build.relu,
            F.relu: lambda z, inplace=False: build.relu(z),
            torch.flatten: lambda z, start_dim=0: build.flatten(z, start_dim),
            F.avg_pool2d: _plain(build.average, ceil_mode=False, count_include_pad=True, divisor_override=None),
            F.adaptive_avg_pool2d: build.average_all,
            F.max_pool2d: _plain(build.maximum, dilation=1, ceil_mode=False, return_indices=False),
            F.pad: build.pad,
            F.dropout: lambda z, *how, **more: z,
        }


_START = {"start_dim": "start"}


def _plain(build: Callable[..., Any], **usual: Any) -> Callable[..., Any]:
    """A function whose further arguments must be as they usually are."""

    def call(*args: Any, **given: Any) -> Any:
        for name, value in given.items():
            if name in usual and value != usual[name]:
                raise InputError(f"pooling with {name}={value} is not supported by bounds")
        return build(*args, **{name: value for name, value in given.items() if name not in usual})

    return call


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _compare(model: Model, graph: Graph, shape: Shape) -> None:
    """Refuse a graph that says something else than the net: its code may depend on what it sees."""
    low, high = model.box
    count = prod(shape)
    ramp = torch.arange(3 * count, dtype=torch.float64, device=model.device)
    x = low + (high - low) * (ramp * 0.6180339887498949 % 1).reshape(3, *shape)  # spread evenly, no random numbers
    x = x.to(model.dtype or torch.float32)
    with model.guard(), torch.no_grad():
        said = model.logits(x)
        read = graph.value(x).to(said.dtype)
    if said.shape != read.shape or not torch.allclose(said, read, rtol=1e-3, atol=1e-4 * (1 + float(said.abs().max()))):
        raise InputError(
            f"{model.name} does more than its layers say (its outputs differ from those of the layers read); bounds "
            "would prove nothing about it"
        )
