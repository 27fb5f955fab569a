"""The URL of a web service as it is written: what is sent to, what it is called, and the settings behind the #."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sparring.errors import InputError
from sparring.spec import number, read_pairs
from sparring.zoo.targets.http.mapping import IN_SPEC
from sparring.zoo.targets.http.secrets import is_literal_secret
from sparring.zoo.targets.words import one_line, public


def read_url(spec: str) -> tuple[str, str, dict[str, Any]]:
    """The URL to send to, its name for people, and the settings behind the #.

    Raises:
        InputError: no URL, or one with credentials in it.
    """
    try:
        parts = urlsplit(spec)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:  # a bracket too few, a port that is no number
        raise InputError(f"{public(spec)!r} is no URL; write http://HOST:PORT/PATH or https://HOST/PATH") from None
    advice = "name an environment variable in the headers of a mapping file instead (docs/black_box.md)"
    if parts.username is not None or parts.password is not None:
        raise InputError(f"the URL of {parts.hostname} carries a password, which reports would keep; {advice}")
    query = parse_qsl(parts.query, keep_blank_values=True)
    if secret := [key for key, value in query if is_literal_secret(key, value)]:
        raise InputError(f"the URL of {parts.hostname} carries {secret[0]}=..., which reports would keep; {advice}")
    pairs = _settings(parts.fragment)
    if "mapping" in dict(query):
        pairs.setdefault("mapping", dict(query)["mapping"])
        query = [(key, value) for key, value in query if key != "mapping"]
    settings = {key: value if key in ("mapping", "cache") else _plain(value) for key, value in pairs.items()}
    settings |= {"cache": _plain(settings["cache"])} if str(settings.get("cache")).lower() in _WORDS else {}
    url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
    return url, f"{parts.scheme}://{parts.netloc}{parts.path}", settings


def _settings(fragment: str) -> dict[str, str]:
    """The pairs behind the #. Errors show no value: it may be a credential that was put there."""
    write = "write #mapping=FILE,rate=5"
    parts = [part for part in fragment.split(",") if part]
    if not all("=" in part for part in parts):
        raise InputError(f"what stands behind the # of a URL is not understood; {write}")
    keys = [part.partition("=")[0].strip().replace("-", "_") for part in parts]
    if odd := [key for key in keys if key not in IN_SPEC]:
        raise InputError(f"{one_line(odd[0], 30)}= behind the # of a URL is not known; there are {', '.join(IN_SPEC)}")
    return read_pairs(parts, f"#{','.join(keys)}", write)


_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _plain(text: str) -> Any:
    word = text.lower()
    return _WORDS[word] if word in _WORDS and not word.isdigit() else number(text)


def file_named(text: str, what: str) -> Path:
    """The file that a setting names. Raises InputError: no file can be called so."""
    try:
        if "\0" in text:
            raise ValueError("a zero byte in it")
        return Path(text).expanduser()
    except (RuntimeError, ValueError) as error:  # the home of nobody
        raise InputError(f"{what}={one_line(text)} names no file: {one_line(str(error))}") from None
