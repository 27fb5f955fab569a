"""`folder:PATH`: one sub-folder a class, pictures decoded when they are asked for.

    PATH/cat/1.jpg              or, with a split:   PATH/train/cat/1.jpg
    PATH/cat/more/2.png                             PATH/test/cat/7.jpg   (or val/)
    PATH/dog/3.webp                                 PATH/test/dog/9.jpg

Class ids are the positions of the sub-folders' names in sorted order (by code point); with splits, of the names in all
splits together, so an id means the same class in each. Folders called by numbers have these numbers. A model that names
its classes gets them by name (`class_names`), ImageNet's nets also by WordNet's codes (n01440764). Hidden files and
files that are not pictures (by their ending) are ignored. Order: classes round robin, and by path within a class.

Splits may have other usual names, in any case (Training/ and Testing/, train/ and dev/). What archives and systems
leave behind (__MACOSX/) is ignored; a folder that is neither a split nor a class is refused, by name.

Instead of sub-folders, a table may name the pictures: `folder:PATH?labels=labels.csv`, see `tables`; the table of
Hugging Face's imagefolder (metadata.csv, metadata.jsonl) is found by itself.

Options: `folder:PATH?size=224&resize=256&crop=1&gray=0&classes=cat,dog&labels=3,5`, all optional; see
`pictures.Recipe`. With `classes`, only pictures of these are read, under the ids that they have among all. `labels` are
other ids, one for each class (in the order of `classes`, or sorted by name): those of a model with more classes.
`order` is a file that lists the class names of a model which does not know them itself. A folder without splits is one
data set, called "all", whichever split is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sparring.data.class_names import SYNSET
from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.order import interleave
from sparring.data.pictures import Recipe, picture_size, read_picture, suffixes
from sparring.data.registry import DataInfo, Options, Source, check_split
from sparring.data.tables import METADATA, is_table, read_names, read_table

VALIDATION = ("val", "valid", "validation", "dev", "devel", "development")
SPLITS = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", *VALIDATION),
    "val": VALIDATION,
}
"""The names, in any case, of a folder that may hold each split, the best first."""
SPLIT_NAMES = frozenset(name for names in SPLITS.values() for name in names)
FOREIGN = frozenset({"__macosx", "__pycache__", "thumbs", "lost+found", "$recycle.bin", "system volume information"})
"""Folders, in lower case, that systems and archives leave behind; as those that begin with a dot or an @, they are
never classes."""
OPTIONS = {
    "size": "resize the shorter side to so many pixels, then cut the central square; default: what the model takes",
    "resize": "resize the shorter side to this instead, before the cut (ImageNet: size=224&resize=256)",
    "crop": "0 = no cut: pictures keep their aspect ratio",
    "gray": "1 = one channel, 0 = RGB; default: what the model takes, else RGB",
    "classes": "read only these folders, as classes=cat,dog; they keep the numbers that they have among all",
    "labels": "the numbers of the classes, as labels=3,5, where the model has more classes than there are folders; "
    "or a table of the pictures, labels=labels.csv, with the columns file, and index or label",
    "order": "the model's class names in order: a text with one a line, a JSON list, or a config.json with id2label",
}
"""What may follow the question mark, and what each does."""
THREADS = min(8, os.cpu_count() or 1)


class FolderImages:
    """`Images` over picture files: decoded anew at each access, several at once."""

    def __init__(self, paths: Sequence[Path], recipe: Recipe, chosen: frozenset[str] = frozenset()) -> None:
        self._paths = tuple(paths)
        self._recipe = recipe
        self.chosen = chosen
        """the options that the user gave, which nothing may overrule"""

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the first picture."""
        return cast(tuple[int, int, int], tuple(read_picture(self._paths[0], self._recipe).shape))

    def reread(self, **changes: int | bool) -> FolderImages:
        """The same pictures by another recipe."""
        return FolderImages(self._paths, replace(self._recipe, **changes), self.chosen)  # type: ignore[arg-type]

    def sizes(self, rows: Tensor) -> list[tuple[int, int]]:
        """(height, width) as the files say, without decoding them; up to the first that differs from the others."""
        found: list[tuple[int, int]] = []
        for row in rows.tolist():
            found.append(picture_size(self._paths[row]))
            if found[-1] != found[0]:
                break
        return found

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
    only = tuple(filter(None, str(options["classes"]).split(","))) if "classes" in options else None
    root = Path(argument).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; expected one with a sub-folder of pictures for each class")
    table = str(options["labels"]) if "labels" in options and is_table(str(options["labels"])) else None
    labels = _numbers(str(options["labels"])) if "labels" in options and table is None else None
    try:
        if table is not None:
            path = root / table if (root / table).is_file() else Path(table).expanduser()
            return labelled(path, root, f"folder:{argument}", "all", recipe, options)
        if (found := _metadata(root, split)) is not None:
            return labelled(found, found.parent, f"folder:{argument}", split, recipe, options)
        if "order" in options:
            data = _load(root, f"folder:{argument}", split, recipe, frozenset(options), only, labels)
            return ordered(data, options)
        return _load(root, f"folder:{argument}", split, recipe, frozenset(options), only, labels)
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read: {error.strerror or error}") from error


