"""A stranger's words, made fit to be shown: on one line, printable, masked, and only then cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LOOKED_AT = 4096
"characters of a text that are masked; more than are ever shown"
LOGIN = re.compile(r"""(:(?:\\*/){2})[^/\\\s"'<>]+@""")
"a name or a password in a URL, which may be written with \\/"


def one_line(text: bytes | str, most: int = 120, mask: Callable[[str], str] = str) -> str:
    """The text as one printable line of at most `most` characters.

    Args:
        mask: hides what must not be shown. It sees the text before it is cut: half a secret is one, too.

    >>> one_line("proxy http://me:hunter2@host\\n  is down")
    'proxy http://***@host is down'
    """
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    text = "".join(char if char.isprintable() else " " for char in text)
    text = LOGIN.sub(r"\1***@", mask(" ".join(text.split())[:LOOKED_AT]))
    return text if len(text) <= most else text[: most - 3] + "..."


def shown(said: Any, most: int = 60, mask: Callable[[str], str] = str) -> str:
    """Any value as one line, as Python would write it; of those that cannot be written, the type.

    >>> shown(["a", None])
    "['a', None]"
    """
    try:
        text = repr(said)
    except Exception as error:  # too deep, or a class of its own with a __repr__ that fails
        text = f"a {type(said).__name__} that cannot be shown ({type(error).__name__})"
    return one_line(text, most, mask)


def public(spec: str) -> str:
    """A spec as people may read it. Of a URL, also a broken one: no name and password, no query, no fragment.

    >>> public("http://me:pass@host/p?key=1"), public("hf:org/net@v2")
    ('http://***@host/p', 'hf:org/net@v2')
    """
    scheme, _, rest = spec.partition(":")
    if not rest.startswith("//") and scheme.strip().lower() not in ("http", "https"):
        return spec
    slashes = "//" if rest.startswith("//") else ""
    rest = rest.removeprefix("//")
    hidden = "***@" if "@" in rest else ""
    return f"{scheme}:{slashes}{hidden}{re.split('[?#]', rest.rpartition('@')[2])[0]}"
