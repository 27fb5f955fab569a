"""A generator and its critic by name, both in pixels [0, 1] whatever range their nets work in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.generators import report_nets, small_nets
from sparring.spec import unknown

Make = Callable[[], nn.Sequential]


class Generator(nn.Module):
    """z [B, latent], standard normal -> pixels [B, C, H, W] in [0, 1].

    Args:
        net: z -> pixels. latent: the length of z.
        signed: the net gives [-1, 1] (tanh), which is mapped to [0, 1] here.
        encoder: pixels -> z, where a projection may start; trained afterwards, see `train_encoder`.
        name: what reports call it.

    Attributes:
        projects: a search for the z of an image is quick enough to be of use.
    """

    projects = True

    def __init__(
        self, net: nn.Module, latent: int, *, signed: bool = False, encoder: nn.Module | None = None, name: str = ""
    ) -> None:
        super().__init__()
        self.net, self.latent, self.signed, self.encoder, self.name = net, latent, signed, encoder, name

    def forward(self, z: Tensor) -> Tensor:
        """See above."""
        x: Tensor = self.net(z)
        return (x + 1) / 2 if self.signed else x

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, batch_size: int = 500) -> Tensor:
        """`n` images [n, C, H, W] in [0, 1], in eval mode; the same seed gives the same images."""
        if n < 1:
            raise InputError(f"asked for {n} samples; expected at least 1")
        where = next(self.parameters())
        z = torch.randn(n, self.latent, generator=torch.Generator().manual_seed(seed)).to(where)
        was = self.training
        self.eval()
        try:
            return torch.cat([self(part) for part in torch.split(z, batch_size)]).cpu()
        finally:
            self.train(was)


class Critic(nn.Module):
    """Pixels [B, C, H, W] in [0, 1] -> one score an image [B]; higher = more like the data."""

    def __init__(self, net: nn.Module, *, signed: bool = False) -> None:
        super().__init__()
        self.net, self.signed = net, signed

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        scores: Tensor = self.net(2 * x - 1 if self.signed else x)
        return scores.flatten()


@dataclass(frozen=True)
class Pair:
    """What `PAIRS` maps a name to: factories of both nets, the latent size, the range of the pixels inside."""

    generator: Make
    critic: Make
    latent: int
    signed: bool
    about: str


PAIRS: dict[str, Pair] = {
    "gan": Pair(report_nets.gan_generator, report_nets.gan_discriminator, 100, True, "the report's GAN"),
    "dcgan": Pair(report_nets.dcgan_generator, report_nets.dcgan_discriminator, 100, True, "the report's DCGAN"),
    "wgan": Pair(report_nets.wgan_generator, report_nets.wgan_critic, 100, True, "the report's WGAN"),
    "defense-gan": Pair(
        small_nets.defense_gan_generator, small_nets.defense_gan_critic, 128, False, "the Defense-GAN paper's"
    ),
    "defense-gan-16": Pair(
        lambda: small_nets.defense_gan_generator(width=16),
        lambda: small_nets.defense_gan_critic(width=16),
        128,
        False,
        "the same, a quarter as wide",
    ),
    "mlp": Pair(small_nets.mlp_generator, small_nets.mlp_critic, 64, False, "fully connected, small and quick"),
}
SHAPE = (1, 28, 28)
"of the images that all of them make"


def make_pair(name: str, seed: int = 0) -> tuple[Generator, Critic]:
    """Both nets, freshly drawn; the same seed gives the same weights, and the global RNG stays as it was.

    Raises:
        InputError: no pair has that name.
    """
    if name not in PAIRS:
        raise unknown("pair of nets", name, PAIRS)
    pair = PAIRS[name]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        generator = Generator(pair.generator(), pair.latent, signed=pair.signed, name=name)
        return generator, Critic(pair.critic(), signed=pair.signed)
