"""What a command works on: the model and the images, loaded and known to fit each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparring.cli.console import note
from sparring.cli.options import (
    CountOption,
    DataOption,
    DefenseOption,
    DeviceOption,
    MeanOption,
    ModelOption,
    PluginOption,
    SplitOption,
    StdOption,
    ThreadsOption,
    TrustOption,
    TwinOption,
    WeightsOption,
)
from sparring.cli.threads import settle_threads

if TYPE_CHECKING:
    from rich.console import Console
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
    twin: TwinOption = None
    device: DeviceOption = None
    plugin: PluginOption = ()  # type: ignore[assignment]

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
        loaded = load_model(
            self.model, weights=self.weights, trust=self.trust, device=self.device, mean=average, std=spread
        )
        if self.twin is None:
            return loaded
        from sparring.zoo.targets.twin import with_twin

        return with_twin(loaded, load_model(self.twin, trust=self.trust, device=self.device))


@dataclass(frozen=True, kw_only=True)
class LoadOptions(ModelOptions):
    """Which model, behind which defense, and which images a command works on."""

    defense: DefenseOption = None
    data: DataOption = "mnist5k"
    split: SplitOption = "test"
    n: CountOption = None
    threads: ThreadsOption = None

    def load(self, log: Console | None = None) -> tuple[Model, ImageData]:
        """The model, behind its defense, and the images, read as the model takes them.

        Args:
            log: where it is said if pictures are read otherwise than by default; None = nowhere.

        Raises:
            InputError: one of them cannot be had, or the model cannot take such images.
        """
        from sparring.cli.pictures import read_for, remedy
        from sparring.data import load_data

        self.check()
        images = load_data(self.data, self.split, self.n)
        loaded = self.load_model()
        images, how = read_for(loaded, images, self.data)
        if how and log is not None:
            note(log, how)
        if self.defense:
            from sparring.defenses import defend

            loaded = defend(loaded, self.defense)
        columns = check_fit(loaded, images[0][0][None], self.data, lambda: remedy(loaded, images, self.data))
        images = images.named_as(loaded.classes)
        if loaded.classes is None and columns is not None:
            images = images.coded_for(columns)
        check_classes(loaded, images, columns)
        settle_threads(self.threads, loaded, images[0][0][None])
        return loaded, images

    @property
    def title(self) -> str:
        """For people: what is loaded."""
        from sparring.zoo.targets.words import public

        return f"loading {public(self.model)} and {self.data}"


def refuse_alone(model: Model) -> None:
    """Refuse to share the work on a model whose processes do not know what the others pay.

    Raises:
        InputError: a web service with cache=false.
    """
    from sparring.errors import InputError

    if getattr(_asked(model), "alone", False):
        raise InputError(
            "with cache=false each process counts its own queries only, and max_queries holds for each; name a cache "
            "(cache=FILE), or leave out --workers, --ray and --slurm"
        )


def _asked(model: Model) -> Any:
    """The model that answers, behind defenses or beside a twin."""
    return getattr(model, "inner", getattr(model, "deployed", model))


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


def check_fit(model: Model, x: Tensor, data: str, remedy: Callable[[], str] = str) -> int | None:
    """Show the model one image [1, ...] of `data`; how many classes it has, where its answer says so.

    Args:
        remedy: what the error adds where the model fails on the image.

    Raises:
        InputError: it was made for another shape, or takes pixels in another range than those of pictures here.
            Whatever else its code raises stays what it is.
    """
    import torch

    from sparring.batches import out_of_memory
    from sparring.errors import InputError, OutOfMemory, ShapeError, SparringError

    if tuple(model.box) != (0.0, 1.0):
        low, high = (f"{bound:g}" for bound in model.box)
        raise InputError(
            f"{model.name} takes pixels in the box ({low}, {high}), but images from {data} are in (0, 1); let its "
            "factory scale them itself and wrap it with box=(0, 1), or give mean= and std= to sp.wrap"
        )

    wanted = f", it wants {model.input_size}" if model.input_size else ""
    with model.guard(), torch.no_grad():
        try:
            raw = model.raw(model.accept(x))
        except Exception as error:  # the net is anybody's code
            if isinstance(error, SparringError) and not isinstance(error, ShapeError):
                raise
            if out_of_memory(error):
                raise OutOfMemory(f"not enough memory to show {model.name} a single image: {error}") from error
            if not of_shape(error):
                raise
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise InputError(
                f"{model.name} cannot take images of shape {tuple(x.shape[1:])} from {data}{wanted}: {reason}{remedy()}"
            ) from error
    return raw.shape[1] if raw.dim() == 2 and raw.shape[1] > 1 and raw.is_floating_point() else None


SHAPES = re.compile(
    r"shape|\bsizes?\b|dim(ension)?s?\b|\d-?D\b|channels?\b|broadcast|features?\b|elements?\b|kernel size|padding"
    r"|values to unpack|out of (bounds|range)|width|height",
    re.I,
)
"what libraries say of images of another shape than they were made for"
NEVER = (NameError, AttributeError, ImportError, OSError, KeyError, TypeError, ArithmeticError)
"errors that the shape of an image does not bring about, whatever they speak of"


def of_shape(error: Exception) -> bool:
    """Does a model fail because the image has another shape than it was made for?"""
    from sparring.errors import ShapeError

    return isinstance(error, ShapeError) or (not isinstance(error, NEVER) and bool(SHAPES.search(str(error))))


def check_classes(model: Model, images: ImageData, columns: int | None) -> None:
    """Refuse pictures of some of a model's classes where nothing says of which: their numbers would be wrong.

    Raises:
        InputError: there are fewer folders than classes, and no names to go by.
    """
    from sparring.errors import InputError

    named = images.classes
    numbers = all(name == str(k) for k, name in enumerate(named))
    if images.chosen is None or "labels" in images.chosen or columns is None or numbers or len(named) == columns:
        return
    if len(named) > columns and model.classes is not None:
        return
    shown = ", ".join(named[:6]) + (", ..." if len(named) > 6 else "")
    raise InputError(
        f"{images.name} has {len(named)} classes ({shown}), {model.name} has {columns}: say which of them these are, "
        f"as ?labels={','.join(map(str, range(len(named))[:6]))}{',...' if len(named) > 6 else ''}, or give the model "
        "names: sp.wrap(net, classes=[...])"
    )
