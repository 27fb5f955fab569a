"""Masks of the gallery: layers and nets that make a classifier look robust without making it so."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Turned(nn.Module):
    """Logits rearranged so that the confidence rises again just before the class changes; the classes stay."""

    def __init__(self, at: float = 6.0) -> None:
        super().__init__()
        self.at = at

    def forward(self, logits: Tensor) -> Tensor:
        top = logits.topk(2, 1)
        gap = (top.values[:, 0] - top.values[:, 1])[:, None]
        shown = torch.where(gap < self.at, 2 * self.at - gap, gap)
        rest = F.one_hot(top.indices[:, 0], logits.shape[1]) * (shown - gap)
        return logits + rest


class _Flip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, at: float) -> Tensor:
        top = logits.topk(2, 1).values
        ctx.save_for_backward((top[:, 0] - top[:, 1] < at)[:, None])
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (near,) = ctx.saved_tensors
        return torch.where(near, -grads[0], grads[0]), None


class Flipped(nn.Module):
    """The identity; its backward pass changes sign where the margin is small."""

    def __init__(self, at: float = 6.0) -> None:
        super().__init__()
        self.at = at

    def forward(self, logits: Tensor) -> Tensor:
        return _Flip.apply(logits, self.at)  # type: ignore[no-any-return, no-untyped-call]


class UpsideDown(nn.Module):
    """Only the order of the classes can be read: the margin m becomes 20 / (1 + m), falling as the net grows sure."""

    def forward(self, logits: Tensor) -> Tensor:
        top = logits.topk(2, 1)
        shown = 20 / (1 + top.values[:, 0] - top.values[:, 1])
        return F.one_hot(top.indices[:, 0], logits.shape[1]) * shown[:, None]


class Cut(nn.Module):
    """Logits cut to two decimals through whole numbers."""

    def forward(self, logits: Tensor) -> Tensor:
        return (logits * 100).int().to(logits.dtype) / 100


class Hard(nn.Module):
    """Nothing but the class."""

    def forward(self, logits: Tensor) -> Tensor:
        return F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)


class Alike(nn.Module):
    """Margins beyond 1 look alike."""

    def forward(self, logits: Tensor) -> Tensor:
        top = logits.topk(2, 1)
        gap = (top.values[:, 0] - top.values[:, 1]).clamp(max=1.0)
        return F.one_hot(top.indices[:, 0], logits.shape[1]) * gap[:, None]


class Neighbours(nn.Module):
    """The 5 nearest of known images in a net's last features vote."""

    def __init__(self, features: nn.Module, x: Tensor, y: Tensor) -> None:
        super().__init__()
        self.features = features
        with torch.no_grad():
            self.register_buffer("known", features(x).flatten(1))
        self.register_buffer("labels", F.one_hot(y, 10).float())

    def forward(self, x: Tensor) -> Tensor:
        near = torch.cdist(self.features(x).flatten(1), self.get_buffer("known")).topk(5, largest=False).indices
        votes: Tensor = self.get_buffer("labels")[near].sum(1)
        return votes


class Detached(nn.Module):
    """A net that is called in inference mode, or on its input's bare data."""

    def __init__(self, net: nn.Module, how: str) -> None:
        super().__init__()
        self.net = net
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "data":
            answer: Tensor = self.net(x.data)
            return answer
        with torch.inference_mode():
            answer = self.net(x)
        return answer.clone()


class FirstOfBatch(nn.Module):
    """Robust for the first images of a batch; the class alone, of a plain net, for the others."""

    def __init__(self, robust: nn.Module, plain: nn.Module, first: int = 20) -> None:
        super().__init__()
        self.robust = robust
        self.plain = nn.Sequential(plain, Hard())
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.robust(x[: self.first])]
        if len(x) > self.first:
            parts.append(10 * self.plain(x[self.first :]))
        return torch.cat(parts)


class Counting(nn.Module):
    """A plain net until it has been asked often; a robust one from then on."""

    def __init__(self, plain: nn.Module, robust: nn.Module, after: int = 300) -> None:
        super().__init__()
        self.plain = plain
        self.robust = robust
        self.after = after
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = (self.robust if self.asked >= self.after else self.plain)(x)
        self.asked += len(x)
        return answer


class Cached(nn.Module):
    """Answers kept by a coarse hash of the image, so that what is nearly the same gets the same answer."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.known: dict[bytes, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        names = [part.numpy().tobytes() for part in (F.avg_pool2d(x.detach(), 7) > 0.35).cpu()]
        answers = self.net(x)
        for name, answer in zip(names, answers.detach(), strict=True):
            self.known.setdefault(name, answer.clone())
        kept: Tensor = torch.stack([self.known[name] for name in names]) + 0 * answers
        return kept


class Suspicious(nn.Module):
    """NaN for every image with many grey pixels."""

    def __init__(self, net: nn.Module, most: int = 250) -> None:
        super().__init__()
        self.net = net
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        grey = ((x > 0.02) & (x < 0.98)).flatten(1).sum(1) > self.most
        answer: Tensor = self.net(x)
        return torch.where(grey[:, None], torch.nan, answer)


class BinaryCNN(nn.Module):
    """A net on pixels that are compared with one half."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net((x > 0.5).to(x.dtype))
        return answer
