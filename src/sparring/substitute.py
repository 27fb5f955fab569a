"""A substitute: a net of one's own, trained on nothing but the classes that a model names. Then gradients are at hand.

    S <- the seed images, named by the model;   for each round: train on S;   S <- S and x + step * sign(J_x F[class])

Papernot, McDaniel, Goodfellow, Jha, Celik & Swami 2017, arXiv:1602.02697. An image that the model has named is not
asked about again. Differs from the paper: the substitute begins anew in each round; steps that change nothing in the
box are dropped, not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.defenses.training.fit import fit
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.rng import digest
from sparring.seeds import derived_seed


@dataclass(frozen=True)
class Substitute:
    """What training leaves behind.

    Attributes:
        model: the substitute, which grants gradients: `sp.attack("mifgsm", surrogates=[substitute.model])`.
        queries: images that the model was asked about, each once: what the substitute cost.
        images: how many it was trained on, round by round. agreement: the share of the newest of them on which it
            named the model's class before it had been trained on them, round by round from the second.
    """

    model: Model
    queries: int
    images: tuple[int, ...]
    agreement: tuple[float, ...]


def train_substitute(
    model: Model | Callable[..., Any],
    seeds: Tensor,
    make: Callable[[], nn.Module],
    *,
    rounds: int = 6,
    step: float = 0.1,
    flip: int = 3,
    epochs: int = 10,
    lr: float = 1e-3,
    batch_size: int = 64,
    queries: int | None = None,
    seed: int = 0,
) -> Substitute:
    """Train a substitute of `model` by Jacobian augmentation.

    Args:
        model: the model; only its classes are asked for. seeds: [N, C, H, W] images of its kind, unlabelled.
        make: gives a fresh net, pixels in the model's box to logits; its classes must be those of the model.
        rounds: of training; each but the last doubles the images. step: how far new images are, of the box width.
        flip: new images go up the class, and after so many rounds down it, and so on. epochs, lr, batch_size: of `fit`.
        queries: the most to ask the model; None = as many as the rounds need.

    Raises:
        InputError: no images, or settings that make no sense.
    """
    if rounds < 1 or flip < 1 or not step > 0 or not len(seeds):
        raise InputError(f"rounds={rounds}, flip={flip}, step={step} and {len(seeds)} images; all must be above 0")
    if queries is not None and queries < len(seeds):
        raise InputError(f"{queries} queries do not reach for {len(seeds)} images; give fewer images or more queries")
    victim = wrap(model)
    limit = queries or len(seeds) * 2**rounds
    x = _new(victim.accept(seeds).cpu(), set())
    y = _labels(victim, x)
    known = set(digest(x).tolist())
    counts: list[int] = []
    agreed: list[float] = []
    for turn in range(rounds):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derived_seed(seed, "substitute", turn))
            net = make()
        own = wrap(net, box=victim.box, name="substitute")
        known_pixels = victim.unit(x).clamp(0, 1).float()
        fit(
            _OfUnit(net, victim.box),
            (known_pixels, y),
            epochs=epochs,
            lr=lr,
            batch_size=min(batch_size, len(x)),
            seed=seed + turn,
            device="cpu",
        )
        counts.append(len(x))
        if turn == rounds - 1 or len(x) >= limit:
            break
        side = step * (victim.box[1] - victim.box[0]) * (-1) ** (turn // flip)
        fresh = _new(_moved(own, x, y, side).clamp(*victim.box), known)[: limit - len(x)]
        if not len(fresh):
            break
        names = _labels(victim, fresh)
        agreed.append(float((_labels(own, fresh) == names).double().mean()))
        known |= set(digest(fresh).tolist())
        x, y = torch.cat([x, fresh]), torch.cat([y, names])
    net.eval()
    return Substitute(own, len(x), tuple(counts), tuple(agreed))


class _OfUnit(nn.Module):
    """A net of pixels in a box, as one of their parts of it, from 0 to 1: what `fit` trains."""

    def __init__(self, net: nn.Module, box: tuple[float, float]) -> None:
        super().__init__()
        self.net, self.box = net, box

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.box
        dtype = next((value.dtype for value in self.net.parameters()), x.dtype)
        logits: Tensor = self.net((low + (high - low) * x).to(dtype))
        return logits


def _labels(model: Model, x: Tensor) -> Tensor:
    """The classes that the model names: [N] on the CPU, wherever the model is."""
    with model.guard(), torch.no_grad():
        labels = torch.cat([model.labels(model.accept(part)).cpu() for part in torch.split(x, 256)])
    model.refuse_broken(labels < 0)
    return labels


def _moved(model: Model, x: Tensor, y: Tensor, by: float) -> Tensor:
    """Images moved along the signs of the gradient of the output of their class."""
    parts = []
    for image, label in zip(torch.split(x, 256), torch.split(y, 256), strict=True):
        with model.guard():
            point = model.accept(image).requires_grad_()
            logits = model.logits(point)
            (g,) = torch.autograd.grad(logits.gather(1, label[:, None].to(logits.device)).sum(), point)
        parts.append(image + by * g.sign().to(image))
    return torch.cat(parts)


def _new(x: Tensor, known: set[int]) -> Tensor:
    """Those images that are neither among the known nor there twice."""
    seen, keep = set(known), []
    for row, name in enumerate(digest(x).tolist()):
        if name not in seen:
            keep.append(row)
            seen.add(name)
    return x[torch.tensor(keep, dtype=torch.int64)]
