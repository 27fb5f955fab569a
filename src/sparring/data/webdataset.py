"""`webdataset:FILE.tar`: pictures and labels side by side in tar files: 0001.jpg with 0001.cls, .json or .txt.

Nothing is unpacked: members are read in place. `FILE` may be a pattern, `shards/*.tar`. A label is a number (.cls, or
"label" in .json) or a name (.txt, or text in the others).
"""

from __future__ import annotations

import glob
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from sparring.data.errors import DataError
from sparring.data.folder import OPTIONS, recipe_from
from sparring.data.images import ImageData
from sparring.data.pictures import Recipe, decode, head_size, suffixes
from sparring.data.registry import DataInfo, Options, Source

SHARED = {key: what for key, what in OPTIONS.items() if key in ("size", "resize", "crop", "gray")}
MOST_PICTURE, MOST_LABEL, MOST_CLASSES = 256 << 20, 1 << 16, 100_000
LABELS = ("cls", "json", "txt")


@dataclass(frozen=True)
class Member:
    """Where the bytes of a file lie in a tar."""

    tar: Path
    name: str
    start: int
    size: int

    def read(self) -> bytes:
        with self.tar.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)

    def __str__(self) -> str:
        return f"{self.tar}: {self.name}"


class TarImages:
    """`Images` over members of tar files: decoded anew at each access."""

    def __init__(self, members: Sequence[Member], recipe: Recipe, chosen: frozenset[str]) -> None:
        self._members, self._recipe = tuple(members), recipe
        self.chosen = chosen

    def __len__(self) -> int:
        return len(self._members)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the first picture."""
        return cast(tuple[int, int, int], tuple(self._decoded(0).shape))

    def reread(self, **changes: int | bool) -> TarImages:
        """The same pictures by another recipe."""
        return TarImages(self._members, replace(self._recipe, **changes), self.chosen)  # type: ignore[arg-type]

    def sizes(self, rows: Tensor) -> list[tuple[int, int]]:
        """(height, width) as the pictures say, without decoding them; up to the first that differs from the others."""
        found: list[tuple[int, int]] = []
        for row in rows.tolist():
            member = self._members[row]
            found.append(head_size(io.BytesIO(member.read()), str(member)))
            if found[-1] != found[0]:
                break
        return found

    def __getitem__(self, rows: Tensor) -> Tensor:
        """uint8 [B, C, H, W]. Raises DataError: an unreadable picture, or pictures of different sizes."""
        pictures = [self._decoded(row) for row in rows.tolist()]
        if not pictures:
            return torch.empty((0, *self.shape), dtype=torch.uint8)
        if odd := [k for k, one in enumerate(pictures) if one.shape != pictures[0].shape]:
            seen = [f"{list(one.shape[1:])}" for one in (pictures[0], pictures[odd[0]])]
            raise DataError(f"pictures of different sizes, {' and '.join(seen)}; give one size, as in ?size=224")
        return torch.stack(pictures)

    def _decoded(self, row: int) -> Tensor:
        member = self._members[row]
        return decode(io.BytesIO(member.read()), str(member), self._recipe)


def load(argument: str, split: str, options: Options) -> ImageData:
    """All pictures, whichever split is asked for, in the order of the files. Raises DataError."""
    paths = [Path(name) for name in sorted(glob.glob(str(Path(argument).expanduser())))]
    if not paths:
        raise DataError(f"there is no file {argument}")
    found = [pair for path in paths for pair in _samples(path)]
    if not found:
        raise DataError(f"{argument} holds no picture with a label beside it ({', '.join(LABELS)})")
    members, said = [pair[0] for pair in found], [pair[1] for pair in found]
    images = TarImages(members, recipe_from(options), frozenset({*options, "labels"}))
    name = f"webdataset:{argument}"
    if all(isinstance(one, int) for one in said):
        return ImageData(images, cast("list[int]", said), name=name, split="all")
    if odd := [k for k, one in enumerate(said) if isinstance(one, int)]:
        raise DataError(f"{members[odd[0]]} has the number {said[odd[0]]} for a label, others have names")
    classes = sorted({str(one) for one in said})
    images.chosen -= {"labels"}
    return ImageData(images, [classes.index(str(one)) for one in said], classes=classes, name=name, split="all")


def _samples(path: Path) -> list[tuple[Member, int | str]]:
    """Pictures of a tar with their labels, in its order."""
    pictures: dict[str, Member] = {}
    labels: dict[str, int | str] = {}
    try:
        with tarfile.open(path, "r:") as tar:  # not compressed: members are read in place
            for one in tar:
                if not one.isreg() or one.name.rpartition("/")[2].startswith("."):
                    continue
                folder, slash, base = one.name.rpartition("/")
                stem, _, ending = base.partition(".")
                key = folder + slash + stem
                member = Member(path, one.name, one.offset_data, one.size)
                if f".{ending.lower()}" in suffixes():
                    if one.size > MOST_PICTURE:
                        raise DataError(f"{member} has {one.size} bytes; at most {MOST_PICTURE} are read")
                    pictures.setdefault(key, member)
                elif ending.lower() in LABELS and one.size <= MOST_LABEL:
                    said = _label(member, ending.lower())
                    if said is not None and (key not in labels or ending.lower() == "cls"):
                        labels[key] = said
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a tar that is not compressed: {error}") from None
    lost = [key for key in pictures if key not in labels]
    if lost and len(lost) < len(pictures):
        raise DataError(f"{pictures[lost[0]]} has no label beside it ({', '.join(LABELS)})")
    return [(member, labels[key]) for key, member in pictures.items() if key in labels]


def _label(member: Member, ending: str) -> int | str | None:
    try:
        text = member.read().decode("utf-8").strip()
        if ending == "json":
            said = json.loads(text)
            said = said.get("label", said.get("cls")) if isinstance(said, dict) else said
            text = str(said) if isinstance(said, int | str) and not isinstance(said, bool) else ""
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        if int(text) >= MOST_CLASSES:
            raise DataError(f"{member} says class {text}; expected less than {MOST_CLASSES}")
        return int(text)
    return text or None


def info() -> DataInfo:
    """What `sparring data` shows."""
    about = "pictures with labels beside them in tar files: 1.jpg, 1.cls"
    return DataInfo("webdataset:FILE.tar", about, None, None, {}, (), "FILE.tar, or a pattern: shards/*.tar", 0, SHARED)


SOURCE = Source("webdataset", load, info, argument="FILE.tar", options=tuple(SHARED), aliases=("wds", "tar"))
