"""DiffPure: drown the perturbation in noise, and let a diffusion model find the way back to an image.

    x_t = sqrt(a) x + sqrt(1 - a) noise at time t;   then `steps` steps back to time 0

Nie et al. 2022, arXiv:2205.07460. Their gradients come from an adjoint equation, which is inexact; those here go back
through every step, each of which is computed again when its turn comes, so that memory holds one step and not all. Much
of the published gain is lost to attackers who take steps of that kind and average over the noise (Lee & Kim 2023,
arXiv:2303.09051). Differs from the paper: small digits, steps of DDPM or DDIM and not of an SDE solver, and a larger t,
for a perturbation of 0.3 is larger than theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sparring.defenses.draws import Draws
from sparring.errors import InputError
from sparring.generators.diffusion import Diffusion, kept
from sparring.generators.files import load_generator
from sparring.generators.pairs import Generator
from sparring.preprocess import Backward, Stage, register_stage

CHEAP = 1
"steps up to which there is no need for a cheaper way back"


@register_stage("diffpure")
class DiffPure:
    """Noise to time `t`, and back in `steps` steps.

    Args:
        t: from 0 (no noise) to 1 (nothing else). steps: of the way back.
        sampler: ddpm draws noise in each step, too; ddim only at the start.
        generator: a diffusion model that is shipped, a folder of one, or the model itself.
        backward: exact, or identity.
    """

    backward: Backward = "exact"
    random = True

    def __init__(
        self,
        t: float = 0.2,
        steps: int = 5,
        *,
        sampler: str = "ddpm",
        generator: str | Generator = "mnist-diffusion",
        backward: str = "exact",
        seed: int = 0,
        box: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if not 0 < t < 1:
            raise InputError(f"t is {t}; it must lie between 0 (no noise) and 1 (nothing else)")
        if not isinstance(steps, int) or steps < 1:
            raise InputError(f"steps is {steps!r}; it must be a whole number of at least 1")
        if sampler not in ("ddpm", "ddim"):
            raise InputError(f"sampler is {sampler!r}; it must be ddpm or ddim")
        if backward not in ("exact", "identity"):
            raise InputError(f"backward is {backward!r}; it must be exact or identity")
        model = generator if isinstance(generator, Generator) else load_generator(generator)
        if not isinstance(model, Diffusion):
            raise InputError(f"diffpure needs a diffusion model; {model.name or generator} is none")
        self.model, self.t, self.steps, self.sampler = model, float(t), steps, sampler
        self.backward = "exact" if backward == "exact" else "straight_through"
        self.draws, self.box = Draws(seed), box

    def __call__(self, x: Tensor) -> Tensor:
        """Pixels [B, 1, 28, 28] in the box -> as many, not clipped to it: clipping would hide gradients."""
        if tuple(x.shape[1:]) != (1, 28, 28):
            raise InputError(f"diffpure's model is of images [1, 28, 28]; these are {list(x.shape[1:])}")
        low, high = self.box
        self.model.to(x.device, x.dtype)
        pages = self.steps if self.sampler == "ddpm" else 1  # the last step adds none
        noise = self.draws(x).normal(pages, 1, 28, 28, dtype=x.dtype).unbind(1)
        a = kept(torch.tensor(self.t, dtype=torch.float64)).to(x)
        state = a.sqrt() * (2 * (x - low) / (high - low) - 1) + (1 - a).sqrt() * noise[0]
        times = torch.linspace(self.t, 0, self.steps + 1, dtype=torch.float64).tolist()
        for k in range(self.steps):
            fresh = noise[k + 1] if self.sampler == "ddpm" and k + 1 < self.steps else None
            state = self._back(state, times[k], times[k + 1], fresh)
        return (state + 1) / 2 * (high - low) + low

    def surrogate(self) -> Stage | None:
        """One step in the place of all, for searches: the mean image that the model sees behind the noise, with its
        exact gradient. None where this one takes no more than that."""
        if self.steps <= CHEAP:
            return None
        run = DiffPure(self.t, 1, sampler="ddim", generator=self.model, seed=self.draws.seed + 1, box=self.box)
        return Stage(run, run.backward, run.random, f"diffpure:t={self.t:g},steps=1")

    def _back(self, state: Tensor, t: float, s: float, noise: Tensor | None) -> Tensor:
        if self.steps == 1 or not (state.requires_grad and torch.is_grad_enabled()):
            return self.model.back(state, t, s, noise)  # one step is in memory anyway
        made: Tensor = checkpoint(self.model.back, state, t, s, noise, use_reentrant=False, preserve_rng_state=False)
        return made
