"""Whose error is it? A model is anybody's code: what it raises is neither bad input nor a fault of this package."""

from __future__ import annotations

import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
CALLS = ("raw", "answer", "ask", "_traced", "grad", "jacobian", "labels", "load_factory")
"functions of this package that call the model, or what made it"


@dataclass(frozen=True)
class Blamed:
    """An error of the model's.

    Attributes:
        error: what it raised. frame: the last one in the user's code; None = raised by a library that the model uses.
    """

    error: BaseException
    frame: traceback.FrameSummary | None

    def __str__(self) -> str:
        line = next(iter(str(self.error).strip().splitlines()), "")
        text = f"{type(self.error).__name__}: {line}" if line else type(self.error).__name__
        if self.frame is None:
            return text
        code = f": {self.frame.line}" if self.frame.line else ""
        return f"{text} ({self.frame.filename}:{self.frame.lineno}, in {self.frame.name}{code})"


def blamed(error: BaseException) -> Blamed | None:
    """The model behind an error, or None where it is this package's own (or the file system's).

    The model is to blame where the innermost call of this package handed over to it: the frames below are the user's
    code, or a library's that the user's model is made of.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [k for k, frame in enumerate(frames) if _is_ours(frame)]
    if not ours or ours[-1] == len(frames) - 1:
        return None
    below = frames[ours[-1] + 1 :]
    theirs = [frame for frame in below if _is_users(frame)]
    if theirs:
        return Blamed(error, theirs[-1])
    return Blamed(error, None) if frames[ours[-1]].name in CALLS else None


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).resolve().is_relative_to(PACKAGE)


def _is_users(frame: traceback.FrameSummary) -> bool:
    """Neither of the standard library nor of an installed package."""
    if frame.filename.startswith("<"):
        return False
    path = Path(frame.filename).resolve()
    libraries = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(path.is_relative_to(library) for library in libraries)
