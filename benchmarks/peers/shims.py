"""What the peers need to import on a machine with a CPU build of torch and no network: call `install()` first.

torchvision's Python half looks up compiled operators at import; a CPU torch from another index has none, so they
are declared (not implemented: nothing here calls them). adv-lib imports visdom and attackbenchlib imports wandb,
both only for plots and uploads that no benchmark makes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from typing import Any

import numpy

_NAMES = ("nms", "qnms")
_declared: list[Any] = []  # a torch Library undoes its declarations when it is garbage collected


def declare_torchvision_operators() -> None:
    """Declare `torchvision::nms` and `::qnms`, the two that torchvision 0.28 registers even without its binary."""
    import torch

    if _declared:
        return
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in _NAMES:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


def stand_in(name: str, **contents: object) -> None:
    """Register an empty module `name` holding `contents`, unless the real one is installed."""
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    module = types.ModuleType(name)
    vars(module).update(contents)
    module.__spec__ = importlib.util.spec_from_loader(name, loader=None)
    sys.modules[name] = module


class Visdom:
    """Stands in for visdom.Visdom; adv-lib only makes one when a callback is given, and none is."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise RuntimeError("visdom is not installed: run the peers without a callback")


def install() -> None:
    """Make every peer importable in this process."""
    if not hasattr(numpy, "mat"):  # gone with NumPy 2; ART's GeoDA asks for it
        numpy.mat = numpy.asmatrix  # type: ignore[attr-defined]
    stand_in("visdom", Visdom=Visdom)
    stand_in("wandb", Api=None)
    if importlib.util.find_spec("torchvision") is not None:
        with contextlib.suppress(RuntimeError):  # they exist already: a complete torchvision is installed
            declare_torchvision_operators()
