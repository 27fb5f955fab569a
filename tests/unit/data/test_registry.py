"""Specs, options, near misses and the list of data sets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from unittest.mock import patch

import pytest

from sparring.cli.data import data as data_command
from sparring.data import DataError, ImageData, Source, list_data, load_data, register
from sparring.data.registry import parse_spec
from sparring.errors import InputError

NAMES = [
    "mnist5k",
    "mnist",
    "fashion_mnist",
    "cifar10",
    "folder:PATH",
    "npz:FILE",
    "csv:FILE",
    "webdataset:FILE.tar",
    "poisoned:DIR",
]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mnist5k", ("mnist5k", "", {})),
        ("npz:a/b.npz", ("npz", "a/b.npz", {})),
        ("folder:C:\\pictures?size=8", ("folder", "C:\\pictures", {"size": "8"})),
        ("folder:what?/x?gray=1&size=8", ("folder", "what?/x", {"gray": "1", "size": "8"})),
    ],
)
def test_specs_are_taken_apart(spec: str, expected: tuple[str, str, dict[str, str]]) -> None:
    assert parse_spec(spec) == expected


@pytest.mark.parametrize("spec", ["folder:x?size", "folder:x?=8", "folder:x?", "folder:x?size=8&size=9"])
def test_a_malformed_option_is_refused(spec: str) -> None:
    with pytest.raises(DataError, match=r"key=value|given twice"):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnits", r"unknown data 'mnits' \(did you mean mnist\?\); known: mnist5k, mnist, .*npz:"),
        ("imagenet", "unknown data 'imagenet'.*known: mnist5k"),
        ("", "unknown data ''"),
        ("mnist:x", "write it as mnist"),
        ("folder", "write it as folder:PATH"),
        ("npz:", "write it as npz:FILE"),
        ("some.npz", "write npz:some.npz"),
        ("mnist5k?size=28", "mnist5k takes no options; got size"),
        ("folder:x?width=8", "folder takes only size, resize, crop, gray, classes, labels, order; got width"),
    ],
)
def test_a_spec_that_cannot_be_read_gets_a_hint(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(spec)


def test_a_bare_folder_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"write folder:{tmp_path}"):
        load_data(str(tmp_path))


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(DataError, match="size given twice"):
        load_data("folder:x?size=8", size=8)
    with pytest.raises(DataError, match="takes no options; got gray"):
        load_data("mnist5k", gray=False)


def test_names_are_forgiving_splits_are_not() -> None:
    assert load_data("MNIST-5k", n=3).labels.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="mnist5k has no split 'valid'; it has train, test"):
        load_data("mnist5k", "valid")
    with pytest.raises(InputError, match="first 1001 of mnist5k"):
        load_data("mnist5k", n=1001)


def test_a_source_of_your_own_can_be_registered() -> None:
    digits = load_data("mnist5k", n=2)
    mine = Source("mine", lambda argument, split, options: digits, list_data)  # type: ignore[arg-type]
    with patch.dict("sparring.data.registry._SOURCES"):
        register(mine)
        assert isinstance(load_data("mine"), ImageData)
        with pytest.raises(InputError, match="two data sources are called 'mine'"):
            register(mine)


def test_the_list_says_where_and_whether(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    infos = {info.name: info for info in list_data()}
    assert list(infos) == NAMES
    assert infos["mnist5k"].offline == ("train", "test")
    assert Path(infos["mnist5k"].place).is_file()
    assert infos["mnist"].offline == ()
    assert infos["mnist"].place == str(tmp_path / "mnist")
    assert infos["mnist"].bytes == 9_912_422 + 28_881 + 1_648_877 + 4_542
    assert infos["cifar10"].shape == (3, 32, 32)


def test_the_command_prints_every_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "[bold]cache"))
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    data_command(json=False)
    out = capsys.readouterr().out
    assert all(out.count(name) >= 2 for name in NAMES)
    assert str(tmp_path / "[bold]cache" / "mnist") in out, "brackets in a path are not markup"
    assert "no, downloads" in out
    assert "folder:PATH?size=..." in out
    assert all(f"\n{name} " in out for name in ("size", "resize", "crop", "gray", "classes", "labels"))
    data_command(json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(
        json.dumps([dataclasses.asdict(info) for info in list_data()])
    )
