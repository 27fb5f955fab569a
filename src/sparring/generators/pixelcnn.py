"""PixelCNN: the chance of each grey level of a pixel, given those above and to the left of it.

van den Oord, Kalchbrenner & Kavukcuoglu 2016, arXiv:1601.06759, with masked convolutions. Differs from PixelCNN++,
which PixelDefend took: 16 levels in place of 256, small nets, no gates; and it has the blind spot of plain masks.
39,600 parameters.

An image is decoded pixel by pixel. What a layer says of a pixel depends on earlier ones only, so each layer is
evaluated once at each place: a whole image costs about one pass through the net, not 784.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, pad, relu

from sparring.generators.pairs import Generator

SIDE = 28
Choose = Callable[[Tensor, int, int], Tensor]
"scores of the levels [B, K] at a row and column -> levels [B]"


class Causal(nn.Module):
    """A convolution that sees `reach` rows above and as many columns, and in its own row only what comes before.

    Args:
        itself: also the pixel itself (mask B), else not (mask A).
    """

    mask: Tensor

    def __init__(self, a: int, b: int, reach: int, *, itself: bool) -> None:
        super().__init__()
        self.reach = reach
        conv = nn.Conv2d(a, b, (reach + 1, 2 * reach + 1))
        self.weight, self.bias = conv.weight, nn.Parameter(torch.zeros(b))
        mask = torch.ones(reach + 1, 2 * reach + 1)
        mask[-1, reach + itself :] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, a, H, W] -> [B, b, H, W]."""
        r = self.reach
        return conv2d(pad(x, (r, r, r, 0)), self.weight * self.mask, self.bias)


class Layer(nn.Module):
    """x + mix(relu(causal(relu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.causal, self.mix = Causal(width, width, 1, itself=True), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> as many."""
        made: Tensor = x + self.mix(relu(self.causal(relu(x))))
        return made


class PixelNet(nn.Module):
    """Pixels [B, 1, 28, 28] in [0, 1] -> scores of each pixel's levels [B, levels, 28, 28]."""

    def __init__(self, levels: int = 16, width: int = 32, depth: int = 5) -> None:
        super().__init__()
        self.levels = levels
        self.enter = Causal(2, width, 4, itself=False)
        self.layers: nn.Sequential = nn.Sequential(*(Layer(width) for _ in range(depth)))
        self.leave = nn.Conv2d(width, levels, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth less time

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        h = self.enter(torch.cat([x, torch.ones_like(x)], 1))  # the ones tell where the picture ends
        made: Tensor = self.leave(relu(self.layers(h)))
        return made

    @torch.no_grad()
    def decode(self, n: int, choose: Choose) -> Tensor:
        """`n` images, pixel by pixel: [n, 1, 28, 28], each pixel at the level that `choose` names."""
        first = _Page(self.enter, n)
        deep = [
            (_Page(layer.causal, n), _Mix(layer.mix))
            for layer in (part for part in self.layers if isinstance(part, Layer))
        ]
        leave, r = _Mix(self.leave), self.enter.reach
        first.inputs[:, r:, r : r + SIDE, 1] = 1
        for row in range(SIDE):
            for column in range(SIDE):
                h = first.seen(row, column)
                for page, mix in deep:
                    page.put(row, column, relu(h))
                    h = h + mix(relu(page.seen(row, column)))
                level = choose(leave(relu(h)), row, column)
                first.inputs[:, row + r, column + r, 0] = level.to(h) / (self.levels - 1)
        return first.inputs[:, r:, r : r + SIDE, 0].unsqueeze(1).contiguous()


class _Page:
    """What enters a causal convolution, with its margins, and what that says of one place after the other."""

    def __init__(self, causal: Causal, n: int) -> None:
        r, weight = causal.reach, causal.weight
        self.reach, self.bias = r, causal.bias
        self.inputs = weight.new_zeros(n, SIDE + r, SIDE + 2 * r, weight.shape[1])
        self.matrix = (weight * causal.mask).permute(2, 3, 1, 0).flatten(0, 2).contiguous()

    def put(self, row: int, column: int, values: Tensor) -> None:
        """[n, a] at a place."""
        self.inputs[:, row + self.reach, column + self.reach] = values

    def seen(self, row: int, column: int) -> Tensor:
        """[n, b] of a place."""
        r = self.reach
        return torch.addmm(
            self.bias, self.inputs[:, row : row + r + 1, column : column + 2 * r + 1].flatten(1), self.matrix
        )


class _Mix:
    """A convolution of single pixels, on one of them: [n, a] -> [n, b]."""

    def __init__(self, conv: nn.Conv2d) -> None:
        assert conv.bias is not None
        self.matrix, self.bias = conv.weight.flatten(1).T.contiguous(), conv.bias

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.matrix)


class PixelCNN(Generator):
    """z [B, 784], standard normal -> pixels [B, 1, 28, 28] in [0, 1], drawn one after the other."""

    projects = False
    net: PixelNet

    def __init__(self, net: PixelNet, *, name: str = "") -> None:
        super().__init__(net, SIDE * SIDE, name=name)

    @torch.no_grad()
    def forward(self, z: Tensor) -> Tensor:
        """See above: each number of z is where in the distribution its pixel lies."""
        u = (0.5 * (1 + torch.erf(z / 2**0.5))).reshape(-1, SIDE, SIDE)

        def drawn(scores: Tensor, row: int, column: int) -> Tensor:
            upto = scores.softmax(1).cumsum(1)
            return (upto < u[:, row, column, None]).sum(1).clamp(max=self.net.levels - 1)

        return self.net.decode(len(z), drawn)

    def rounded(self, x: Tensor) -> Tensor:
        """Pixels in [0, 1] -> the nearest levels, int64."""
        return (x * (self.net.levels - 1)).round().long()

    def surprise(self, x: Tensor) -> Tensor:
        """Bits a pixel that images [B, 1, 28, 28] in [0, 1] take: [B]; higher = less like the data."""
        levels = self.rounded(x)
        scores = self.net(levels.to(x) / (self.net.levels - 1))
        return cross_entropy(scores, levels[:, 0], reduction="none").flatten(1).mean(1) / math.log(2)

    def loss(self, x: Tensor) -> Tensor:
        """The mean of that."""
        return self.surprise(x).mean()
