"""The nets that learn to attack. Each makes changes d [B, ...] inside the ball that it was made for.

All take (x [B, ...], t [B]): the images, and the classes to drive them to; most need one of the two. They work on
images of any shape; vectors [B, d] are pictures one pixel high.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.norms import Norm
from sparring.threat import Box

HIDDEN = 32
"channels inside the nets"
QUIET = 0.1
"how much smaller the weights of a last layer begin"


@dataclass(frozen=True)
class Subject:
    """What an attack learns to attack: the shape of an image, the number of classes, and the ball.

    Attributes:
        shape: of one image, without the batch. classes: how many. norm, eps, box: of the threat; eps infinite = none.
    """

    shape: tuple[int, ...]
    classes: int
    norm: Norm
    eps: float
    box: Box

    @property
    def picture(self) -> tuple[int, int, int]:
        """The shape as (C, H, W)."""
        return picture_shape(self.shape)

    @property
    def width(self) -> float:
        """How far the lowest and the highest value of a pixel are apart."""
        return self.box[1] - self.box[0]

    def bounded(self, d: Tensor) -> Tensor:
        """Changes [B, C, H, W] of any size, moved smoothly into the ball: [B, *shape]."""
        d = d.reshape(len(d), *self.shape)
        return d if math.isinf(self.eps) else self.norm.squash(d, torch.full((len(d),), self.eps).to(d))

    def project(self, d: Tensor) -> Tensor:
        """The nearest changes [B, ...] inside the ball, the images left aside."""
        if math.isinf(self.eps):
            return d
        room = torch.full_like(d, self.width)
        return self.norm.project(d, torch.full((len(d),), self.eps).to(d), -room, room)


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Any shape of an image as (C, H, W).

    >>> picture_shape((3, 8, 8)), picture_shape((12,)), picture_shape((4, 5))
    ((3, 8, 8), (1, 1, 12), (1, 4, 5))
    """
    c, h, w = (1,) * max(0, 3 - len(shape)) + shape if len(shape) <= 3 else (1, 1, math.prod(shape))
    return c, h, w


class OneForAll(nn.Module):
    """One change for all images, itself the only parameter.

    Args:
        subject: see there. value: what it starts from, [*shape]; None = zero.
    """

    def __init__(self, subject: Subject, value: Tensor | None = None) -> None:
        super().__init__()
        self.subject = subject
        start = torch.zeros(subject.shape) if value is None else value
        self.delta = nn.Parameter(start[None].clone())

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        return self.delta.expand(len(x), *self.delta.shape[1:])


class Decoder(nn.Module):
    """Codes [B, n] -> raw pictures [B, C, H, W]."""

    def __init__(self, codes: int, picture: tuple[int, int, int]) -> None:
        super().__init__()
        channels, self.height, self.wide = picture
        self.factor = coarseness(self.height, self.wide)
        grid = (math.ceil(self.height / self.factor), math.ceil(self.wide / self.factor))
        self.layers = nn.Sequential(
            nn.Linear(codes, HIDDEN * grid[0] * grid[1]),
            nn.ReLU(),
            nn.Unflatten(1, (HIDDEN, *grid)),
            nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
            nn.ReLU(),
            quiet(nn.Conv2d(HIDDEN, channels * self.factor**2, 3, padding=1)),
            nn.PixelShuffle(self.factor),
        )

    def forward(self, codes: Tensor) -> Tensor:
        raw: Tensor = self.layers(codes)
        return raw[..., : self.height, : self.wide]


class FromCode(nn.Module):
    """A random code -> one change for all images. The code that it attacks with is drawn once and kept.

    Args:
        subject: see there. codes: numbers in a code. spread: their standard deviation.
    """

    code: Tensor

    def __init__(self, subject: Subject, codes: int, spread: float) -> None:
        super().__init__()
        self.subject, self.spread = subject, spread
        self.decoder = Decoder(codes, subject.picture)
        self.register_buffer("code", spread * torch.randn(1, codes))

    def decode(self, codes: Tensor) -> Tensor:
        """The changes of standard normal codes [B, n], one each."""
        return self.subject.bounded(self.subject.width * self.decoder(self.spread * codes))

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        one = self.decode(self.code / self.spread)
        return one.expand(len(x), *one.shape[1:])


class OneForClass(nn.Module):
    """One change for each class to drive images to.

    Args:
        subject: see there. codes: numbers in the code of a class.
    """

    def __init__(self, subject: Subject, codes: int = 64) -> None:
        super().__init__()
        self.subject = subject
        self.codes = nn.Embedding(subject.classes, codes)
        self.decoder = Decoder(codes, subject.picture)

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        assert t is not None
        changes = self.subject.bounded(self.subject.width * self.decoder(self.codes.weight))
        return changes[t]


