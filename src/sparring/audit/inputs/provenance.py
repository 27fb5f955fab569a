"""Where a figure comes from: fingerprints of the weights and the data, versions, the machine."""

from __future__ import annotations

import hashlib
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.audit.inputs.clean import Clean
from sparring.model import Model


def weights_sha256(model: Model) -> str | None:
    """SHA-256 over name, type, shape and bytes of every parameter and buffer, by name; None without any."""
    if not isinstance(model.net, nn.Module):
        return None
    digest = hashlib.sha256()
    state = {name: value for name, value in model.net.state_dict().items() if isinstance(value, Tensor)}
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(_bytes(value))
    return digest.hexdigest() if state else None


def about_model(model: Model) -> dict[str, Any]:
    """What the report says of the model."""
    net = model.net
    parameters = sum(p.numel() for p in net.parameters()) if isinstance(net, nn.Module) else None
    return {
        "name": model.name,
        "sha256": getattr(model, "sha256", None) or weights_sha256(model),
        "parameters": parameters,
        "defenses": [str(stage) for stage in getattr(model, "stages", ())],
        "box": list(model.box),
        "access": model.access,
        "mode": model.mode,
        "mean": None if model.mean is None else model.mean.tolist(),
        "std": None if model.std is None else model.std.tolist(),
        "device": str(model.device or "cpu"),
        "dtype": str(model.dtype or torch.float32).removeprefix("torch."),
    }


def about_data(clean: Clean, sha256: str) -> dict[str, Any]:
    """What the report says of the data; `sha256` see `clean.look`."""
    return {
        "name": clean.name,
        "split": clean.split,
        "n": len(clean),
        "shape": list(clean.x.shape[1:]),
        "classes": clean.classes,
        "class_names": clean.class_names,
        "sha256": sha256,
    }


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    from sparring._version import __version__

    return {
        "sparring": __version__,
        "code": code_sha256(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """SHA-256 over name and contents of every Python file of this package."""
    home = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def code_name() -> str:
    """This version of the package and the beginning of its hash, to tell two apart."""
    from sparring._version import __version__

    return f"sparring {__version__} {code_sha256()[:16]}"


def _bytes(value: Tensor) -> bytes:
    flat = value.detach().cpu().contiguous().reshape(-1)
    raw: bytes = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return raw


def tensor_sha256(values: Tensor) -> str:
    """SHA-256 of a tensor's values."""
    return hashlib.sha256(_bytes(values)).hexdigest()
