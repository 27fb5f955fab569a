"""MagNet's two autoencoders for digits, trained on clean images with a little noise on them.

Meng & Chen 2017, arXiv:1705.09064. Both are tiny: three channels, sigmoids, 310 and 142 parameters. Differs from the
paper: fewer passes over the images, at a higher learning rate that falls.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.generators.files import WEIGHTS, read_weights, write_weights
from sparring.seeds import derived_seed, private_rng

FOLDER = WEIGHTS / "autoencoders"
"of those that are shipped"


def conv(a: int, b: int) -> nn.Sequential:
    """3 x 3 and a sigmoid."""
    made = nn.Conv2d(a, b, 3, padding=1)
    nn.init.xavier_uniform_(made.weight, gain=4)  # a sigmoid's slope is at most a quarter
    return nn.Sequential(made, nn.Sigmoid())


class Autoencoders(nn.Module):
    """Both: `coarse` (MNIST I in the paper: the image is halved on the way) and `fine` (MNIST II).

    Each takes pixels [B, 1, H, W] in [0, 1], of even sides, and gives as many.
    """

    def __init__(self, name: str = "magnet") -> None:
        super().__init__()
        self.name = name
        self.coarse = nn.Sequential(
            conv(1, 3), nn.AvgPool2d(2), conv(3, 3), conv(3, 3), nn.Upsample(scale_factor=2), conv(3, 3), conv(3, 1)
        )
        self.fine = nn.Sequential(conv(1, 3), conv(3, 3), conv(3, 1))


def train_autoencoders(
    images: Tensor,
    *,
    iterations: int = 1500,
    batch_size: int = 64,
    lr: float = 1e-2,
    noise: float = 0.1,
    seed: int = 0,
    on_step: Callable[[str, int, float], None] | None = None,
) -> Autoencoders:
    """Both, one after the other, on the CPU; in eval mode, weights frozen.

    Args:
        images: clean ones [N, 1, H, W] in [0, 1].
        noise: the standard deviation of what is put on the images that enter, not on those that should come out.
        on_step: called with the net, each iteration, from 1, and its mean squared error.
    """
    if iterations < 1 or not len(images):
        raise InputError(f"{iterations} iterations on {len(images)} images; at least one of both is needed")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "autoencoders"))
        both = Autoencoders()
    for name, net in both.named_children():
        optimizer = torch.optim.Adam(net.parameters(), lr)
        for iteration in range(iterations):
            optimizer.param_groups[0]["lr"] = lr * (1 - iteration / iterations)
            with private_rng(torch.device("cpu"), derived_seed(seed, name, iteration)):
                x = images[torch.randint(len(images), (batch_size,))]
                noisy = (x + noise * torch.randn(x.shape)).clamp(0, 1)
            loss = (net(noisy) - x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if on_step is not None:
                on_step(name, iteration + 1, float(loss.detach()))
    return both.eval().requires_grad_(False)


def save_autoencoders(both: Autoencoders, folder: Path, card: dict[str, Any], stem: str | None = None) -> None:
    """Weights and card, as `save_generator` does."""
    net = {"name": "magnet", "parameters": sum(p.numel() for p in both.parameters())}
    write_weights(both, folder, {"net": net, **card}, stem)


def load_autoencoders(spec: str | Path = "mnist-magnet") -> Autoencoders:
    """Those that are shipped, or those in a folder that `sparring generate autoencoders` wrote.

    Raises:
        InputError: there are none, or they are not what their card says.
    """
    card, tensors = read_weights(spec, FOLDER, "autoencoders")
    both = Autoencoders(card["name"])
    try:
        both.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"the weights of {spec} are no autoencoders: {str(error).splitlines()[0]}") from None
    return both.eval().requires_grad_(False)
