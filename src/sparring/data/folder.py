"""`folder:PATH`: one sub-folder a class, pictures decoded when they are asked for.

    PATH/cat/1.jpg              or, with a split:   PATH/train/cat/1.jpg
    PATH/cat/more/2.png                             PATH/test/cat/7.jpg   (or val/)
    PATH/dog/3.webp                                 PATH/test/dog/9.jpg

Class ids are the positions of the sub-folders' names in sorted order (by code point); with splits, of the
names in all splits together, so an id means the same class in each. Hidden files and files that are not
pictures (by their ending) are ignored. Order: classes round robin, and by path within a class.

Options: `folder:PATH?size=224&resize=256&crop=1&gray=0`, all optional; see `pictures.Recipe`. A folder
without splits is one data set, called "all", whichever split is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.order import interleave
from sparring.data.pictures import Recipe, read_picture, suffixes
from sparring.data.registry import DataInfo, Options, Source, check_split

SPLITS = {
    "train": ("train",),
    "test": ("test", "val", "valid", "validation"),
    "val": ("val", "valid", "validation"),
}
SPLIT_NAMES = frozenset(name for names in SPLITS.values() for name in names)
THREADS = min(8, os.cpu_count() or 1)


class FolderImages:
    """`Images` over picture files: decoded anew at each access, several at once."""

    def __init__(self, paths: Sequence[Path], recipe: Recipe) -> None:
        self._paths = tuple(paths)
        self._recipe = recipe

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the first picture."""
        return cast(tuple[int, int, int], tuple(read_picture(self._paths[0], self._recipe).shape))

    def __getitem__(self, rows: Tensor) -> Tensor:
        """uint8 [B, C, H, W]. Raises DataError: an unreadable picture, or pictures of different sizes."""
        paths = [self._paths[row] for row in rows.tolist()]
        if not paths:
            return torch.empty((0, *self.shape), dtype=torch.uint8)
        with ThreadPoolExecutor(min(THREADS, len(paths))) as pool:  # pillow decodes outside the interpreter lock
            pictures = list(pool.map(lambda path: read_picture(path, self._recipe), paths))
        for path, picture in zip(paths, pictures, strict=True):
            if picture.shape != pictures[0].shape:
                raise DataError(
                    f"pictures of different sizes: {_size(paths[0], pictures[0])}, {_size(path, picture)}; "
                    "give one size, as in folder:PATH?size=224"
                )
        return torch.stack(pictures)


def load(argument: str, split: str, options: Options) -> ImageData:
    """The pictures below a folder. Raises DataError: no folder, no classes, no pictures, a bad option."""
    check_split("folder:", split, tuple(SPLITS))
    recipe = recipe_from(options)
    root = Path(argument).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; expected one with a sub-folder of pictures for each class")
    try:
        return _load(root, f"folder:{argument}", split, recipe)
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read: {error.strerror or error}") from error


def _load(root: Path, name: str, split: str, recipe: Recipe) -> ImageData:
    parts = _split_folders(root)
    chosen, found = (root, "all") if not parts else _choose(root, parts, split)
    classes = sorted({child.name for part in parts or [root] for child in _subfolders(part)})
    if not classes:
        raise DataError(f"{root} has no sub-folders; expected one for each class, holding its pictures")
    files = [(path, label) for label, each in enumerate(classes) for path in _pictures(chosen / each)]
    if not files:
        raise DataError(f"no pictures in the {len(classes)} class folders of {chosen} (.png, .jpg, .webp, ...)")
    order = interleave(np.array([label for _, label in files], dtype=np.int64)).tolist()
    paths, labels = [files[i][0] for i in order], [files[i][1] for i in order]
    return ImageData(FolderImages(paths, recipe), labels, classes=classes, name=name, split=found, paths=paths)


def recipe_from(options: Options) -> Recipe:
    """A `Recipe` from spec options, whose values may still be strings. Raises DataError for a bad value."""

    def pixels(key: str) -> int | None:
        text = str(options.get(key, ""))
        if key in options and not (text.isascii() and text.isdigit()):
            raise DataError(f"{key}={text}; expected a whole number of pixels")
        return int(text) if text else None

    def flag(key: str, default: bool) -> bool:
        text = str(options.get(key, default)).lower()
        if text not in ("0", "1", "false", "true", "no", "yes"):
            raise DataError(f"{key}={text}; expected 1 or 0")
        return text in ("1", "true", "yes")

    return Recipe(pixels("size"), pixels("resize"), flag("crop", True), flag("gray", False))


def info() -> DataInfo:
    """What `sparring data` shows."""
    about = "pictures, one sub-folder a class; ?size=224&gray=1"
    return DataInfo("folder:PATH", about, None, None, {}, (), "PATH, or PATH/train and PATH/test (or val)", 0)


def _split_folders(root: Path) -> list[Path]:
    """The folders of splits, if that is what the sub-folders are; a class may be called "train", too."""
    below = _subfolders(root)
    if below and all(child.name in SPLIT_NAMES and _subfolders(child) for child in below):
        return below
    return []


def _choose(root: Path, parts: list[Path], split: str) -> tuple[Path, str]:
    for name in SPLITS[split]:
        if root / name in parts:
            return root / name, name
    raise DataError(f"{root} has {', '.join(part.name for part in parts)}, but nothing for split {split!r}")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    found: list[Path] = []
    if not folder.is_dir():  # a class that this split lacks
        return found
    for where, inside, files in os.walk(folder, onerror=_fail):  # by default, walk skips what it may not read
        inside[:] = [name for name in inside if not name.startswith(".")]
        paths = (Path(where, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes() and path.is_file()]
    return sorted(found)


def _fail(error: OSError) -> None:
    raise error


def _size(path: Path, picture: Tensor) -> str:
    return f"{path} has {picture.shape[2]} x {picture.shape[1]} pixels"


SOURCE = Source("folder", load, info, argument="PATH", options=("size", "resize", "crop", "gray"))
