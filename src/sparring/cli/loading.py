"""What a command works on: the model and the images, loaded and known to fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparring.cli.options import (
    CountOption,
    DataOption,
    DefenseOption,
    DeviceOption,
    MeanOption,
    ModelOption,
    SplitOption,
    StdOption,
    ThreadsOption,
    TrustOption,
    WeightsOption,
)
from sparring.cli.threads import settle_threads

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.data import ImageData
    from sparring.model import Model


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model a command works on, and where it computes."""

    model: ModelOption = ""
    weights: WeightsOption = None
    trust: TrustOption = False
    mean: MeanOption = None
    std: StdOption = None
    device: DeviceOption = None

    def check(self) -> None:
        """Refuse to go on without a model.

        Raises:
            InputError: none is named.
        """
        from sparring.errors import InputError

        if not self.model:
            raise InputError(
                "say which model: --model mnist-cnn (sparring models lists more) or --model file.py:factory"
            )

    def load_model(self) -> Model:
        """The model.

        Raises:
            InputError: it cannot be had.
        """
        from sparring.zoo import load_model

        self.check()
        average, spread = channels("mean", self.mean), channels("std", self.std)
        return load_model(
            self.model, weights=self.weights, trust=self.trust, device=self.device, mean=average, std=spread
        )


@dataclass(frozen=True, kw_only=True)
class LoadOptions(ModelOptions):
    """Which model, behind which defense, and which images a command works on."""

    defense: DefenseOption = None
    data: DataOption = "mnist5k"
    split: SplitOption = "test"
    n: CountOption = None
    threads: ThreadsOption = None

    def load(self) -> tuple[Model, ImageData]:
        """The model, behind its defense, and the images.

        Raises:
            InputError: one of them cannot be had, or the model cannot take such images.
        """
        from sparring.data import load_data

        self.check()
        images = load_data(self.data, self.split, self.n)
        loaded = self.load_model()
        if self.defense:
            from sparring.defenses import defend

            loaded = defend(loaded, self.defense)
        check_fit(loaded, images[0][0][None], self.data)
        settle_threads(self.threads, loaded, images[0][0][None])
        return loaded, images.named_as(loaded.classes)

    @property
    def title(self) -> str:
        """For people: what is loaded."""
        return f"loading {self.model} and {self.data}"


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
        InputError: its code fails on it, most often because it was made for another shape; or it takes pixels in
            another range than those of pictures here.
    """
    import torch

    from sparring.errors import InputError, ShapeError, SparringError

    if tuple(model.box) != (0.0, 1.0):
        low, high = (f"{bound:g}" for bound in model.box)
        raise InputError(
            f"{model.name} takes pixels in the box ({low}, {high}), but images from {data} are in (0, 1); let its "
            "factory scale them itself and wrap it with box=(0, 1), or give mean= and std= to sp.wrap"
        )

    wanted = f", it wants {model.input_size}" if model.input_size else ""
    with model.guard(), torch.no_grad():
        try:
            model.raw(model.accept(x))
        except Exception as error:  # the net is anybody's code
            if isinstance(error, SparringError) and not isinstance(error, ShapeError):
                raise
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise InputError(
                f"{model.name} cannot take images of shape {tuple(x.shape[1:])} from {data}{wanted}: {reason}"
            ) from error
