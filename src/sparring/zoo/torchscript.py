"""`torchscript:FILE`: a model as torch.jit.save writes it.

A TorchScript file is a program, but one that can only call torch's own operators, so it needs no `trust`. It
does not say how to normalise: pixels in [0, 1] go in as they are unless `mean` and `std` are given.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sparring.errors import InputError
from sparring.model import Model
from sparring.zoo.extras import first_line
from sparring.zoo.options import Options


def load_torchscript(name: str, options: Options) -> Model:
    """The program in file `name`, on the CPU. Raises InputError: no such file, or not TorchScript."""
    options.refuse_weights(f"torchscript:{name}")
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        net = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path} is not a TorchScript file ({first_line(error)})") from None
    return options.wrap(net, name=f"torchscript:{path.name}")
