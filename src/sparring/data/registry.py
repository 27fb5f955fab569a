"""The table of data sets: `load_data("mnist5k")`, `list_data()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.spec import Registry, near, read_pairs

Options = Mapping[str, str | int | bool]


@dataclass(frozen=True)
class DataInfo:
    """What `sparring data` shows of one source."""

    name: str
    about: str
    shape: tuple[int, int, int] | None
    """(C, H, W), or None where it depends on the files."""
    classes: int | None
    splits: dict[str, int]
    """Images in each split; empty where it depends on the files."""
    offline: tuple[str, ...]
    """The splits that are on this machine already."""
    place: str
    """The file or folder that it is, or would be, read from."""
    bytes: int
    """On disk, plus what is still to download."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What may follow a question mark in its spec, and what each does."""


@dataclass(frozen=True)
class Source:
    """One way to get data, by the name before the colon of a spec."""

    name: str
    load: Callable[[str, str, Options], ImageData]
    """(argument after the colon, split, options) -> data."""
    info: Callable[[], DataInfo]
    argument: str | None = None
    """What follows the colon (PATH, FILE), or None for a name that stands alone."""
    options: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


_SOURCES: Registry[Source] = Registry("data source")


def register(source: Source) -> Source:
    """Add a source.

    Raises:
        InputError: there is one of this name or alias.
    """
    return _SOURCES.enter(source, source.name, *source.aliases)


def list_data() -> list[DataInfo]:
    """Everything that `load_data` knows, in order of registration; looks at the disk, not at the network."""
    return [source.info() for source in _SOURCES.each().values()]


def load_data(
    spec: str,
    split: str = "test",
    n: int | None = None,
    *,
    size: int | None = None,
    resize: int | None = None,
    crop: bool | None = None,
    gray: bool | None = None,
) -> ImageData:
    """Labelled images from a spec: `mnist5k`, `mnist`, `fashion_mnist`, `cifar10`, `folder:PATH`, `npz:FILE`.

    Args:
        spec: a name, or `folder:PATH`, `npz:FILE`. Options may be written behind a question mark, as in
            `folder:pictures?size=224&resize=256&gray=1`, or given as the keyword arguments of the same names.
        split: "train" or "test" (`folder:` also knows "val").
        n: only the first n images; default all. `mnist5k` and `folder:` deal the classes round robin, so any
            n is balanced; the others keep the order of their files.
        size: `folder:` only: resize the shorter side to `size` pixels, then cut the central square.
        resize: `folder:` only: resize the shorter side to this instead, then cut `size` (ImageNet: 256, 224).
        crop: `folder:` only: False leaves out the cut, so pictures keep their aspect ratio. Default True.
        gray: `folder:` only: one channel instead of RGB. Default False.

    Raises:
        DataError: unknown name, missing or damaged files, an option that the source does not take.
        InputError: n is not between 1 and the number of images.
    """
    name, argument, options = parse_spec(spec)
    source = _find(name, spec)
    if (source.argument is None) != (argument == ""):
        usage = source.name if source.argument is None else f"{source.name}:{source.argument}"
        raise DataError(f"cannot read data spec {spec!r}; write it as {usage}")
    keywords = {"size": size, "resize": resize, "crop": crop, "gray": gray}
    given = {key: value for key, value in keywords.items() if value is not None}
    if twice := sorted(given.keys() & options.keys()):
        raise DataError(f"{', '.join(twice)} given twice: in {spec!r} and as a keyword argument")
    merged: dict[str, str | int | bool] = {**options, **given}
    if unknown := sorted(merged.keys() - set(source.options)):
        takes = f"takes only {', '.join(source.options)}" if source.options else "takes no options"
        raise DataError(f"{source.name} {takes}; got {', '.join(unknown)}")
    data = source.load(argument, split, merged)
    return data if n is None else data.first(n)


def parse_spec(spec: str) -> tuple[str, str, dict[str, str]]:
    """`name[:argument][?key=value[&key=value...]]` as (name, argument, options).

    >>> parse_spec("folder:my/pictures?size=224&gray=1")
    ('folder', 'my/pictures', {'size': '224', 'gray': '1'})
    """
    head, mark, query = spec.rpartition("?")
    if not mark:
        head, query = spec, ""
    items = query.split("&") if mark else ()
    options = read_pairs(items, spec, "write options as key=value, as in ?size=224&gray=1", DataError)
    name, _, argument = head.partition(":")
    return name.strip(), argument, options


def check_split(name: str, split: str, known: tuple[str, ...] = ("train", "test")) -> None:
    """Raise DataError unless `split` is one of `known`."""
    if split not in known:
        raise DataError(f"{name} has no split {split!r}; it has {', '.join(known)}")


def _find(name: str, spec: str) -> Source:
    found = _SOURCES.get_any(name)
    if found is not None:
        return found
    if Path(spec).is_dir():
        raise DataError(f"unknown data {spec!r}; for a folder of pictures write folder:{spec}")
    if Path(spec).suffix == ".npz":
        raise DataError(f"unknown data {spec!r}; for an .npz file write npz:{spec}")
    known = [source.name if source.argument is None else f"{source.name}:" for source in _SOURCES.each().values()]
    close = near(name, _SOURCES)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise DataError(f"unknown data {name!r}{hint}; known: {', '.join(known)}")