def _load(
    root: Path,
    name: str,
    split: str,
    recipe: Recipe,
    chosen: frozenset[str],
    only: tuple[str, ...] | None,
    numbers: list[int] | None,
) -> ImageData:
    parts = _split_folders(root)
    part, found = (root, "all") if not parts else _choose(root, parts, split)
    classes = sorted({child.name for part in parts or [root] for child in _subfolders(part)})
    if missing := [name for name in only or () if name not in classes]:
        raise DataError(f"classes={','.join(only or ())}: {root} has no {_listed(missing)}; it has {_listed(classes)}")
    if not classes:
        raise DataError(f"{root} has no sub-folders; expected one for each class, holding its pictures")
    files = [
        (path, label)
        for label, each in enumerate(classes)
        if only is None or each in only
        for path in _pictures(part / each)
    ]
    if only is None:
        _refuse_empty(root, parts or [root], classes)
        _refuse_nested(root, classes)
    if not files:
        raise DataError(f"no pictures in the {len(classes)} class folders of {part} (.png, .jpg, .webp, ...)")
    order = interleave(np.array([label for _, label in files], dtype=np.int64)).tolist()
    paths, labels = [files[i][0] for i in order], [files[i][1] for i in order]
    names: list[str] | None = classes
    if numbers is None and only is None and all(_digits(name) for name in classes) and len(classes) > 1:
        own = [int(name) for name in classes]
        if len(set(own)) < len(own):
            raise DataError(f"{root} has two folders of one number ({_listed(classes)}); keep one of them")
        labels, names = [own[label] for label in labels], [str(k) for k in range(max(own) + 1)]
    if numbers is not None:
        places = _renumbered(list(only or classes), classes, numbers)
        labels, names = [places[label] for label in labels], None
    return ImageData(FolderImages(paths, recipe, chosen), labels, classes=names, name=name, split=found, paths=paths)


def labelled(table: Path, root: Path, name: str, split: str, recipe: Recipe, options: Options) -> ImageData:
    """The pictures that a table names, dealt round robin by class. Raises DataError."""
    read = read_table(table, root)
    order = interleave(np.array(read.labels, dtype=np.int64)).tolist()
    paths, labels = [read.paths[i] for i in order], [read.labels[i] for i in order]
    chosen = frozenset(options) - {"labels"} if read.named else frozenset({*options, "labels"})
    images = FolderImages(paths, recipe, chosen)
    data = ImageData(images, labels, classes=read.classes, name=name, split=split, paths=paths)
    return ordered(data, options) if "order" in options else data


def ordered(data: ImageData, options: Options) -> ImageData:
    """The data under the numbers of a model, whose class names a file lists in order.

    Raises:
        DataError: no such file. InputError: the names differ.
    """
    names = read_names(Path(str(options["order"])).expanduser())
    codes = [name.partition(" ")[0] for name in names]
    if all(SYNSET.fullmatch(code) for code in codes):  # "n01440764 tench, Tinca tinca" on each line
        words = [name.partition(" ")[2] or name for name in names]
        named = [name for k, name in enumerate(data.classes) if name != str(k)]
        names = codes if named and all(map(SYNSET.fullmatch, named)) else words
    return data.named_as(names)


def _metadata(root: Path, split: str) -> Path | None:
    """The table of Hugging Face's imagefolder, where the pictures of a split are not in folders of their classes."""
    folders = [root, *(root / name for name in SPLITS[split])]
    tables = (folder / name for folder in folders for name in METADATA)
    return next(
        (path for path in tables if path.is_file() and not any(map(_any_picture, _subfolders(path.parent)))), None
    )


def _digits(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 6


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts) or len(set(parts)) < len(parts):
        raise DataError(f"labels={text}; expected class numbers from 0, each once, one for each class: labels=3,5")
    return [int(part) for part in parts]


