"""Generators and critics without batch normalisation, which a gradient penalty wants: Defense-GAN's and a small one.

Samangouei, Kabkab & Chellappa 2018, arXiv:1805.06605; the net is that of the WGAN-GP code (arXiv:1704.00028).
"""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.2


class Crop(nn.Module):
    """[B, C, H, W] -> [B, C, side, side], the upper left part."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Cut."""
        return x[..., : self.side, : self.side]


def defense_gan_generator(latent: int = 128, width: int = 64) -> nn.Sequential:
    """z [B, latent] -> [B, 1, 28, 28] in [0, 1]; 1,554,177 parameters."""

    def up(a: int, b: int) -> nn.Module:
        return nn.ConvTranspose2d(a, b, 5, 2, padding=2, output_padding=1)

    return nn.Sequential(
        nn.Linear(latent, 64 * width),
        nn.ReLU(),
        nn.Unflatten(1, (4 * width, 4, 4)),
        up(4 * width, 2 * width),
        nn.ReLU(),
        Crop(7),
        up(2 * width, width),
        nn.ReLU(),
        up(width, 1),
        nn.Sigmoid(),
    )


def defense_gan_critic(width: int = 64) -> nn.Sequential:
    """[B, 1, 28, 28] -> scores [B, 1]; 1,030,145 parameters."""

    def down(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 5, 2, padding=2), nn.LeakyReLU(SLOPE)]

    return nn.Sequential(
        *down(1, width),
        *down(width, 2 * width),
        *down(2 * width, 4 * width),
        nn.Flatten(),
        nn.Linear(64 * width, 1),
    )


def mlp_generator(latent: int = 64) -> nn.Sequential:
    """z [B, latent] -> [B, 1, 28, 28] in [0, 1]; 550,416 parameters. Many restarts of it are one matrix product."""
    return nn.Sequential(
        nn.Linear(latent, 256),
        nn.ReLU(),
        nn.Linear(256, 512),
        nn.ReLU(),
        nn.Linear(512, 784),
        nn.Sigmoid(),
        nn.Unflatten(1, (1, 28, 28)),
    )


def mlp_critic() -> nn.Sequential:
    """[B, 1, 28, 28] -> scores [B, 1]; 533,505 parameters, as the report's discriminator."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.LeakyReLU(SLOPE),
        nn.Linear(512, 256),
        nn.LeakyReLU(SLOPE),
        nn.Linear(256, 1),
    )


def conv_encoder(latent: int = 64) -> nn.Sequential:
    """[B, 1, 28, 28] -> z [B, latent]: where a projection starts."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 128),
        nn.ReLU(),
        nn.Linear(128, latent),
    )
