"""Credentials of a web service: read from the environment, sent, and never shown, in whatever dress they come back."""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sparring.errors import InputError
from sparring.zoo.targets.words import one_line, shown

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
PIECE = 8
"characters of a secret in a row that are hidden wherever they stand; services shorten what they repeat"
SHORTEST = 4
"characters of an encoded secret; fewer stand in any text"
LAYERS = 4
"of escapes upon escapes that are looked through"
ESCAPE = re.compile(r"(?:\\{1,4}u[0-9a-f]{4})+|(?:%[0-9a-f]{2})+|\\{1,4}x[0-9a-f]{2}|&#?\w{1,8};|\\", re.I)

IN_NAMES = re.compile(
    r"auth|cookie|token|secret|passw|passphrase|credential|signature|bearer|session|sessid|jwt"
    r"|(api|access|account|private|subscription|license)[-_.]?key",
    re.I,
)
WORDS = frozenset(
    {"pass", "pwd", "pw", "pin", "otp", "totp", "sid", "sess", "sig", "hmac", "sas", "cred", "creds", "ticket"}
)
LAST_WORDS = frozenset({"key", "keys"})
WHOLE = frozenset({"code"})
VALUE = re.compile(r"\s*(bearer|basic|digest|negotiate|token|apikey)\s+\S|.*\beyJ[\w-]{8,}\.[\w-]+", re.I)
"a credential, going by itself: with its scheme before it, or a JSON Web Token"


def names_secret(name: str) -> bool:
    """Is it the name of a header or field whose value nobody should write down?

    >>> names_secret("X-Api-Key"), names_secret("pwd"), names_secret("Content-Type"), names_secret("top_k")
    (True, True, False, False)
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    return (
        bool(IN_NAMES.search(name))
        or name.lower() in WHOLE
        or not WORDS.isdisjoint(words)
        or (bool(words) and words[-1] in LAST_WORDS)
    )


def is_literal_secret(name: str, value: Any) -> bool:
    """Is a credential written out where the environment should be named?"""
    text = str(value)
    return not VARIABLE.search(text) and (names_secret(name) or bool(VALUE.match(text)))


class Secrets:
    """The values that were read from the environment. What is shown of a service's words goes through here.

    >>> secrets = Secrets(["hunter2"])
    >>> secrets.line('{"error": "hunter2 is no key"}'), secrets.value({"echo": "aHVudGVyMg=="})
    ('{"error": "*** is no key"}', "{'echo': '***g=='}")
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: list[str] = []
        self._pieces: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Hide a value from now on."""
        self._values.append(value)
        for form in map(_small, _forms(" ".join(value.split()))):
            self._pieces |= {form[k : k + PIECE] for k in range(max(1, len(form) - PIECE + 1))} - {""}

    def filled(self, texts: Mapping[str, Any], header: bool = True) -> dict[str, Any]:
        """The texts with the values of the environment in the place of `${NAME}`, which are hidden from now on.

        Args:
            header: they are sent as headers, which cannot carry everything.

        Raises:
            InputError: a variable is not set, or holds what no header can.
        """

        def value(match: re.Match[str]) -> str:
            found = os.environ.get(match[1])
            if not found:
                raise InputError(f"the environment variable {match[1]}, which the mapping names, is not set")
            if header and not (found.isascii() and found.isprintable()):
                raise InputError(f"the environment variable {match[1]} holds characters that no header can carry")
            self.add(found)
            return found

        return {name: VARIABLE.sub(value, text) if isinstance(text, str) else text for name, text in texts.items()}

    def mask(self, text: str) -> str:
        """The text with *** in the place of every secret, and of every piece of one."""
        hidden = bytearray(len(text))
        layer = [(char, k, k + 1) for k, char in enumerate(text)]
        for _ in range(LAYERS):
            plain = _small(char for char, _, _ in layer)
            for piece in self._pieces:
                at = plain.find(piece)
                while at >= 0:
                    start, end = layer[at][1], layer[at + len(piece) - 1][2]
                    hidden[start:end] = bytes([1]) * (end - start)
                    at = plain.find(piece, at + 1)
            below = _unescaped(layer)
            if len(below) == len(layer):
                break
            layer = below
        runs = re.finditer(rb"\x01+|\x00+", hidden)
        return "".join("***" if hidden[run.start()] else text[run.start() : run.end()] for run in runs)

    def line(self, text: bytes | str, most: int = 120) -> str:
        """A stranger's words on one line, without secrets."""
        return one_line(text, most, self.mask)

    def value(self, said: Any, most: int = 60) -> str:
        """A value from a stranger on one line, as Python would write it, without secrets."""
        return shown(said, most, self.mask)


def _forms(value: str) -> Iterator[str]:
    """A secret as it is, in base64 wherever it stands in the bytes that were encoded, in hex; what it may be base64 of,
    and the password in that."""
    data = value.encode(errors="surrogateescape")
    yield value
    found = [value.replace(" ", "+"), data.hex()]
    for before in range(3):
        code = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        whole = code[(0, 2, 3)[before] : len(code) - ((before + len(data)) % 3 > 0)]
        found += [whole, whole.replace("+", "-").replace("/", "_")]
    try:
        inside = base64.b64decode(value, validate=True).decode()
        found += [inside, inside.partition(":")[2]]
    except ValueError:
        pass
    yield from (form for form in found if len(form) >= SHORTEST)


def _small(chars: Iterable[str]) -> str:
    """In small letters, one for one: services change the case of what they repeat."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in chars)


Letter = tuple[str, int, int]
"a character, and from where to where in the text it is written"


def _unescaped(layer: list[Letter]) -> list[Letter]:
    """One layer of escapes less: of JSON and Python, URLs and HTML."""
    text = "".join(char for char, _, _ in layer)
    plain, at = [], 0
    for found in ESCAPE.finditer(text):
        plain += layer[at : found.start()]
        at = found.end()
        chars, written = _meaning(found[0]), layer[found.start() : at]
        each, rest = divmod(len(written), len(chars) or 1)
        for k, char in enumerate(chars):  # letter for letter where they are all as long, else all of it for each
            mine = written if rest else written[k * each : (k + 1) * each]
            plain.append((char, mine[0][1], mine[-1][2]))
    return plain + layer[at:]


def _meaning(escape: str) -> str:
    """What an escape stands for; nothing for a lone backslash, which makes the next character plain."""
    kind = escape.lstrip("\\")
    if kind.startswith("%"):
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")
    if kind.startswith("&"):
        return html.unescape(escape)
    units = re.findall(r"\\+u(....)", escape)
    if units:
        return bytes.fromhex("".join(units)).decode("utf-16-be", "replace")
    return chr(int(kind[1:], 16)) if kind else ""
