"""The question papers of the exam: tiny nets in float64 with images whose right answers are known.

Nothing here touches the global RNG: weights and pixels come from generators of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparring.norms import Norm
from sparring.testing.optimum import halfspace_distance

SHAPE = (1, 4, 5)  # one channel, not square
COUNT = 5


class Affine(nn.Module):
    """x -> weight @ x + bias: [B, ...] -> [B, K]. The one classifier whose nearest mistake is known."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


class Plateau(nn.Module):
    """A net whose gradient is zero near some images: behind a wall there, the net itself elsewhere."""

    def __init__(self, net: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.net, self.images = net, images.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x)
        near = (x.flatten(1)[:, None] - self.images[None]).abs().amax(2).amin(1) < 0.2
        return torch.where(near[:, None], self.net((x * 8).round().detach() / 8) + 0 * z, z)


class Changed(nn.Module):
    """A net whose input or output is changed by a function: what a paper needs to make a net strange."""

    def __init__(
        self,
        net: nn.Module,
        *,
        before: Callable[[Tensor], Tensor] | None = None,
        after: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x if self.before is None else self.before(x))
        return z if self.after is None else self.after(z, x)


@dataclass(frozen=True)
class Paper:
    """A net, images [N, ...] in float64 and the classes [N] that the net gives them.

    `home`: a copy of the net that nobody hooks or breaks, for attacks that learn first; None = the net itself.
    """

    net: nn.Module
    x: Tensor
    y: Tensor
    home: nn.Module | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Tensor) -> Paper:
        return replace(self, x=self.x[rows], y=self.y[rows])

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type that the net computes in."""
        return next(self.net.parameters()).dtype

    def logits(self, x: Tensor) -> Tensor:
        """The net's logits, one logit read as two: [B, ...] -> [B, K]."""
        z: Tensor = self.net(x.to(self.dtype))
        z = z.reshape(len(x), -1)
        return z if z.shape[1] > 1 else torch.cat([torch.zeros_like(z), z], 1)

    def classes(self, x: Tensor) -> Tensor:
        """What the net calls `x`, asked by the examiner and not by the attack: [B, ...] -> [B]."""
        with torch.no_grad():
            return self.logits(x).argmax(1)

    def distance(self, norm: Norm, towards: Tensor, free: Tensor | None = None) -> Tensor:
        """[N] how far the class `towards` [N] is, inf where the box forbids it: exact for affine nets.

        `free`: bool, the shape of an image; only these pixels may change.
        """
        x = self.x.to(self.dtype, copy=True).requires_grad_()
        with torch.enable_grad():
            z = self.logits(x)
            gap = (z.gather(1, self.y[:, None]) - z.gather(1, towards[:, None])).squeeze(1)
            (slope,) = torch.autograd.grad(-gap.sum(), x)
        flat = self.x.flatten(1)
        may = 1.0 if free is None else free.flatten().to(flat.dtype)
        return halfspace_distance(str(norm), slope.flatten(1), gap.detach(), -flat * may, (1 - flat) * may)

    def optimum(self, norm: Norm, free: Tensor | None = None) -> Tensor:
        """[N] how far the nearest other class is: exact for affine nets, to first order for others."""
        classes = self.logits(self.x[:1]).shape[1]
        return torch.stack([self.distance(norm, (self.y + k) % classes, free) for k in range(1, classes)]).amin(0)

    def single(self) -> Paper:
        """The same in float32, the labels asked again."""
        return _labelled(copy.deepcopy(self.net).float(), self.x.float())

    def strange(self, after: Callable[[Tensor, Tensor], Tensor]) -> Paper:
        """The same images and labels for the net with its output changed, see `Changed`."""
        return replace(self, net=Changed(self.net, after=after))


def generator(seed: int) -> torch.Generator:
    """A random source of the examiner's own."""
    return torch.Generator().manual_seed(seed)


def images(count: int, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor:
    """[count, *shape] pixels, a quarter of them exactly 0 and a quarter exactly 1, as in drawings."""
    x = torch.rand(count, *shape, generator=generator(seed), dtype=torch.float64)
    kind = torch.rand(count, *shape, generator=generator(seed + 1000))
    return torch.where(kind < 0.25, 0.0, torch.where(kind > 0.75, 1.0, x))


def pair(classes: int = 2, shape: tuple[int, ...] = SHAPE, seed: int = 3, binary: bool = False) -> Paper:
    """Two classes that matter, any others far below: the nearest mistake has a closed form, targeted or not.

    The first two logits are -f/2 and f/2 with an affine f; the classes beyond them are constants that never win.
    `binary`: all pixels are exactly 0 or 1.
    """
    size = torch.Size(shape).numel()
    w = torch.randn(size, generator=generator(seed), dtype=torch.float64)
    x = images(400, shape, seed)
    x = x.round() if binary else x
    f = x.flatten(1) @ w
    bias = -float(f.median())
    near = ((f + bias).abs() > 1) & ((f + bias).abs() < 4)  # clearly right, and not out of reach
    weight = torch.zeros(classes, size, dtype=torch.float64)
    weight[0], weight[1] = -w / 2, w / 2
    constant = torch.tensor([-bias / 2, bias / 2, *(-8.0 - k for k in range(classes - 2))], dtype=torch.float64)
    return _labelled(Affine(weight, constant), x[near][:COUNT])


def affine(classes: int = 5, shape: tuple[int, ...] = SHAPE, seed: int = 5, count: int = COUNT) -> Paper:
    """A random affine net with several classes that matter."""
    size = torch.Size(shape).numel()
    weight = torch.randn(classes, size, generator=generator(seed), dtype=torch.float64) / 2
    x = images(count, shape, seed)
    bias = -(x.flatten(1) @ weight.T).mean(0)
    return _labelled(Affine(weight, bias), x)


def curved(shape: tuple[int, ...] = SHAPE, classes: int = 4, seed: int = 7, count: int = COUNT) -> Paper:
    """A small smooth net that is not affine."""
    size, hidden = torch.Size(shape).numel(), 16
    source = generator(seed)
    first = Affine(torch.randn(hidden, size, generator=source, dtype=torch.float64) / 2, torch.zeros(hidden).double())
    last = Affine(torch.randn(classes, hidden, generator=source, dtype=torch.float64), torch.zeros(classes).double())
    x = images(count, shape, seed)
    first.bias.data -= (x.flatten(1) @ first.weight.T).mean(0).detach()
    return _labelled(nn.Sequential(first, nn.Tanh(), last), x)


def on_grid(paper: Paper, steps: int = 2**10) -> Paper:
    """The same net, its pixels rounded so that the way into another box and back loses no bit of them."""
    return _labelled(paper.net, (paper.x * steps).round() / steps)


def living(seed: int = 9, count: int = COUNT) -> Paper:
    """A convolutional net with batch-norm and dropout whose modules are in different modes, as a user may leave it."""
    with torch.random.fork_rng(devices=[]):  # the constructors of these layers draw from the global RNG
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(4 * SHAPE[1] * SHAPE[2], 3),
        ).double()
    source = generator(seed)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=source, dtype=torch.float64) / 2
    paper = _labelled(net.eval(), images(count, seed=seed))
    net.train()
    net[3].eval()
    net[0].bias.requires_grad_(False)
    return paper


def _labelled(net: nn.Module, x: Tensor) -> Paper:
    with torch.no_grad():
        return Paper(net, x, net(x).argmax(1), copy.deepcopy(net))
