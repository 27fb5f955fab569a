"""Nets with published figures, and the images that they are measured on, by the names that the tables use.

All are in `$SPARRING_DATA`; a script that lacks them says so and is skipped. Names that are not here are those of
`common.load_net`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common import data_dir, load_images, load_net, skip

CIFAR = "cifar-cnn-a-"
"what the names of the nets for CIFAR-10 begin with"
PUBLISHED = ("mnist-rays-2020", "mnist-fast-2020")
"those for MNIST"


class Scaled(nn.Module):
    """A net behind the normalisation of CIFAR-10."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1) / 255)
        self.register_buffer("std", torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1) / 255)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net((x - self.mean) / self.std)
        return logits


def rays_net() -> nn.Sequential:
    """The net of RayS's repository for MNIST."""
    convs: list[nn.Module] = []
    for before, after, pool in ((1, 32, False), (32, 32, True), (32, 64, False), (64, 64, True)):
        convs += [nn.Conv2d(before, after, 3), nn.BatchNorm2d(after), nn.ReLU()]
        convs += [nn.MaxPool2d(2)] if pool else []
    head = [nn.Linear(1024, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)]
    return nn.Sequential(nn.Sequential(*convs), nn.Flatten(), *head)


def cifar_net() -> nn.Sequential:
    """CNN-A: two strided convolutions and two layers."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(2048, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def load(name: str) -> nn.Module:
    """A net over pixels in [0, 1] by its name in the tables, in eval mode with its weights frozen."""
    if name not in PUBLISHED and not name.startswith(CIFAR):
        return load_net(name.removeprefix("smallcnn-"))
    from safetensors.torch import load_file

    from sparring.zoo.nets import make_net

    path = (data_dir() or skip("$SPARRING_DATA is not set")) / "published" / f"{name}.safetensors"
    if not path.exists():
        skip(f"{path} is missing")
    net = cifar_net() if name.startswith(CIFAR) else rays_net() if name == "mnist-rays-2020" else make_net("wong")
    # The tensors come in the order of the layers, whatever they are called.
    stored = load_file(path)
    wanted = [key for key in net.state_dict() if not key.endswith("num_batches_tracked")]
    tensors = [stored[key] for key in _ordered([key for key in stored if not key.endswith("num_batches_tracked")])]
    net.load_state_dict(dict(zip(wanted, tensors, strict=True)), strict=False)
    return (Scaled(net) if name.startswith(CIFAR) else net).eval().requires_grad_(False)


def _ordered(keys: list[str]) -> list[str]:
    """Names of tensors in the order of their layers, weights before biases before running statistics."""
    kinds = ("weight", "bias", "running_mean", "running_var")

    def place(key: str) -> tuple[bool, list[int], int]:
        numbers = [int(part) for part in key.replace("fc", "fc.").split(".") if part.isdecimal()]
        return ("fc" in key, numbers, kinds.index(key.rsplit(".", 1)[1]))

    return sorted(keys, key=place)


def images(name: str, n: int, correct_for: nn.Module | None = None) -> tuple[Tensor, Tensor]:
    """The first `n` test images for the net of this name; `correct_for`: only those that it gets right.

    Of CIFAR-10 there are 200.
    """
    if not name.startswith(CIFAR):
        return load_images(n, correct_for=correct_for)
    import numpy as np

    with np.load((data_dir() or skip("$SPARRING_DATA is not set")) / "published" / "cifar10-test200.npz") as file:
        names = {file[key].ndim: key for key in file.files}
        x, y = torch.from_numpy(file[names[4]]), torch.from_numpy(file[names[1]]).long()
    x = x.permute(0, 3, 1, 2).contiguous() if x.shape[-1] == 3 else x
    x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    if correct_for is not None:
        with torch.no_grad():
            right = correct_for(x).argmax(1) == y
        x, y = x[right], y[right]
    return x[:n].clone(), y[:n].clone()
