"""What generators are after: GAN, WGAN with clipped weights, WGAN with gradient penalty, or a loss of their own.

The first three say their critic's loss (to be minimised), their generator's, and the settings of their papers. In all
of them `average` is the weight of the past in a running mean of the generator's weights, from which samples are then
taken (0 = none); `decay` the part of the run, at its end, over which the learning rate falls to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from sparring.errors import InputError

Losses = tuple[Tensor, dict[str, float]]
"a loss, and figures to show beside it"


@dataclass(frozen=True)
class GAN:
    """Goodfellow et al. 2014, arXiv:1406.2661, with the generator's non-saturating loss -log D(G(z)).

    Also DCGAN's (arXiv:1511.06434). The figures are the shares of real and of made images that D gets right.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    optimizer: Literal["adam", "rmsprop"] = "adam"
    critic_steps: int = 1
    batch_size: int = 32
    average: float = 0.0
    decay: float = 0.0

    def check(self, critic: nn.Module) -> None:
        """Any critic will do."""

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor) -> Losses:
        """Binary cross-entropy, the mean over both halves. `fake` carries no gradient."""
        good, bad = critic(real), critic(fake)
        loss = (softplus(-good).mean() + softplus(bad).mean()) / 2
        right = float((good > 0).float().mean() + (bad < 0).float().mean()) / 2
        return loss, {"critic_accuracy": right}

    def generator_loss(self, critic: nn.Module, fake: Tensor) -> Tensor:
        """-log D(G(z))."""
        return softplus(-critic(fake)).mean()

    def after_critic(self, critic: nn.Module) -> None:
        """Nothing."""


@dataclass(frozen=True)
class WGAN:
    """Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875: an estimate of the Wasserstein distance, weights clipped.

    Differs from the report's script: only weights and biases of linear and convolutional layers are clipped, not those
    of batch normalisation, which clipping would crush.
    """

    lr: float = 5e-5
    betas: tuple[float, float] = (0.0, 0.0)  # RMSProp has none
    optimizer: Literal["adam", "rmsprop"] = "rmsprop"
    critic_steps: int = 5
    batch_size: int = 64
    clip: float = 0.01
    average: float = 0.0
    decay: float = 0.0

    def check(self, critic: nn.Module) -> None:
        """Any critic will do."""

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor) -> Losses:
        """-(mean f(x) - mean f(G(z)))."""
        distance = critic(real).mean() - critic(fake).mean()
        return -distance, {"wasserstein": float(distance.detach())}

    def generator_loss(self, critic: nn.Module, fake: Tensor) -> Tensor:
        """-mean f(G(z))."""
        scores: Tensor = critic(fake)
        return -scores.mean()

    @torch.no_grad()
    def after_critic(self, critic: nn.Module) -> None:
        """Clip."""
        for module in critic.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                for parameter in module.parameters():
                    parameter.clamp_(-self.clip, self.clip)


@dataclass(frozen=True)
class WGANGP:
    """Gulrajani et al. 2017, arXiv:1704.00028: the critic's gradient is pulled to norm 1 between the two halves.

    Differs from Defense-GAN's code, whose norm runs along one image axis only: here it is each image's own.
    The running mean and the falling learning rate are ours: short runs settle sooner.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.9)
    optimizer: Literal["adam", "rmsprop"] = "adam"
    critic_steps: int = 5
    batch_size: int = 64
    penalty: float = 10.0
    average: float = 0.999
    decay: float = 0.5

    def check(self, critic: nn.Module) -> None:
        """Refuse a critic whose score of an image depends on the rest of the batch."""
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in critic.modules()):
            raise InputError(
                "wgan-gp needs a critic without batch normalisation, since its penalty is each image's own; "
                "take --net mlp or --net defense-gan"
            )

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor) -> Losses:
        """-(mean f(x) - mean f(G(z))) + penalty * mean (|grad f| - 1)^2."""
        distance = critic(real).mean() - critic(fake).mean()
        share = torch.rand(len(real), *[1] * (real.dim() - 1)).to(real)
        between = (share * real + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        off = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        loss: Tensor = -distance + self.penalty * off
        return loss, {"wasserstein": float(distance.detach()), "penalty": float(off.detach())}

    def generator_loss(self, critic: nn.Module, fake: Tensor) -> Tensor:
        """-mean f(G(z))."""
        scores: Tensor = critic(fake)
        return -scores.mean()

    def after_critic(self, critic: nn.Module) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Alone:
    """For nets that need no critic and bring their own loss: diffusion models and PixelCNN."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    optimizer: Literal["adam", "rmsprop"] = "adam"
    batch_size: int = 64
    average: float = 0.998
    decay: float = 0.5


Adversarial = GAN | WGAN | WGANGP
Objective = Adversarial | Alone

METHODS: dict[str, tuple[type[GAN] | type[WGAN] | type[WGANGP] | type[Alone], str]] = {
    "gan": (GAN, "gan"),
    "dcgan": (GAN, "dcgan"),
    "wgan": (WGAN, "wgan"),
    "wgan-gp": (WGANGP, "mlp"),
    "diffusion": (Alone, "unet"),
    "pixelcnn": (Alone, "pixelcnn"),
}
"name of a method -> (objective, the nets that it trains unless others are named)"


def is_alone(method: str) -> bool:
    """Whether it trains a net that needs no critic.

    >>> is_alone("diffusion"), is_alone("wgan")
    (True, False)
    """
    return method in METHODS and METHODS[method][0] is Alone
