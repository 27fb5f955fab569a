"""Certificates beside attacks: what is proved of each image, as a lower bound, and whether any attack refutes it (C15).

A certified radius says that no point so near changes the answer. The audit takes it from whoever made it (randomised
smoothing, bound propagation) and attacks the images all the same: a certificate that is broken is the sharpest sign
that its proof, or its code, is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sparring.audit.statistics.proportion import Figure
from sparring.certify.api import certify as prove
from sparring.certify.methods import Method, find_method
from sparring.errors import InputError
from sparring.model import Model
from sparring.threat import Threat

Radii = Tensor | Sequence[float] | str | Path


def radii_of(given: Radii, n: int) -> Tensor:
    """[n] certified radii, in the threat's norm and the model's pixels; 0 where nothing is proved.

    Args:
        given: numbers, or a file: .npy, or text with a number a line.

    Raises:
        InputError: not readable, not one a image, negative or NaN.
    """
    values = _read(Path(given)) if isinstance(given, str | Path) else torch.as_tensor(given).double()
    if values.shape != (n,):
        raise InputError(f"there are {tuple(values.shape)} certified radii for {n} images; give one for each, 0 = none")
    if bool(values.isnan().any()) or bool((values < 0).any()):
        raise InputError("a certified radius is negative or NaN; expected 0 where nothing is proved")
    return values


def _read(path: Path) -> Tensor:
    try:
        if path.suffix == ".npy":
            import numpy as np

            return torch.from_numpy(np.load(path, allow_pickle=False)).double()
        lines = path.read_text(encoding="utf-8").splitlines()
        return torch.tensor([float(line) for line in lines if line.strip()], dtype=torch.float64)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} holds no certified radii ({error}); give .npy, or text with a number a line"
        ) from None


def prover(spec: str) -> Method:
    """The method that an audit proves with.

    Raises:
        InputError: no such method, or one that proves something about another classifier.
    """
    method = find_method(spec)
    if not method.reads_layers:
        raise InputError(
            f"{method.name} proves something about the majority vote under noise, not about the model that is "
            f"attacked; use sparring certify --method {spec}, or prove with ibp, crown, alpha-crown or complete"
        )
    return method


def check_prover(spec: str, model: Model, threat: Threat, x: Tensor) -> None:
    """Find out before the attacks whether the method can read the model; x [1, ...] is an image.

    Raises:
        InputError: a layer or a norm that it does not know.
    """
    prover(spec).check(threat.norm)
    prove(model, x, torch.zeros(1, dtype=torch.int64), threat, "ibp")


def proved(radii: Tensor, right: Tensor, eps: float) -> Figure:
    """Images that are right, bool [n], and certified at `eps`, of all: a lower bound of the robust accuracy."""
    return Figure(int((right & (radii >= eps)).sum()), len(right))
