"""What a command works on: the model and the images, loaded and known to fit each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.data import ImageData
    from sparring.model import Model


def load_subject(
    model: str,
    *,
    weights: Path | None,
    trust: bool,
    device: str | None,
    data: str,
    split: str,
    n: int | None,
    mean: str | None = None,
    std: str | None = None,
    defense: str | None = None,
) -> tuple[Model, ImageData]:
    """The model, behind the stages of `defense`, and the first `n` images that the options of a command name.

    Raises:
        InputError: one of them cannot be had, or the model cannot take such images.
    """
    from sparring.data import load_data
    from sparring.errors import InputError
    from sparring.zoo import load_model

    if not model:
        raise InputError("say which model: --model mnist-cnn (sparring models lists more) or --model file.py:factory")
    average, spread = channels("mean", mean), channels("std", std)
    images = load_data(data, split, n)
    loaded = load_model(model, weights=weights, trust=trust, device=device, mean=average, std=spread)
    if defense:
        from sparring.preprocess import defend

        loaded = defend(loaded, defense)
    check_fit(loaded, images[0][0][None], data)
    return loaded, images.named_as(loaded.classes)


def channels(what: str, text: str | None) -> list[float] | None:
    """The value of --mean or --std: one number, or one a channel.

    Raises:
        InputError: it is not numbers.
    """
    from sparring.errors import InputError

    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{what} is {text!r}; write one number, or one a channel: 0.485,0.456,0.406") from None


def check_fit(model: Model, x: Tensor, data: str) -> None:
    """Show the model one image [1, ...] of `data`.

    Raises:
        InputError: its code fails on it, most often because it was made for another shape.
    """
    import torch

    from sparring.errors import InputError, SparringError

    wanted = f", it wants {model.input_size}" if model.input_size else ""
    with model.guard(), torch.no_grad():
        try:
            model.raw(model.accept(x))
        except SparringError:
            raise
        except Exception as error:  # the net is anybody's code
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise InputError(
                f"{model.name} cannot take images of shape {tuple(x.shape[1:])} from {data}{wanted}: {reason}"
            ) from error
