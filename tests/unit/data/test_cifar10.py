"""cifar10: the binary version, unpacked by known names only."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.data import DataError, cifar10, load_data
from sparring.data.download import Remote

BATCH = np.random.default_rng(0).integers(0, 256, (4, 3073), dtype=np.uint8)
BATCH[:, 0] = [3, 1, 4, 1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of four images a batch, so that the tests are quick."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(cifar10, "RECORDS", len(BATCH))
    (tmp_path / "own" / "cifar10").mkdir(parents=True)
    return tmp_path


def archive(path: Path, *extra: tarfile.TarInfo, leave_out: str = "", body: bytes = BATCH.tobytes()) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info in extra:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        for name in (*cifar10.BATCHES["train"], "test_batch.bin"):
            if name != leave_out:
                info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return path


def test_batches_are_read_in_order(home: Path) -> None:
    folder = home / "own" / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir()
    for i, name in enumerate(cifar10.BATCHES["train"]):
        batch = BATCH.copy()
        batch[:, 0] = i
        (folder / name).write_bytes(batch.tobytes())
    (folder / "test_batch.bin").write_bytes(BATCH.tobytes())
    test, train = load_data("cifar10"), load_data("CIFAR-10", "train")
    assert test.labels.tolist() == [3, 1, 4, 1]
    assert test.classes[3] == "cat"
    x = test.tensors()[0]
    assert torch.equal(x.mul(255).round().to(torch.uint8).flatten(1), torch.from_numpy(BATCH[:, 1:]))
    assert x.shape == (4, 3, 32, 32)
    assert train.labels.tolist() == [i for i in range(5) for _ in range(4)]
    assert cifar10.info().offline == ("train", "test")


def test_an_archive_of_your_own_is_unpacked_once_into_the_cache_and_kept(home: Path) -> None:
    path = archive(home / "own" / "cifar10" / "cifar-10-binary.tar.gz")
    assert cifar10.info().offline == ("train", "test")
    first = load_data("cifar10").fingerprint()
    assert path.exists()
    path.write_bytes(b"no longer needed")
    assert load_data("cifar10").fingerprint() == first
    assert len(list((home / "cache" / "cifar10").iterdir())) == 6


def test_no_path_in_the_archive_is_used(home: Path) -> None:
    escape, link = tarfile.TarInfo("../../escaped.bin"), tarfile.TarInfo("cifar-10-batches-bin/extra.bin")
    escape.size = 3
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive(home / "own" / "cifar10" / "cifar-10-binary.tar.gz", escape, link)
    assert len(load_data("cifar10")) == 4
    assert sorted(p.name for p in (home / "cache" / "cifar10").iterdir()) == sorted(
        [*cifar10.BATCHES["train"], "test_batch.bin"]
    )
    assert not list(home.rglob("escaped.bin"))


def test_a_link_in_place_of_a_batch_is_refused(home: Path) -> None:
    link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(home / "own" / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as tar:
        link.size = BATCH.size  # a size that passes, on a link that has no body
        tar.addfile(link)
    with pytest.raises(DataError, match=r"test_batch\.bin is not a file of"):
        load_data("cifar10")


def test_damaged_archives_and_batches_are_named(home: Path) -> None:
    path = home / "own" / "cifar10" / "cifar-10-binary.tar.gz"
    archive(path, leave_out="test_batch.bin")
    with pytest.raises(DataError, match=r"lacks cifar-10-batches-bin/test_batch\.bin"):
        load_data("cifar10")
    body = archive(path).read_bytes()
    path.write_bytes(body[: len(body) // 2])
    with pytest.raises(DataError, match="cannot be unpacked"):
        load_data("cifar10")
    archive(path, body=BATCH.tobytes()[:-1])
    with pytest.raises(DataError, match="is not a file of 12292 bytes"):
        load_data("cifar10")
    own = home / "own" / "cifar10" / "test_batch.bin"
    own.write_bytes(BATCH.tobytes()[:-1])
    with pytest.raises(DataError, match="has 12291 bytes; expected 12292"):
        load_data("cifar10")
    own.write_bytes(b"\x0a" + BATCH.tobytes()[1:])
    with pytest.raises(DataError, match="holds label 10; expected 0 to 9"):
        load_data("cifar10")


def test_a_download_is_unpacked_and_thrown_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(split: str) -> Path:
        (home / "cache" / "cifar10").mkdir(parents=True)
        return archive(home / "cache" / "cifar10" / "cifar-10-binary.tar.gz")

    monkeypatch.setattr(cifar10, "fetch", fetch)
    assert len(load_data("cifar10", "train")) == 20
    assert not (home / "cache" / "cifar10" / "cifar-10-binary.tar.gz").exists()


def test_offline_the_error_says_where_to_put_what(home: Path) -> None:
    remote = Remote("cifar-10-binary.tar.gz", 1, hashlib.sha256(b"").hexdigest())
    with pytest.raises(DataError, match="mnist5k, which needs no network") as caught:
        cifar10.fetch("test", ["http://127.0.0.1:9"], remote, pause=0)
    assert str(home / "own" / "cifar10" / "cifar-10-binary.tar.gz") in str(caught.value)
