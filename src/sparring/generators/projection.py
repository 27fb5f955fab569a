"""The nearest image that a generator can make: z* = argmin |G(z) - x|^2, from several random starts.

Defense-GAN's projection (Samangouei, Kabkab & Chellappa 2018, arXiv:1805.06605): L gradient steps from R starts, the
best of all points seen is kept. Here all restarts of all images are rows of one batch, which is what makes it fast; a
row that has come to rest leaves it, and so does one that its image's other starts have left behind.

Differs from the authors' code: starts are standard normal, as in training, not N(0, 1 / latent), unless `spread` says
so; the learning rate falls to a tenth for the last fifth of the steps, which their code means to do but does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparring.errors import InputError
from sparring.generators.denormals import denormals_are_zero
from sparring.generators.pairs import Generator
from sparring.generators.walks import AdamWalk, LbfgsWalk, MomentumWalk, Walk
from sparring.rng import Noise

Optimizer = Literal["momentum", "adam", "lbfgs"]
Start = Literal["noise", "encoder"]
ROWS = 8192
"rows that are in memory at once"
REST = 10
"steps between two looks at whether a row still gains"
RACE = {30: 0.5, 60: 0.3, 100: 0.2}
"after so many steps, that share of an image's starts goes on: the ones with the least error, two at least"


@dataclass(frozen=True)
class Projection:
    """How to project.

    Args:
        steps: L, gradient steps. restarts: R, starts an image.
        optimizer: "momentum" (the paper's, 0.7), "adam" or "lbfgs" (an evaluation a step). Unless given: momentum from
            noise, L-BFGS from an encoder's guess, for near the end of the way curvature is what counts.
        lr: of the first two; momentum's is per mean squared error, as in the paper: 10, Adam's 0.1.
        start: "noise", or "encoder": the first start is what the generator's encoder says, the others lie around it.
        spread: the starts' standard deviation.
        tolerance: a row rests when its error fell by less than this share in 10 steps; 0 = never. Momentum and Adam
            swing, and gain when the learning rate falls: only after that do their rows rest.
        race: starts that lie behind drop out, see `RACE`: a third of the work, and about 1 % more error.
    """

    steps: int = 200
    restarts: int = 10
    optimizer: Optimizer | None = None
    lr: float | None = None
    start: Start = "noise"
    spread: float = 1.0
    tolerance: float = 0.001
    race: bool = True

    def __post_init__(self) -> None:
        if self.steps < 0 or self.restarts < 1:
            raise InputError(f"steps is {self.steps}, restarts {self.restarts}; at least 0 and 1 are needed")
        if self.optimizer is None:
            object.__setattr__(self, "optimizer", "lbfgs" if self.start == "encoder" else "momentum")
        for what, value, known in (
            ("optimizer", self.optimizer, ("momentum", "adam", "lbfgs")),
            ("start", self.start, ("noise", "encoder")),
        ):
            if value not in known:
                raise InputError(f"{what} is {value!r}; it must be {' or '.join(known)}")

    def starts(self, generator: Generator, x: Tensor, noise: Noise) -> Tensor:
        """Where the restarts begin: [B, R, latent]."""
        z = self.spread * noise.normal(self.restarts, generator.latent, dtype=x.dtype).to(x.device)
        if self.start == "noise":
            return z
        if generator.encoder is None:
            raise InputError(f"the generator {generator.name} has no encoder; start=noise works with any")
        z[:, 0] = 0
        with torch.no_grad():
            code: Tensor = generator.encoder(x)
        return code[:, None] + z / 2

    def run(self, generator: Generator, x: Tensor, noise: Noise) -> Projected:
        """Project images [B, C, H, W] in [0, 1], each with its own stream of `noise`."""
        share = max(1, ROWS // self.restarts)
        with denormals_are_zero():
            parts = [
                self._batch(generator, x[at : at + share], noise[torch.arange(at, min(at + share, len(x)))])
                for at in range(0, len(x), share)
            ]
        if not parts:
            return Projected(x.new_empty(0, generator.latent), x, x.new_empty(0), x.new_empty(0, dtype=torch.int64))
        return Projected(*(torch.cat(fields) for fields in zip(*parts, strict=True)))

    def _batch(self, generator: Generator, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z = self.starts(generator, x, noise).flatten(0, 1)
        best, error, spent = self._descend(generator, z, x.repeat_interleave(self.restarts, 0))
        error, spent = error.view(len(x), -1), spent.view(len(x), -1)
        rows = torch.arange(len(x), device=x.device), error.argmin(1)
        kept = best.view(len(x), self.restarts, -1)[rows]
        with torch.no_grad():
            images = generator(kept)
        return kept, images, error[rows], spent.sum(1)

    def _descend(self, generator: Generator, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best point of each row, its error, and how many steps the row took."""
        best, error = z.clone(), torch.full((len(z),), torch.inf, dtype=x.dtype, device=x.device)
        spent = torch.zeros(len(z), dtype=torch.int64, device=x.device)
        here, before, walk = torch.arange(len(z), device=x.device), error.clone(), self._walk(z)
        for step in range(self.steps + 1):
            z = walk.z
            value, slope = error_and_slope(generator, z, x)
            better = value < error[here]
            error[here[better]], best[here[better]] = value[better], z[better]
            if step == self.steps:
                break
            walk.step(value, slope, step / self.steps)
            spent[here] += 1
            stays = torch.ones_like(better)
            if self.tolerance and step % REST == 0 and step >= walk.restless * self.steps:
                stays &= ~(before[here] - error[here] <= self.tolerance * error[here])  # inf - ... in the first round
                before[here] = error[here]
            if self.race and step in RACE:
                stays &= self._ahead(error, RACE[step])[here]
            if not stays.all():
                here, x = here[stays], x[stays]
                walk.keep(stays)
            if not len(here):
                break
        return best, error, spent

    def _ahead(self, error: Tensor, share: float) -> Tensor:
        """Which rows are among the `share` with the least error of their image; those at rest count too."""
        rank = error.view(-1, self.restarts).argsort(1).argsort(1)
        return (rank < max(2, round(share * self.restarts))).flatten()

    def _walk(self, z: Tensor) -> Walk:
        if self.optimizer == "lbfgs":
            return LbfgsWalk(z)
        if self.optimizer == "adam":
            return AdamWalk(z, 0.1 if self.lr is None else self.lr)
        return MomentumWalk(z, 10.0 if self.lr is None else self.lr)


@dataclass(frozen=True)
class Projected:
    """What came of it: codes z [B, latent], images G(z) [B, C, H, W], mean squared errors [B], steps of all restarts
    together [B]."""

    z: Tensor
    images: Tensor
    error: Tensor
    steps: Tensor


def error_and_slope(generator: Generator, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error [b] and its gradient [b, latent]."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        image = generator(z)
    apart = image.detach() - x
    (slope,) = torch.autograd.grad(image, z, apart * (2 / apart[0].numel()))
    return apart.square().flatten(1).mean(1), slope
