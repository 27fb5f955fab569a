"""Headers of a mapping: refused before the first query where no request could carry them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sparring.errors import InputError

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
"visible ASCII with blanks inside"
FRAMING = ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect")
"headers that say where a request ends and what becomes of its connection: those are the client's own"


def refuse_unsendable(headers: Mapping[str, str], upload: bool) -> None:
    """Refuse what would fail at each query, after that was counted. `upload`: pictures are sent as a form.

    Values are never shown: they may be credentials.

    Raises:
        InputError: a name or a value that HTTP does not know, or a header that belongs to the client.
    """
    for name, value in headers.items():
        if not NAME.fullmatch(name):
            raise InputError(f"headers: {name!r:.60} is no name of a header; write letters, digits and hyphens")
        if not VALUE.fullmatch(value):
            raise InputError(
                f"headers: the value of {name} holds {_odd(value)}; a header is one line of ASCII without blanks at "
                "its ends"
            )
        if name.lower() in FRAMING or (upload and name.lower() == "content-type"):
            raise InputError(f"headers: {name} is set by the client itself; drop it")


def _odd(value: str) -> str:
    """What is wrong with a value, without showing it."""
    if "\n" in value or "\r" in value:
        return "a line break"
    if not value.isascii():
        return "letters that are not ASCII"
    return "a control character" if not value.replace("\t", " ").isprintable() else "a blank at its start or end"
