"""The three pairs of the source report, layer for layer, and their exact parameter counts.

In the report all six captions are swapped: each figure shows the other half of its pair. Its totals count what Keras
counts: weights, and the running mean and variance of batch normalisation. `KERAS_TOTALS` holds them for the tests.

Differs from the report: the two discriminators end in logits, since their sigmoid is part of the loss (the same
function, which does not overflow). As in Keras, padding "same" of a strided convolution pads right and below only.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

LATENT = 100
SLOPE, DROP = 0.2, 0.25
KERAS_TOTALS = {
    "gan": (1_493_520, 533_505),
    "dcgan": (856_193, 393_729),
    "wgan": (1_028_673, 100_097),
}
"name of the pair -> (generator, critic)"


def keras_total(net: nn.Module) -> int:
    """Weights and running statistics, as Keras counts them."""
    running = sum(b.numel() for name, b in net.named_buffers() if not name.endswith("num_batches_tracked"))
    return sum(p.numel() for p in net.parameters()) + running


def gan_generator() -> nn.Sequential:
    """z [B, 100] -> [B, 1, 28, 28] in [-1, 1]: Figure 3.13. Normalisation comes after the activation."""
    layers: list[nn.Module] = []
    sizes = (LATENT, 256, 512, 1024)
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(SLOPE), nn.BatchNorm1d(b, eps=1e-3, momentum=0.2)]
    return nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))


def gan_discriminator() -> nn.Sequential:
    """[B, 1, 28, 28] -> logits [B, 1]: Figure 3.12."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.LeakyReLU(SLOPE),
        nn.Linear(512, 256),
        nn.LeakyReLU(SLOPE),
        nn.Linear(256, 1),
    )


def _upsampling(kernel: int) -> nn.Sequential:
    """The generator of DCGAN (kernel 3) and WGAN (kernel 4): repeated pixels and convolutions, none transposed."""

    before, after = (kernel - 1) // 2, kernel // 2  # Keras' "same": the odd pixel right and below

    def pad() -> nn.Module:
        return nn.ZeroPad2d((before, after, before, after))

    def step(a: int, b: int) -> list[nn.Module]:
        return [
            pad(),
            nn.Conv2d(a, b, kernel),
            nn.BatchNorm2d(b, eps=1e-3, momentum=0.2),
            nn.ReLU(),
        ]

    return nn.Sequential(
        nn.Linear(LATENT, 6272),
        nn.ReLU(),
        nn.Unflatten(1, (128, 7, 7)),
        nn.Upsample(scale_factor=2),
        *step(128, 128),
        nn.Upsample(scale_factor=2),
        *step(128, 64),
        pad(),
        nn.Conv2d(64, 1, kernel),
        nn.Tanh(),
    )


def _striding(width: int) -> nn.Sequential:
    """The critic of DCGAN (width 32) and WGAN (width 16)."""

    def step(a: int, b: int, stride: int, *between: nn.Module) -> list[nn.Module]:
        pad: nn.Module = nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        normal = [nn.BatchNorm2d(b, eps=1e-3, momentum=0.2)] if a > 1 else []
        return [pad, nn.Conv2d(a, b, 3, stride), *between, *normal, nn.LeakyReLU(SLOPE), nn.Dropout(DROP)]

    return nn.Sequential(
        *step(1, width, 2),
        *step(width, 2 * width, 2, nn.ZeroPad2d((0, 1, 0, 1))),
        *step(2 * width, 4 * width, 2),
        *step(4 * width, 8 * width, 1),
        nn.Flatten(),
        nn.Linear(128 * width, 1),
    )


def dcgan_generator() -> nn.Sequential:
    """z [B, 100] -> [B, 1, 28, 28] in [-1, 1]: Figure 3.15."""
    return _upsampling(3)


def dcgan_discriminator() -> nn.Sequential:
    """[B, 1, 28, 28] -> logits [B, 1]: Figure 3.16."""
    return _striding(32)


def wgan_generator() -> nn.Sequential:
    """z [B, 100] -> [B, 1, 28, 28] in [-1, 1]: Figure 3.19."""
    return _upsampling(4)


def wgan_critic() -> nn.Sequential:
    """[B, 1, 28, 28] -> scores [B, 1]: Figure 3.20."""
    return _striding(16)
