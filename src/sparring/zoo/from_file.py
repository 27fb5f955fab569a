"""`file.py:factory` and `pkg.mod:factory`: a model that the user's own Python code builds.

Importing the file runs it, exactly as `python file.py` would: name only code that you would run anyway.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from sparring.errors import InputError, SparringError
from sparring.model import Model
from sparring.seeds import torch_seed, whole_seed
from sparring.zoo.extras import first_line
from sparring.zoo.options import Channels, Options
from sparring.zoo.state import put_state, read_state


def load_factory(where: str, name: str, options: Options) -> Model:
    """The model that `name` in the file or module `where` is or returns.

    `name` may be a function or a class that needs no arguments (`num_classes` is passed where it takes one),
    an `nn.Module`, or a Model wrapped already. If it has attributes `mean` and `std` (a number, or one a
    channel), they are the normalisation to put before the net; a net that normalises by itself must not name
    its own so.

    Raises:
        InputError: no such file, module or name, or the user's code failed (the cause is chained).
    """
    spec = f"{Path(where).name}:{name}"
    with importable(where):
        factory = _find(import_code(where), name, where)
        made = _make(factory, spec, {} if options.num_classes is None else {"num_classes": options.num_classes})
    if isinstance(made, Model):
        return _finish_wrapped(made, spec, options)
    if not callable(made):
        raise InputError(f"{spec} returned a {type(made).__name__}; an nn.Module (or a sparring Model) is needed")
    if options.weights is not None:
        _fill(made, spec, options)
    mean, std = (_numbers(getattr(factory, what, None)) for what in ("mean", "std"))
    return options.wrap(made, mean=mean, std=std, name=spec)


def build_net(
    where: str, name: str, *, in_channels: int, num_classes: int, size: int, seed: int | None = None
) -> nn.Module:
    """The untrained net that the factory `name` in the file or module `where` makes.

    The factory gets those of in_channels, num_classes and size (of square pictures) that it takes. The same seed gives
    the same weights, if they are drawn from torch's generator, which stays as it was.

    Raises:
        InputError: no such factory, it fails, or what it makes is no net for such pictures and classes.
    """
    spec = f"{Path(where).name}:{name}"
    arguments = {"in_channels": in_channels, "num_classes": num_classes, "size": size}
    with importable(where):
        factory = _find(import_code(where), name, where)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(torch_seed(whole_seed(seed or 0)))
            made = _make(factory, spec, arguments)
    if not isinstance(made, nn.Module):
        raise InputError(f"{spec} returned a {type(made).__name__}; a torch.nn.Module is needed to train it")
    with users_code(f"{spec} on a picture of {in_channels} x {size} x {size}"):
        answer = Model(made).logits(torch.zeros(2, in_channels, size, size))
    if answer.shape != (2, num_classes):
        raise InputError(
            f"{spec} gives {answer.shape[-1]} logits, the data has {num_classes} classes; let the factory take "
            "num_classes"
        )
    return made


@contextmanager
def importable(where: str) -> Iterator[None]:
    """Inside, modules beside the user's file can be imported, as when Python runs it.

    Modules of the same names that another folder's code has imported before step aside for good: what already runs
    keeps its own.
    """
    folder = Path(where).expanduser().resolve().parent if where.endswith(".py") else Path.cwd()
    before = list(sys.path)
    for name in _namesakes(folder):
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _namesakes(folder: Path) -> list[str]:
    """Imported modules that have the name of a file or package in `folder`, but come from elsewhere."""
    beside = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    found = []
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if name.partition(".")[0] not in beside or origin is None or name == "__main__":
            continue
        if not Path(origin).resolve().is_relative_to(folder) and not _installed(Path(origin)):
            found.append(name)
    return found


def _installed(path: Path) -> bool:
    """A module of Python or of an installed package: a user's file of its name never was what `import` meant."""
    homes = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path.is_relative_to(home) for home in homes if home) or path.is_relative_to(Path(__file__).parents[1])


def import_code(where: str) -> ModuleType:
    """The module in a file, or of a dotted name; modules beside it can be imported by it.

    Raises:
        InputError: there is none, or its code failed.
    """
    with importable(where):
        return _import_file(Path(where).expanduser()) if where.endswith(".py") else _import_module(where)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    mark = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:12]
    spec = importlib.util.spec_from_file_location(f"sparring_user_{path.stem}_{mark}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses, pickle and typing look a class's module up there
    with users_code(f"importing {path}"):
        spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    try:
        with users_code(f"importing {name}"):
            return importlib.import_module(name)
    except InputError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name and f"{name}.".startswith(f"{missing.name}."):
            raise InputError(
                f"there is no module {missing.name!r} here or among the installed packages; for a file write "
                "path/to/file.py:factory"
            ) from None
        raise


@contextmanager
def users_code(doing: str) -> Iterator[None]:
    """Errors inside the user's code in one line; the traceback stays in the cause."""
    try:
        yield
    except SparringError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{doing} failed with {type(error).__name__}: {first_line(error)}") from error


def _find(module: ModuleType, name: str, where: str) -> Any:
    if hasattr(module, name):
        return getattr(module, name)
    here = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
    offer = f"; it has {', '.join(here[:8])}" if here else ""
    raise InputError(f"{where} has no {name!r}{offer}")


def _make(factory: Any, spec: str, wanted: dict[str, int]) -> Any:
    """What the factory makes, given those of the arguments that it takes."""
    if isinstance(factory, (nn.Module, Model)):
        return factory
    if not callable(factory):
        raise InputError(f"{spec} is a {type(factory).__name__}; a function, a class or an nn.Module is needed")
    arguments = {name: value for name, value in wanted.items() if _takes(factory, name)}
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise InputError(f"{spec} must be callable without arguments ({error}); give them defaults") from None
    except ValueError:  # a builtin without a signature: calling it will tell
        pass
    with users_code(f"{spec}()"):
        return factory(**arguments)


def _takes(factory: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(factory).parameters
    except ValueError:
        return False


def _fill(net: Any, spec: str, options: Options) -> None:
    assert options.weights is not None
    if not isinstance(net, nn.Module):
        raise InputError(f"{spec} returned a {type(net).__name__}, which cannot take --weights; an nn.Module can")
    put_state(net, read_state(options.weights, trust=options.trust), options.weights)


def _finish_wrapped(model: Model, spec: str, options: Options) -> Model:
    if options.weights is not None:
        _fill(model.net, spec, options)
    return options.check_wrapped(model, spec)


def _numbers(value: Any) -> Channels | None:
    """`value` if it is a number or a sequence of them. A net's own buffers and methods are not."""
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Sequence) and value and all(isinstance(v, Real) for v in value):
        return [float(v) for v in value]
    return None