def _renumbered(named: list[str], classes: list[str], numbers: list[int]) -> dict[int, int]:
    """From the id of a class among all to the number given for it."""
    if len(named) != len(numbers):
        raise DataError(
            f"labels={','.join(map(str, numbers))} names {len(numbers)} classes; there are {len(named)} "
            f"({_listed(named)}), give a number for each"
        )
    return {classes.index(name): number for name, number in zip(named, numbers, strict=True)}


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
    about = "pictures, one sub-folder a class; options as in folder:PATH?size=224&gray=1"
    return DataInfo("folder:PATH", about, None, None, {}, (), "PATH, or PATH/train and PATH/test (or val)", 0, OPTIONS)


def _split_folders(root: Path) -> list[Path]:
    """The folders of splits, if there are any among the sub-folders; a class may be called "train", too.

    Beside two splits, or one that has classes, any other folder is no class (labels/, a nested copy): if it holds
    pictures, it is not known what it is.

    Raises:
        DataError: something else that holds pictures lies beside the splits.
    """
    below = _subfolders(root)
    named = [child for child in below if child.name.lower() in SPLIT_NAMES and _subfolders(child)]
    others = [child for child in below if child not in named]
    if not named or (len(named) == 1 and others and not _same_classes(named, others)):
        return []
    if odd := [child.name for child in others if child.name.lower() not in SPLIT_NAMES and _any_picture(child)]:
        raise DataError(
            f"{root} has the splits {_listed([child.name for child in named])}, and beside them {_listed(odd)} with "
            f"pictures: move it away, or give the folder with the classes, as folder:{named[0]}"
        )
    twice = {child.name.lower() for child in named}
    if len(twice) < len(named):
        raise DataError(f"{root} has {_listed([child.name for child in named])}: two names of one split; keep one")
    return named


def _same_classes(named: list[Path], others: list[Path]) -> bool:
    """None of the others holds pictures of its own, so that it could be a class beside a class called "train"."""
    return not any(_any_picture(child) for child in others)


def _any_picture(folder: Path) -> bool:
    return next(_walk(folder), None) is not None


def _refuse_empty(root: Path, parts: list[Path], classes: list[str]) -> None:
    """Refuse a folder without any picture beside those with some: it may be no class, and would shift the others."""
    filled = [name for name in classes if any((part / name).is_dir() and _any_picture(part / name) for part in parts)]
    empty = [name for name in classes if name not in filled]
    if empty and filled:
        raise DataError(
            f"{root} has no pictures in {_listed(empty)}, beside the classes {_listed(filled)}: if it is no class, "
            f"move it away; if it is one, name those to read (?classes={','.join(filled[:2])}), and it keeps its number"
        )


def _refuse_nested(root: Path, classes: list[str]) -> None:
    """Refuse folders that are no classes: all pictures lie one level further down, in sub-folders of the same names."""
    below = {frozenset(child.name for child in _subfolders(root / each)) for each in classes if (root / each).is_dir()}
    if len(classes) < 2 or len(below) != 1 or len(shared := below.pop()) < 2:
        return
    if any(path.suffix.lower() in suffixes() for each in classes for path in (root / each).iterdir()):
        return
    raise DataError(
        f"{root} has {_listed(classes)}, each with the sub-folders {_listed(sorted(shared))}: these look like the "
        f"classes; give one of the folders above them, as folder:{root / classes[0]}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _choose(root: Path, parts: list[Path], split: str) -> tuple[Path, str]:
    for name in SPLITS[split]:
        for part in parts:
            if part.name.lower() == name:
                return part, name
    raise DataError(f"{root} has {', '.join(part.name for part in parts)}, but nothing for split {split!r}")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not _foreign(child.name))


def _foreign(name: str) -> bool:
    return name.startswith((".", "@")) or name.lower() in FOREIGN


def _pictures(folder: Path) -> list[Path]:
    return sorted(_walk(folder)) if folder.is_dir() else []  # a class that this split lacks


def _walk(folder: Path) -> Iterator[Path]:
    for where, inside, files in os.walk(folder, onerror=_fail):  # by default, walk skips what it may not read
        inside[:] = sorted(name for name in inside if not _foreign(name))
        paths = (Path(where, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if path.suffix.lower() in suffixes() and path.is_file())


def _fail(error: OSError) -> None:
    raise error


def _size(path: Path, picture: Tensor) -> str:
    return f"{path} has {picture.shape[2]} x {picture.shape[1]} pixels"


SOURCE = Source("folder", load, info, argument="PATH", options=tuple(OPTIONS))
