"""Where data are looked for: the environment first, then the platform's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparring.data.places import cache_root, folders

HOME = Path.home()


@pytest.mark.parametrize(
    ("platform", "env", "expected"),
    [
        ("linux", {}, HOME / ".cache" / "sparring"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, Path("/x/sparring")),
        ("linux", {"XDG_CACHE_HOME": "relative"}, HOME / ".cache" / "sparring"),
        ("linux", {"XDG_CACHE_HOME": "/x", "SPARRING_CACHE": "/own"}, Path("/own")),
        ("linux", {"SPARRING_CACHE": ""}, HOME / ".cache" / "sparring"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, HOME / "Library" / "Caches" / "sparring"),
        ("darwin", {"SPARRING_CACHE": "/own"}, Path("/own")),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/sparring")),
        ("win32", {}, HOME / "AppData" / "Local" / "sparring"),
    ],
)
def test_the_cache_follows_the_platform(platform: str, env: dict[str, str], expected: Path) -> None:
    assert cache_root(env, platform) == expected


def test_own_data_come_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "own"))
    assert folders("mnist") == (tmp_path / "own" / "mnist", tmp_path / "cache" / "mnist")
    monkeypatch.delenv("SPARRING_DATA")
    assert folders("mnist") == (tmp_path / "cache" / "mnist",)


def test_a_relative_folder_is_reported_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARRING_DATA", "here")
    assert folders("mnist")[0] == tmp_path / "here" / "mnist"
