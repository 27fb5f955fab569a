"""Every net that makes images, by name: the generators of the pairs, and those that need no critic."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sparring.generators.diffusion import Diffusion
from sparring.generators.pairs import PAIRS, Generator, make_pair
from sparring.generators.pixelcnn import PixelCNN, PixelNet
from sparring.generators.unet import UNet
from sparring.spec import unknown

Alone = Diffusion | PixelCNN
"a generator with a loss of its own"

MODELS: dict[str, Callable[[], Alone]] = {
    "unet": lambda: Diffusion(UNet(), name="unet"),
    "pixelcnn": lambda: PixelCNN(PixelNet(), name="pixelcnn"),
}


def make_model(name: str, seed: int = 0) -> Alone:
    """A net of `MODELS`, freshly drawn; the same seed gives the same weights, and the global RNG stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MODELS[name]()


def make_generator(name: str) -> Generator:
    """A net of `MODELS` or the generator of a pair.

    Raises:
        InputError: there is none of that name.
    """
    if name in MODELS:
        return make_model(name)
    if name not in PAIRS:
        raise unknown("net", name, (*PAIRS, *MODELS))
    return make_pair(name)[0]