class Translator(nn.Module):
    """Images, and classes to drive them to if `aims` -> raw pictures [B, C, H, W].

    Blocks of pixels become channels, residual layers see the neighbours, channels become pixels again: all layers work
    at a coarse resolution, so that it is quick.

    Args:
        subject: see there. aims: it is given classes. depth: residual layers.
    """

    def __init__(self, subject: Subject, aims: bool, depth: int = 2) -> None:
        super().__init__()
        channels, self.height, self.wide = subject.picture
        self.subject, self.aims = subject, aims
        self.factor = coarseness(self.height, self.wide)
        inner = channels * self.factor**2
        self.stem = nn.Conv2d(inner, HIDDEN, 3, padding=1)
        self.into = nn.ModuleList(nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1) for _ in range(depth))
        self.back = nn.ModuleList(nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1) for _ in range(depth))
        self.scales = nn.Embedding(subject.classes, HIDDEN * (depth + 1)) if aims else None
        self.shifts = nn.Embedding(subject.classes, HIDDEN * (depth + 1)) if aims else None
        self.head = quiet(nn.Conv2d(HIDDEN, inner, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        low, high = self.subject.box
        pictures = (x.float().reshape(len(x), *self.subject.picture) - low) / (high - low) - 0.5
        pad = (-self.wide % self.factor, -self.height % self.factor)
        h = F.pixel_unshuffle(F.pad(pictures, (0, pad[0], 0, pad[1])), self.factor)
        h = self._aimed(self.stem(h), t, 0)
        for k, (into, back) in enumerate(zip(self.into, self.back, strict=True)):
            h = h + back(F.relu(self._aimed(into(F.relu(h)), t, k + 1)))
        return F.pixel_shuffle(self.head(F.relu(h)), self.factor)[..., : self.height, : self.wide]

    def _aimed(self, h: Tensor, t: Tensor | None, layer: int) -> Tensor:
        """The features scaled and shifted by what the class says."""
        if self.scales is None or self.shifts is None:
            return h
        assert t is not None
        part = slice(layer * HIDDEN, (layer + 1) * HIDDEN)
        aimed: Tensor = h * (1 + self.scales(t)[:, part, None, None]) + self.shifts(t)[:, part, None, None]
        return aimed


class Residual(nn.Module):
    """Images -> changes of them, by a `Translator`."""

    def __init__(self, subject: Subject, aims: bool, depth: int = 2) -> None:
        super().__init__()
        self.subject = subject
        self.translator = Translator(subject, aims, depth)

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        return self.subject.bounded(self.subject.width * self.translator(x, t))


class Redrawn(Residual):
    """Images -> images drawn anew, by an autoencoder; what they differ by is then moved into the ball."""

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        low, _ = self.subject.box
        drawn = low + self.subject.width * self.translator(x, t).sigmoid()
        return self.subject.bounded(drawn.reshape(x.shape) - x)


class Critic(nn.Module):
    """Images -> how much each looks like a clean one: [B]."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.picture = subject.picture
        channels, self.height, self.wide = subject.picture
        self.factor = coarseness(self.height, self.wide)
        self.layers = nn.Sequential(
            nn.Conv2d(channels * self.factor**2, HIDDEN, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        pad = (-self.wide % self.factor, -self.height % self.factor)
        pictures = F.pad(x.float().reshape(len(x), *self.picture), (0, pad[0], 0, pad[1]))
        scores: Tensor = self.score(self.layers(F.pixel_unshuffle(pictures, self.factor)).mean((2, 3)))
        return scores.squeeze(1)


class Student(nn.Module):
    """A small classifier that learns to answer like another: images [B, ...] -> logits [B, K]."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.picture = subject.picture
        channels, height, wide = subject.picture
        grid = (min(7, math.ceil(height / 4)), min(7, math.ceil(wide / 4)))
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 1 + (height >= 8), padding=1),
            nn.ReLU(),
            nn.Conv2d(16, HIDDEN, 3, 1 + (height >= 8), padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(grid),
            nn.Flatten(),
            nn.Linear(HIDDEN * grid[0] * grid[1], 64),
            nn.ReLU(),
            nn.Linear(64, subject.classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x.float().reshape(len(x), *self.picture))
        return logits


def quiet(layer: nn.Conv2d) -> nn.Conv2d:
    """The last layer of a net, made to begin with small changes: large ones would saturate at the edge of the ball."""
    with torch.no_grad():
        layer.weight.mul_(QUIET)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def coarseness(height: int, wide: int) -> int:
    """Pixels a side that are looked at as one place: 4, less for pictures of a few pixels."""
    return next(factor for factor in (4, 2, 1) if min(height, wide) >= 3 * factor or factor == 1)
