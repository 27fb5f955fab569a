"""Where data sets live on this machine: `$SPARRING_DATA` first, then the user's cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def cache_root(env: Mapping[str, str] | None = None, platform: str | None = None) -> Path:
    """The folder for files that `sparring` downloads, by the conventions of the platform.

    `$SPARRING_CACHE` wins everywhere. Else `%LOCALAPPDATA%\\sparring` on Windows, `~/Library/Caches/sparring`
    on macOS, and `$XDG_CACHE_HOME/sparring` or `~/.cache/sparring` elsewhere. Nothing is created here.
    """
    env = os.environ if env is None else env
    platform = sys.platform if platform is None else platform
    if chosen := env.get("SPARRING_CACHE"):
        return Path(chosen).expanduser().absolute()
    if platform == "win32":
        local = env.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "sparring"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sparring"
    xdg = env.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "sparring"


def cache_folder(name: str) -> Path:
    """Where the files of data set `name` are downloaded to."""
    return cache_root() / name


def folders(name: str) -> tuple[Path, ...]:
    """Where the files of data set `name` are looked for, best first: `$SPARRING_DATA/<name>`, the cache."""
    own = os.environ.get("SPARRING_DATA")
    cache = cache_folder(name)
    return (Path(own).expanduser().absolute() / name, cache) if own else (cache,)
