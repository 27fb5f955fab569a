"""Small image classifiers of the adversarial-robustness literature, each a plain `nn.Sequential`.

Every net takes pixels `[B, in_channels, size, size]` in [0, 1] (no normalisation inside) and returns raw
logits `[B, num_classes]`. The parameter counts below are for one 28 x 28 grey channel and ten classes, and
`PARAMETERS` holds them for the tests. `make_net` builds one from a seed without touching the global RNG.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from sparring.errors import InputError
from sparring.seeds import torch_seed, whole_seed
from sparring.spec import unknown
from sparring.zoo.resnet import resnet20


class NetFactory(Protocol):
    """What `NETS` maps a name to."""

    def __call__(self, in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
        """Build the net with freshly drawn weights (from torch's default generator)."""
        ...


def _example_net(width: int, hidden: int, in_channels: int, num_classes: int, size: int) -> nn.Sequential:
    """The net of PyTorch's MNIST example with `width` and `2 * width` channels."""
    side = (size - 4) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout2d(0.25),
        nn.Flatten(),
        nn.Linear(2 * width * side * side, hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, num_classes),
    )


def net_f(in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
    """Net F of the distillation experiment: the net of PyTorch's MNIST example, with dropout.

    1,199,882 parameters. The example ends in log-softmax; this one returns logits.
    """
    return _example_net(32, 128, in_channels, num_classes, size)


def net_f_half(in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
    """Net F', the half-width student of Net F: 300,426 parameters."""
    return _example_net(16, 64, in_channels, num_classes, size)


def wong(in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
    """The small strided net of Wong et al. ("Fast is better than free", arXiv:2001.03994).

    166,406 parameters. Strides instead of pooling make it the cheapest net here at equal accuracy.
    """
    side = size // 4
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * side * side, 100),
        nn.ReLU(),
        nn.Linear(100, num_classes),
    )


def trades(in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
    """SmallCNN of TRADES (arXiv:1901.08573): 312,202 parameters, valid convolutions, no dropout."""
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * side * side, 200),
        nn.ReLU(),
        nn.Linear(200, 200),
        nn.ReLU(),
        nn.Linear(200, num_classes),
    )


def madry(in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
    """The net of Madry et al.'s MNIST challenge (arXiv:1706.06083): 3,274,634 parameters."""
    side = size // 4
    return nn.Sequential(
        nn.Conv2d(in_channels, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * side * side, 1024),
        nn.ReLU(),
        nn.Linear(1024, num_classes),
    )


NETS: dict[str, NetFactory] = {
    "net-f": net_f,
    "net-f-half": net_f_half,
    "wong": wong,
    "trades": trades,
    "madry": madry,
    "resnet20": resnet20,
}

PARAMETERS: dict[str, int] = {
    "net-f": 1_199_882,
    "net-f-half": 300_426,
    "wong": 166_406,
    "trades": 312_202,
    "madry": 3_274_634,
    "resnet20": 269_434,
}

MIN_SIZE = 16  # below it, TRADES's four valid convolutions and two poolings leave nothing


def make_net(name: str, *, in_channels: int = 1, num_classes: int = 10, size: int = 28, seed: int = 0) -> nn.Sequential:
    """Build the net called `name`; the same seed gives the same weights, and the global RNG stays as it was.

    Raises:
        InputError: there is no net of that name, or the picture is too small for it.
    """
    if name not in NETS:
        raise unknown("net", name, NETS)
    if size < MIN_SIZE:
        raise InputError(f"pictures of {size} x {size} pixels are too small for {name!r}; use {MIN_SIZE} or more")
    with torch.random.fork_rng(devices=[]):
        # The CPU generator alone: torch.manual_seed would also reseed every accelerator for good.
        torch.default_generator.manual_seed(torch_seed(whole_seed(seed)))
        return NETS[name](in_channels, num_classes, size)


def count_parameters(net: nn.Module) -> int:
    """The number of trainable and frozen parameters (buffers excluded)."""
    return sum(p.numel() for p in net.parameters())
