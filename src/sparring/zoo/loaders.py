"""`load_model`: one spec, one classifier, wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from sparring.errors import InputError
from sparring.model import Model
from sparring.zoo.extras import first_line
from sparring.zoo.from_file import load_factory
from sparring.zoo.hf import load_hf
from sparring.zoo.hubs import load_timm, load_torchvision
from sparring.zoo.imagenet import NAMES as IMAGENET
from sparring.zoo.imagenet import load_imagenet
from sparring.zoo.nets import NETS
from sparring.zoo.options import Channels, Options
from sparring.zoo.registered import CARD, load_net, load_run
from sparring.zoo.shipped import SHIPPED, shipped
from sparring.zoo.targets.http.load import load_http
from sparring.zoo.targets.onnx import load_onnx
from sparring.zoo.targets.sklearn import load_sklearn
from sparring.zoo.targets.tflite import load_tflite
from sparring.zoo.targets.words import public
from sparring.zoo.torchscript import load_torchscript

SCHEMES: dict[str, Callable[[str, Options], Model]] = {
    "net": load_net,
    "hf": load_hf,
    "timm": load_timm,
    "torchvision": load_torchvision,
    "torchscript": load_torchscript,
    "imagenet": load_imagenet,
    "onnx": load_onnx,
    "tflite": load_tflite,
    "sklearn": load_sklearn,
    "http": load_http,
    "https": lambda rest, options: load_http(rest, options, "https"),
}
FORMS = (
    "a shipped name (sparring models), file.py:factory, pkg.mod:factory, hf:NAME_OR_DIR, timm:NAME, "
    "torchvision:NAME, torchscript:FILE, onnx:FILE, tflite:FILE, sklearn:FILE, http:URL, imagenet:NAME, "
    "net:NAME with --weights, DIR of sparring train"
)


def load_model(
    spec: str,
    *,
    weights: str | Path | None = None,
    trust: bool = False,
    device: torch.device | str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    num_classes: int | None = None,
) -> Model:
    """Load the classifier that `spec` names, in eval mode, as a Model over pixels in [0, 1].

    Args:
        spec: one of

            mnist-cnn               a net that the package ships, or `imagenet:`'s under its bare name
            net:trades              a net of `sparring.zoo.nets` with `weights`
            DIR                     what `sparring train --out DIR` left there
            file.py:factory         what that function, class or object gives; importing your file runs it
            pkg.mod:factory         the same from an importable module
            hf:NAME_OR_DIR          transformers, a directory or the hub; normalised as its preprocessor says
            hf:NAME#prompts=FILE    CLIP and its kin: a class for each line of the file
            timm:NAME               timm, pretrained; normalised as its data config says
            torchvision:NAME        torchvision, pretrained; normalised as its weights' transform does
            torchscript:FILE        a program saved by torch.jit.save
            imagenet:NAME           efficientnet-lite0, whose weights are a package
            onnx:FILE               a classifier for onnxruntime; tflite:FILE for LiteRT: scores, no gradients
            sklearn:FILE            a scikit-learn classifier that skops has saved
            http:URL                a web service, http://HOST/PATH#mapping=FILE; see docs/black_box.md

        weights: a weights file (.safetensors, .pt, .pth) for specs that take one.
        trust: let weights files and models from the hub run the code that they carry.
        device: where to put it; None = where it is (a CPU).
        mean, std: normalisation before the net, a number or one a channel; they beat what the model's files
        say.
        num_classes: the number of its outputs, to build it or to check it.

    Raises:
        InputError (or a MissingExtra, which names the extra to install): one line on what is wrong.
    """
    options = Options(None if weights is None else Path(weights).expanduser(), trust, mean, std, num_classes)
    model = _load(spec.strip(), options)
    if isinstance(model.net, nn.Module):
        if model.mode == "eval":
            model.net.eval()
        if device is not None:
            _move(model.net, device)
    return model


def _load(spec: str, options: Options) -> Model:
    scheme, colon, rest = spec.partition(":")
    if not colon or (Path(spec).expanduser() / CARD).is_file():  # a folder may be called after the time of day
        return _plain(spec, options)
    if scheme in SCHEMES:
        if not rest:
            raise InputError(f"{spec!r} names nothing after {scheme}:; known forms: {FORMS}")
        return SCHEMES[scheme](rest, options)
    where, _, factory = spec.rpartition(":")  # C:\nets\file.py:factory has two colons
    importable = where.endswith(".py") or all(part.isidentifier() for part in where.split("."))
    if importable and factory.isidentifier():
        return load_factory(where, factory, options)
    raise InputError(f"the model {public(spec)!r} is not understood; known forms: {FORMS}")


def _plain(name: str, options: Options) -> Model:
    if name in SHIPPED:
        options.refuse_weights(name)
        return options.check_wrapped(shipped(name), name)
    if name in IMAGENET:
        return load_imagenet(name, options)
    if name in NETS:
        return load_net(name, options)
    if (Path(name).expanduser() / CARD).is_file():
        return load_run(Path(name).expanduser(), options)
    if name.endswith(".py"):
        raise InputError(f"{name} is a file of code; say which function in it gives the model: {name}:factory")
    if Path(name).suffix in (".pt", ".pth", ".safetensors"):
        raise InputError(f"{name} holds weights; name the net too: file.py:factory (or net:NAME) with --weights {name}")
    raise InputError(f"no model is called {name!r}; known forms: {FORMS}")


def _move(net: nn.Module, device: torch.device | str) -> None:
    try:
        net.to(device)
    except (RuntimeError, AssertionError) as error:  # no such device, or a torch built without it
        raise InputError(f"the model cannot be put on {str(device)!r}: {first_line(error)}") from error
