"""Nets of `sparring.zoo.nets` filled from a file: `net:NAME` with `--weights`, or what `sparring train` left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.model import Model
from sparring.spec import unknown
from sparring.zoo.from_file import build_net
from sparring.zoo.nets import NETS, make_net
from sparring.zoo.options import Options
from sparring.zoo.state import State, put_state, read_state, without_prefix

CARD = "card.json"
SIDES = (28, 32, 48, 64, 96, 128, 224)  # of pictures, the commonest first
COLOUR_SIDES = (32, 28, *SIDES[2:])


def load_net(name: str, options: Options, side: int | None = None) -> Model:
    """The net `name` with the weights in a file, which also tell its channels, its classes and the picture's
    side, unless that is known.

    Raises:
        InputError: no such net, no weights, or weights of another net.
    """
    if name not in NETS:
        raise unknown("net", name, NETS)
    if options.weights is None:
        raise InputError(
            f"net:{name} has no weights yet; give --weights FILE, or train it: sparring train --net {name}"
        )
    state = read_state(options.weights, trust=options.trust)
    channels, classes, side = _fitting(name, state, side)
    net = make_net(name, in_channels=channels, num_classes=classes, size=side)
    put_state(net, state, options.weights)
    return options.wrap(net, name=f"net:{name}", input_size=(channels, side, side))


def load_run(folder: Path, options: Options) -> Model:
    """The net that `sparring train --out FOLDER` left there: weights.safetensors, and card.json which names the net.

    Raises:
        InputError: the card is not one of ours, or the weights do not fit.
    """
    options.refuse_weights(str(folder))
    weights = folder / "weights.safetensors"
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        net, classes, side = card["net"]["name"], card["classes"], card["net"].get("size")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / CARD} is not a card of `sparring train` ({error!r})") from None
    if NETS.get(net) is None and ":" in net:
        if not options.trust:
            raise InputError(
                f"the net in {folder} is made by {net}, which is code: name it (--model {net} --weights {weights}), or "
                "say --trust"
            )
        model = _own_net(card, replace(options, weights=weights))
    else:
        model = load_net(net, replace(options, weights=weights), side)
    model.name = folder.name
    model.classes = None if classes is None else tuple(classes)
    return model


def untrained(spec: str, *, in_channels: int, num_classes: int, size: int, seed: int = 0) -> nn.Module:
    """A net with fresh weights: one of `NETS`, or what the user's file.py:factory makes.

    Raises:
        InputError: there is none, or it does not take such pictures.
    """
    where, _, factory = spec.rpartition(":")
    shape = {"in_channels": in_channels, "num_classes": num_classes, "size": size}
    if spec in NETS or not where:
        return make_net(spec, **shape, seed=seed)
    return build_net(where, factory, **shape, seed=seed)


def _own_net(card: dict[str, Any], options: Options) -> Model:
    """The net of a card that names a factory, with its weights."""
    made = card["net"]
    shape = (made["in_channels"], made["size"], made["size"])
    net = untrained(made["name"], in_channels=shape[0], num_classes=made["num_classes"], size=shape[1])
    assert options.weights is not None
    put_state(net, read_state(options.weights, trust=False), options.weights)
    return options.wrap(net, name=made["name"], input_size=shape)


def _fitting(name: str, state: State, known: int | None = None) -> tuple[int, int, int]:
    """(channels, classes, side) of the net that these weights fit; where none does, those of MNIST.

    Several sides may fit, as poolings round and some nets take any: then it is the `known` one, or the commonest.
    """
    usual = (1, 10, SIDES[0])
    weights = [key for key, value in _skeleton(name, usual).items() if value.dim() > 1]
    state = without_prefix(state, set(_skeleton(name, usual)))
    first, last = state.get(weights[0]), state.get(weights[-1])
    if first is None or last is None or first.dim() < 2:
        return usual
    sides = SIDES if first.shape[1] == 1 else COLOUR_SIDES
    for side in sides if known is None else (known, *sides):
        shape = (first.shape[1], last.shape[0], side)
        if all(key in state and state[key].shape == value.shape for key, value in _skeleton(name, shape).items()):
            return shape
    return usual


def _skeleton(name: str, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    """The net's state dict without numbers: quick, and no random weights are drawn."""
    with torch.device("meta"):
        return NETS[name](*shape).state_dict()
