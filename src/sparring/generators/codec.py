"""Train the autoencoder whose decoder AutoZOOM searches through: on images without labels, of the model's own kind."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.blocks.estimators.decoders import Codec
from sparring.errors import InputError
from sparring.seeds import derived_seed, private_rng


def train_codec(
    images: Tensor, *, iterations: int = 500, batch_size: int = 64, lr: float = 3e-3, width: int = 16, seed: int = 0
) -> Codec:
    """An autoencoder that keeps a quarter of the numbers of an image, on the CPU; in eval mode, weights frozen.

    Args:
        images: [N, C, H, W] of even height and width. iterations: batches to train on, by Adam at the rate `lr`.
        width: of the hidden layers.

    Raises:
        InputError: no images, or sides that are odd.

    >>> import torch
    >>> codec = train_codec(torch.zeros(4, 1, 8, 8), iterations=2)
    >>> codec(torch.ones(1, 1, 4, 4), (1, 8, 8)).shape
    torch.Size([1, 1, 8, 8])
    """
    if images.dim() != 4 or not len(images) or images.shape[2] % 2 or images.shape[3] % 2:
        raise InputError(f"images have shape {list(images.shape)}; give [N, C, H, W] with N > 0 and even H and W")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "codec"))
        codec = Codec(images.shape[1], width)
    optimizer = torch.optim.Adam(codec.parameters(), lr)
    for iteration in range(iterations):
        with private_rng(torch.device("cpu"), derived_seed(seed, "codec", iteration)):
            x = images[torch.randint(len(images), (batch_size,))].float()
        loss = (codec.decoder(codec.encoder(x)) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return codec.eval().requires_grad_(False)
