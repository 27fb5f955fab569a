"""sparring: how robust is your image classifier, really?

>>> import torch, sparring as sp
>>> model = sp.load_model("mnist-cnn")
>>> x, y = sp.load_data("mnist5k", n=20).tensors()
>>> result = sp.PGD(steps=10)(model, x, y, sp.Threat("Linf", eps=0.3), seed=0)
>>> bool(result.robust_accuracy() < 0.5)
True

Names are loaded when they are first used, so that importing this is quick.
"""

from typing import Any

from sparring._lazy import homes_in, load
from sparring._version import __version__ as __version__

_HOMES = homes_in(__file__)

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    value = load(__name__, _HOMES, name)
    if name not in ("attack", "attacks", "audit", "certify"):  # modules as well, which can be called: see _callable.py
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
