"""Optional packages, imported when they are needed, with a hint where that fails."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from sparring.errors import InputError, MissingExtra


def need(module: str, what: str, extra: str | None = None) -> Any:
    """Import `module` for `what`, or say in one line how to get it.

    Args:
        extra: the extra of sparring that brings it; None = the package is installed by its own name.

    Raises:
        MissingExtra: it is not installed. InputError: it is installed, but does not import, most often for
            want of a torchvision that fits torch.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        if missing == package and extra is not None:
            raise MissingExtra(what, extra) from None
        raise InputError(f"{what} needs the package {missing}: pip install {missing}") from None
    except Exception as error:  # a broken build raises whatever it likes: RuntimeError, OSError ...
        raise InputError(
            f"{what}: {package} is installed but cannot be used ({first_line(error)}); install a torchvision "
            f"built for torch {torch.__version__} (same index), or load the model as file.py:factory or hf:"
        ) from error


def first_line(error: BaseException | str) -> str:
    """The first line of an error's message, or its type where there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
