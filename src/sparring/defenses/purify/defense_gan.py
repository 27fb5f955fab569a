"""Defense-GAN: classify not the image but the nearest that a generator of clean images makes.

Samangouei, Kabkab & Chellappa 2018, arXiv:1805.06605. The published white-box figures come from a graph that was cut
between x and z*: the attack saw no gradient and moved nothing. The projection gives back nearly the image that it got,
so that an attacker who knows it passes it by as if it were the identity (BPDA, Athalye et al. 2018, arXiv:1802.00420).

Differs from the paper: see `sparring.generators.projection`; `backward="unrolled"` ends in plain gradient steps through
which the gradient is exact.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sparring.defenses.draws import Draws
from sparring.errors import InputError
from sparring.generators.files import load_generator
from sparring.generators.pairs import Generator
from sparring.generators.projection import Optimizer, Projected, Projection, Start
from sparring.preprocess import Backward, Stage, register_stage

CHEAP = 100
"gradient steps of all starts together, up to which there is no need for a cheaper projection"
GUESSED, FEW, TWO = 5, 30, 2
"steps of a cheaper projection from the encoder's guess; without an encoder, its steps and starts"


@register_stage("defense-gan")
class DefenseGAN:
    """An image becomes G(z*), z* = argmin |G(z) - x|^2.

    Args:
        steps: L, gradient steps of each start. restarts: R, random starts.
        generator: a shipped one by name, a folder, or a `Generator`.
        optimizer, lr, start, tolerance, race: see `Projection`.
        backward: "identity" (BPDA), or "unrolled": exact through the last `unroll` steps.
        unroll: how many these are. seed: of the starts, which are drawn anew at each call.
    """

    backward: Backward = "straight_through"
    random = True

    def __init__(
        self,
        steps: int = 200,
        restarts: int = 10,
        *,
        generator: str | Generator = "mnist-wgan-gp",
        optimizer: Optimizer | None = None,
        lr: float | None = None,
        start: Start = "noise",
        tolerance: float = 0.001,
        race: bool = True,
        backward: Literal["identity", "unrolled"] = "identity",
        unroll: int = 20,
        seed: int = 0,
        box: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if backward not in ("identity", "unrolled"):
            raise InputError(f"backward is {backward!r}; it must be identity or unrolled")
        if unroll < 1:
            raise InputError(f"unroll is {unroll}; at least 1 step is needed")
        self.generator = generator if isinstance(generator, Generator) else load_generator(generator)
        self.projection = Projection(steps, restarts, optimizer, lr, start, tolerance=tolerance, race=race)
        if start == "encoder" and self.generator.encoder is None:
            raise InputError(f"the generator {self.generator.name} has no encoder; start=noise works with any")
        self.unroll = unroll if backward == "unrolled" else 0
        self.backward = "exact" if self.unroll else "straight_through"
        self.random = start == "noise" or restarts > 1
        self.draws, self.box = Draws(seed), box

    def __call__(self, x: Tensor) -> Tensor:
        """Pixels [B, 1, 28, 28] in the box -> as many."""
        low, high = self.box
        pixels = (x - low) / (high - low)
        found = self.project(pixels.detach())
        images = self._polished(found.z, pixels) if self.unroll else found.images
        return images * (high - low) + low

    def surrogate(self) -> Stage | None:
        """A projection for searches: a few steps from the encoder's guess, else two short starts. None where this one
        takes no more than 100 steps."""
        mine = self.projection
        if mine.steps * mine.restarts <= CHEAP:
            return None
        guess = self.generator.encoder is not None
        steps, restarts = (GUESSED, 1) if guess else (FEW, TWO)
        start: Start = "encoder" if guess else "noise"
        run = DefenseGAN(steps, restarts, generator=self.generator, start=start, seed=self.draws.seed + 1, box=self.box)
        return Stage(run, run.backward, run.random, f"defense-gan:steps={steps},restarts={restarts},start={start}")

    @torch.no_grad()
    def project(self, x: Tensor) -> Projected:
        """Codes, images and errors for pixels [B, 1, 28, 28] in [0, 1]."""
        if tuple(x.shape[1:]) != (1, 28, 28):
            raise InputError(f"defense-gan's generator makes images [1, 28, 28]; these are {list(x.shape[1:])}")
        self.generator.to(x.device)
        return self.projection.run(self.generator, x.float(), self.draws(x))

    def score(self, x: Tensor) -> Tensor:
        """As a detector of attacks: the mean squared error of the reconstruction [B]; higher = less like the data."""
        low, high = self.box
        return self.project((x.detach() - low) / (high - low)).error

    def _polished(self, z: Tensor, x: Tensor) -> Tensor:
        """`unroll` more plain gradient steps, differentiable with respect to x."""
        wanted = x.requires_grad and torch.is_grad_enabled()
        lr = 10.0 if self.projection.lr is None or self.projection.optimizer != "momentum" else self.projection.lr
        with torch.enable_grad():
            for _ in range(self.unroll):
                z = z if z.requires_grad else z.detach().requires_grad_()
                error = (self.generator(z) - x).square().flatten(1).mean(1).sum()
                (slope,) = torch.autograd.grad(error, z, create_graph=wanted)
                z = z - lr * slope if wanted else (z - lr * slope).detach()
            made: Tensor = self.generator(z)
        return made if wanted else made.detach()
