"""`timm:NAME` and `torchvision:NAME`: pretrained nets of the two libraries, with their own normalisation."""

from __future__ import annotations

from typing import Any

from torch import nn

from sparring.errors import InputError
from sparring.model import Model
from sparring.zoo.extras import first_line, need
from sparring.zoo.imagenet import imagenet_classes
from sparring.zoo.options import Options
from sparring.zoo.state import put_state, read_state


def load_timm(name: str, options: Options) -> Model:
    """timm's net `name`, pretrained unless `weights` are given; mean, std and size from its data config.

    Raises:
        MissingExtra: timm is not installed. InputError: it does not import, has no such net, or no network.
    """
    what = f"timm:{name}"
    timm = need("timm", what, "timm")
    classes = {} if options.num_classes is None else {"num_classes": options.num_classes}
    net = _build(what, lambda: timm.create_model(name, pretrained=options.weights is None, **classes))
    _fill(net, options)
    data = timm.data.resolve_model_data_config(net)
    return options.wrap(
        net,
        mean=data["mean"],
        std=data["std"],
        name=what,
        input_size=tuple(data["input_size"]),
        classes=imagenet_classes() if net.num_classes == 1000 else None,
    )


def load_torchvision(name: str, options: Options) -> Model:
    """torchvision's net `name` with its best weights, or the given ones; mean, std and size from their
    transform.

    Raises:
        InputError: torchvision is not installed or does not import, has no such net, or no network.
    """
    what = f"torchvision:{name}"
    models = need("torchvision", what).models
    best = _build(what, lambda: models.get_model_weights(name).DEFAULT)
    if options.weights is None:
        net = _build(what, lambda: models.get_model(name, weights=best))
    else:
        classes = {} if options.num_classes is None else {"num_classes": options.num_classes}
        net = _build(what, lambda: models.get_model(name, weights=None, **classes))
        _fill(net, options)
    data = best.transforms()
    if not hasattr(data, "mean"):
        raise InputError(f"{what} is not an image classifier")
    names = best.meta["categories"]
    side = data.crop_size[-1]
    return options.wrap(
        net,
        mean=data.mean,
        std=data.std,
        name=what,
        input_size=(3, side, side),
        classes=names if options.num_classes in (None, len(names)) else None,
    )


def _build(what: str, make: Any) -> Any:
    """Call `make`; a wrong name and a failed download become one line."""
    try:
        return make()
    except Exception as error:  # RuntimeError, ValueError, URLError, and whatever the hubs raise
        raise InputError(
            f"{what} does not load ({type(error).__name__}: {first_line(error)}); check the name, and "
            "without a network give a downloaded file with --weights"
        ) from error


def _fill(net: nn.Module, options: Options) -> None:
    if options.weights is not None:
        put_state(net, read_state(options.weights, trust=options.trust), options.weights)
