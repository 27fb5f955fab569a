"""The environment in which a bundle was made: machine, interpreter, and every installed distribution."""

from __future__ import annotations

import os
import platform
from importlib.metadata import distributions
from typing import Any

import torch


def environment() -> dict[str, Any]:
    """Plain values: `python`, `platform`, `processors`, `torch`, `packages` (name -> version)."""
    packages = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "torch": {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "threads": torch.get_num_threads(),
            "devices": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
        },
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
