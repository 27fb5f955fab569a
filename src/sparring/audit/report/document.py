"""A report as plain values: what report.json holds, and what every page, table and export is made from.

So a report that was read back from disk gives the same pages as a fresh one, byte for byte (`sparring report`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparring.audit.statistics.proportion import Figure
from sparring.errors import InputError, SparringError
from sparring.threat import eps_text

FORMAT = "sparring-audit-1"
FILE = "report.json"

Document = Mapping[str, Any]

NEEDED = ("verdict", "status", "n", "threat", "attacks", "requirements", "samples", "model", "data", "taxonomy")


def read(path: str | Path) -> dict[str, Any]:
    """The report in a report.json, or in the folder of a run.

    Raises:
        InputError: there is none, or it is not one that this version understands.
    """
    path = Path(path)
    file = path / FILE if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise InputError(f"{path} holds no {FILE}; give the folder of a finished run, or the file itself")
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{file} is no JSON: {error}") from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        seen = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        raise InputError(f"{file} is no report of an audit that can be read: its format is {seen!r}, not {FORMAT!r}")
    missing = [name for name in NEEDED if name not in plain]
    if missing:
        raise InputError(f"{file} is damaged: it lacks {', '.join(missing)}")
    if not sealed(plain):
        raise InputError(
            f"{file} was changed after sparring wrote it; make it again (sparring audit ... --resume), or see what "
            "changed with sparring verify"
        )
    return plain


@contextmanager
def using(*paths: str | Path) -> Iterator[None]:
    """Inside, stored reports are shown or compared: one whose parts do not fit together is said to be damaged.

    A seal shows careless changes, but anybody can make a new one.

    Raises:
        InputError: in the place of whatever goes wrong with what the reports hold.
    """
    try:
        yield
    except (SparringError, OSError):
        raise
    except Exception as error:  # what they hold can be anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        named = " or ".join(str(path) for path in paths)
        raise InputError(f"the report in {named} is damaged: its parts do not fit together ({reason})") from error


def seal(plain: Document) -> str:
    """SHA-256 of a report without its seal. It shows accidents and careless changes, not a forger: see `verify`."""
    rest = {name: value for name, value in plain.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sealed(plain: Document) -> bool:
    """The report is as it was written. Reports of version 0.1 have no seal."""
    return "seal" not in plain or plain["seal"] == seal(plain)


def figure(plain: Mapping[str, Any]) -> Figure:
    """A counted share from its plain values."""
    return Figure(plain["hits"], plain["of"])


def clean(document: Document) -> Figure:
    """Right on the clean images, of all."""
    return Figure(document["initially_correct"], document["n"])


def robust(document: Document) -> Figure:
    """Standing after all attacks, of all."""
    return Figure(document["standing"], document["n"])


def certified(document: Document) -> Figure | None:
    """Proved to stand, of all; None where nothing was proved."""
    seen = document.get("certified")
    return None if seen is None else figure(seen)


def success(document: Document) -> Figure:
    """Broken by any attack, of those that were right before."""
    right = document["initially_correct"]
    return Figure(right - document["standing"], right)


def headline(document: Document) -> list[tuple[str, Figure]]:
    """The figures that every short table begins with."""
    proved = certified(document)
    return [
        ("clean accuracy", clean(document)),
        (f"robust accuracy, worst of {len(document['attacks'])} attacks", robust(document)),
        *([] if proved is None else [("certified accuracy, a lower bound", proved)]),
        ("attack success rate, of initially correct", success(document)),
    ]


def eps(document: Document) -> float:
    """The audited radius."""
    return float(document["threat"]["eps"])


def threat(document: Document) -> str:
    """What was allowed, in words: "Linf 0.3"."""
    return f"{document['threat']['norm']} {eps_text(eps(document))}"


def class_name(document: Document, label: int) -> str:
    """What a class is called; its number where it has no name."""
    names = document["data"]["class_names"]
    return str(label) if names is None else str(names[label])


def json_text(plain: Document) -> str:
    """A document as report.json holds it."""
    text = io.StringIO()  # json.dumps would first make a list of a million pieces of ten thousand images
    json.dump(plain, text, indent=1, allow_nan=False)
    text.write("\n")
    return text.getvalue()
