"""Weights files: safetensors, or .pt/.pth read without running code, put into a net with clear complaints."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.zoo.extras import first_line

State = dict[str, Tensor]

# Where training scripts put the state dict inside a checkpoint, and what wrappers put before every name.
HOLDERS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
NOT_WEIGHTS = {
    b"<": "it is a web page, so a download went wrong",
    b"version https://git-lfs": "it is a Git LFS pointer, so the file itself was not fetched (git lfs pull)",
}


def read_state(path: str | Path, *, trust: bool = False) -> State:
    """The state dict in a weights file, on the CPU.

    A bare state dict, {"state_dict": ...}, {"model": ...} and the like are understood. Only tensors are read;
    with `trust` a pickle may hold anything, and reading it runs the code in it.

    Raises:
        InputError: no such file, not a weights file, or one that needs `trust`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no weights file {path}")
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    for start, reason in NOT_WEIGHTS.items():
        if head.startswith(start):
            raise InputError(f"{path} is not a weights file: {reason}")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is not a safetensors file ({first_line(error)})") from None
    return _state_in(_unpickle(path, trust), path)


def _unpickle(path: Path, trust: bool) -> Any:
    if not trust and _is_program(path):
        raise InputError(f"{path} is a TorchScript program; load it as torchscript:{path}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript")
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        # torch names the first thing that it would not unpickle as "GLOBAL module.name".
        _, wants_code, rest = str(error).partition("GLOBAL ")
        if wants_code and not trust:
            raise InputError(
                f"{path} holds more than tensors ({rest.split()[0]}), and reading it would run code: pass "
                "--trust (trust=True) if you trust its author, or save net.state_dict() as safetensors"
            ) from None
        raise InputError(_unreadable(path, str(error).rpartition("WeightsUnpickler error:")[2])) from None
    except Exception as error:  # damaged files raise almost anything: EOFError, KeyError, RuntimeError ...
        raise InputError(_unreadable(path, f"{type(error).__name__}: {error}")) from None


def _is_program(path: Path) -> bool:
    """Is it what torch.jit.save leaves? `torch.load` may run it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _unreadable(path: Path, reason: str) -> str:
    return f"{path} is not a file of tensors that torch.load can read ({first_line(reason)})"


def _state_in(loaded: Any, path: Path) -> State:
    for _ in range(3):  # a checkpoint may hold a model that holds a state dict
        if isinstance(loaded, nn.Module):  # only possible with trust
            loaded = loaded.state_dict()
        if isinstance(loaded, Mapping) and loaded and all(isinstance(v, Tensor) for v in loaded.values()):
            return {str(name): tensor for name, tensor in loaded.items()}
        if not isinstance(loaded, Mapping):
            break
        holder = next((name for name in HOLDERS if isinstance(loaded.get(name), (Mapping, nn.Module))), None)
        if holder is None:
            break
        loaded = loaded[holder]
    keys = f" with keys {_few(map(str, loaded))}" if isinstance(loaded, Mapping) else ""
    raise InputError(
        f"{path} holds a {type(loaded).__name__}{keys}; a state dict, or a dict with one under "
        f"{', '.join(HOLDERS)}, is needed"
    )


def put_state(net: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load `state` into `net`, with every name and shape in its place.

    Names may carry the prefix that DataParallel, torch.compile or a training wrapper put before them.

    Raises:
        InputError: names the first few keys that are missing, unexpected or of another shape.
    """
    wanted = net.state_dict()
    state = without_prefix(dict(state), set(wanted))
    # Nets saved before PyTorch 0.4.1 have no batch counters, and nothing reads them in eval mode.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    shapes = [
        f"{name} is {list(state[name].shape)} in the file, {list(wanted[name].shape)} in the net"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    troubles = [
        f"{len(names)} {what} ({_few(names)})"
        for names, what in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (shapes, "of another shape"),
        )
        if names
    ]
    if troubles:
        raise InputError(f"the weights in {source} do not fit {type(net).__name__}: {'; '.join(troubles)}")
    net.load_state_dict({**wanted, **state})


def without_prefix(state: State, wanted: set[str]) -> State:
    while not wanted & state.keys():
        prefix = next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _few(names: Any, most: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
