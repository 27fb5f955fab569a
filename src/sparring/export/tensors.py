"""Adversarial examples as one safetensors file: exact pixels, and in its header how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.errors import InputError
from sparring.result import Result
from sparring.storage import finite, write
from sparring.threat import Goal


def write_adversarials(
    result: Result, x: Tensor, goal: Goal, path: Path, index: Tensor, about: Mapping[str, Any] | None = None
) -> None:
    """Write `x_adv`, the clean `x`, `y` and `target` (where there are any), `success`, `distance` and `index`.

    Args:
        index: [N] the samples' numbers in their data set. about: plain values for the header, as JSON under
            "sparring".
    """
    tensors = {
        "x_adv": result.x_adv,
        "x": x.to(result.x_adv.dtype),
        "success": result.success,
        "distance": result.distance,
        "index": index,
        **({"y": goal.y} if goal.y is not None else {}),
        **({"target": goal.t} if goal.targeted and goal.t is not None else {}),
    }
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    facts = {"attack": result.attack, "seed": result.seed, "threat": result.threat.to_dict(), **(about or {})}
    header = {"sparring": json.dumps(finite(facts), allow_nan=False)}
    write(path, safetensors.torch.save(whole, header))


def read_adversarials(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of such a file.

    Raises:
        InputError: the file is missing, damaged, or not one of these.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, json.loads((file.metadata() or {})["sparring"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a file of adversarial examples written by sparring ({error})") from None
