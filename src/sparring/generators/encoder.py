"""A guess of the code behind an image, where a projection may start: trained on the generator's own images.

The loss is the squared error of the image that is made from the guess, and a little of the code's own, so that guesses
stay where codes are. Real images enter too, with the first part alone: their codes are not known.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparring.generators.pairs import Generator
from sparring.generators.small_nets import conv_encoder
from sparring.seeds import derived_seed, private_rng


def train_encoder(
    generator: Generator,
    images: Tensor,
    *,
    iterations: int = 3000,
    batch_size: int = 64,
    lr: float = 1e-3,
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """An encoder [B, 1, 28, 28] -> [B, latent] for `generator`, which gets it as `.encoder`.

    Args:
        images: real ones [N, 1, 28, 28] in [0, 1]. on_step: called with each iteration, from 1, and its loss.
    """
    where = next(generator.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "encoder"))
        encoder = conv_encoder(generator.latent).to(where)
    optimizer = torch.optim.Adam(encoder.parameters(), lr)
    generator = generator.eval().requires_grad_(False)
    half = max(1, batch_size // 2)
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = lr * (1 - iteration / iterations)
        with private_rng(where, derived_seed(seed, "encoder", iteration)):
            z = torch.randn(half, generator.latent).to(where)
            real = images[torch.randint(len(images), (half,))].to(where)
        x = torch.cat([generator(z), real])
        guess = encoder(x)
        error = (generator(guess) - x).square().flatten(1).mean(1).mean()
        loss = error + 0.01 * (guess[:half] - z).square().mean() + 0.001 * guess[half:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if on_step is not None:
            on_step(iteration + 1, float(error.detach()))
    generator.encoder = encoder.eval().requires_grad_(False)
    return encoder
