"""What a layer is to a bound: how it maps values, how far it spreads intervals, how it pulls linear functions back.

Shapes have no batch in front: an operation maps [b, *in] to [b, *out]. Coefficients a of a linear function of its
output are [rows, *out]; `pull` turns them into those of its input, `offset` is what they gain by the bias.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Shape = tuple[int, ...]


class Op:
    """One operation of a graph."""

    def forward(self, *values: Tensor) -> Tensor:
        """Values [b, *in] of its inputs -> [b, *out]."""
        raise NotImplementedError

    def to(self, dtype: torch.dtype) -> Op:
        """The same with its weights in another precision."""
        return self


class Linear(Op):
    """An operation that is linear plus a bias, of one input."""

    def spread(self, radius: Tensor) -> Tensor:
        """Half-widths [b, *in] of intervals -> those of the output: |W| r."""
        raise NotImplementedError

    def pull(self, a: Tensor) -> Tensor:
        """Coefficients [rows, *out] -> [rows, *in]: a W."""
        raise NotImplementedError

    def offset(self, a: Tensor) -> Tensor | float:
        """[rows] what the bias adds to the function with coefficients a."""
        return 0.0

    def squared(self) -> Linear:
        """The operation whose weights and biases are the squares of these: for rounding."""
        return self

    @property
    def terms(self) -> int:
        """How many products each of its sums has."""
        return 1


@dataclass(frozen=True)
class Dense(Linear):
    """A fully connected layer: weight [out, in], bias [out]."""

    weight: Tensor
    bias: Tensor

    def forward(self, *values: Tensor) -> Tensor:
        return F.linear(values[0], self.weight, self.bias)

    def spread(self, radius: Tensor) -> Tensor:
        return F.linear(radius, self.weight.abs())

    def pull(self, a: Tensor) -> Tensor:
        return a @ self.weight

    def offset(self, a: Tensor) -> Tensor:
        return a @ self.bias

    def squared(self) -> Dense:
        return Dense(self.weight.square(), self.bias.square())

    @property
    def terms(self) -> int:
        return self.weight.shape[1]

    def to(self, dtype: torch.dtype) -> Dense:
        return Dense(self.weight.to(dtype), self.bias.to(dtype))


@dataclass(frozen=True)
class Conv(Linear):
    """A 2-d convolution with zero padding; average pooling and picking one pixel of a window are such, too."""

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    source: Shape
    "[channels, height, width] of the input: strides forget it"

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def forward(self, *values: Tensor) -> Tensor:
        return F.conv2d(values[0], self.weight, self.bias, **self._how)

    def spread(self, radius: Tensor) -> Tensor:
        return F.conv2d(radius, self.weight.abs(), None, **self._how)

    def pull(self, a: Tensor) -> Tensor:
        if (
            self.source[0] == self.groups == 1
        ):  # a product and a sum of windows are three times faster than what follows
            windows = self.weight.flatten(1).T @ a.flatten(2)
            how = {name: value for name, value in self._how.items() if name != "groups"}
            return F.fold(windows, self.source[1:], self.weight.shape[2:], **how)
        left = [  # rows and columns of pixels at the end that no window reaches
            side + 2 * around - spread * (kernel - 1) - 1 - (out - 1) * step
            for side, around, spread, kernel, out, step in zip(
                self.source[1:],
                self.padding,
                self.dilation,
                self.weight.shape[2:],
                a.shape[2:],
                self.stride,
                strict=True,
            )
        ]
        return F.conv_transpose2d(a, self.weight, None, output_padding=left, **self._how)

    def offset(self, a: Tensor) -> Tensor | float:
        return 0.0 if self.bias is None else a.sum((2, 3)) @ self.bias

    def squared(self) -> Conv:
        bias = None if self.bias is None else self.bias.square()
        return replace(self, weight=self.weight.square(), bias=bias)

    @property
    def terms(self) -> int:
        return self.weight[0].numel()

    def to(self, dtype: torch.dtype) -> Conv:
        bias = None if self.bias is None else self.bias.to(dtype)
        return Conv(self.weight.to(dtype), bias, self.stride, self.padding, self.dilation, self.groups, self.source)


@dataclass(frozen=True)
class Scale(Linear):
    """A number times each value, plus another: batch norm in eval mode, the normalisation of pixels."""

    weight: Tensor
    bias: Tensor

    def forward(self, *values: Tensor) -> Tensor:
        return values[0] * self.weight + self.bias

    def spread(self, radius: Tensor) -> Tensor:
        return radius * self.weight.abs()

    def pull(self, a: Tensor) -> Tensor:
        return a * self.weight

    def offset(self, a: Tensor) -> Tensor:
        return (a * self.bias).flatten(1).sum(1)

    def squared(self) -> Scale:
        return Scale(self.weight.square(), self.bias.square())

    def to(self, dtype: torch.dtype) -> Scale:
        return Scale(self.weight.to(dtype), self.bias.to(dtype))


@dataclass(frozen=True)
class Reshape(Linear):
    """The same values in another shape."""

    source: Shape
    target: Shape

    def forward(self, *values: Tensor) -> Tensor:
        return values[0].reshape(len(values[0]), *self.target)

    def spread(self, radius: Tensor) -> Tensor:
        return self.forward(radius)

    def pull(self, a: Tensor) -> Tensor:
        return a.reshape(len(a), *self.source)


@dataclass(frozen=True)
class Add(Op):
    """A sum of two nodes, or with sign -1 a difference."""

    sign: float = 1.0

    def forward(self, *values: Tensor) -> Tensor:
        return values[0] + self.sign * values[1]


@dataclass(frozen=True)
class Relu(Op):
    """max(z, 0)."""

    def forward(self, *values: Tensor) -> Tensor:
        return values[0].relu()


@dataclass(frozen=True)
class Input(Op):
    """The pixels."""

    def forward(self, *values: Tensor) -> Tensor:
        return values[0]
