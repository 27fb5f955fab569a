"""mnist and fashion_mnist: the IDX parser against hostile files, then folder, cache, mirror."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import struct
import threading
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparring.data import DataError, load_data
from sparring.data.download import Remote
from sparring.data.idx import MAX_BYTES, read_idx
from sparring.data.mnist import FASHION_MNIST, MNIST, IdxSet

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], dtype=np.uint8)


def idx(array: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    shape = array.shape if shape is None else shape
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + array.tobytes()


def toy(name: str = "mnist", mirrors: tuple[str, ...] = ()) -> tuple[IdxSet, dict[str, bytes]]:
    """A five-image data set, and the files that its mirrors hold."""
    bodies = {
        "t10k-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES)),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS)),
    }
    images, labels = (Remote(n, len(b), hashlib.sha256(b).hexdigest()) for n, b in bodies.items())
    return IdxSet(name, "toy", tuple("0123456789"), mirrors, {"test": (images, labels)}, pause=0), bodies


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "own" / "mnist").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_round_trip_told_by_content_not_by_name(tmp_path: Path, zipped: bool) -> None:
    body = idx(IMAGES)
    for name in ("plain", "named.gz"):
        (tmp_path / name).write_bytes(gzip.compress(body) if zipped else body)
        read = read_idx(tmp_path / name, 3)
        assert np.array_equal(read, IMAGES)
        assert read.flags.writeable


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "starts with nothing; expected IDX magic 00000803"),
        (b"<html>not found</html>", "starts with 3c68746d; expected IDX magic"),
        (idx(LABELS), "starts with 00000801"),
        (b"\0\0\x0d\3" + idx(IMAGES)[4:], "starts with 00000d03"),
        (idx(IMAGES)[:10], "ends inside its IDX header"),
        (idx(IMAGES)[:-1], "promises 3920 bytes, it holds only 3919"),
        (idx(IMAGES) + b"\0", "promises 3920 bytes, it holds more"),
        (idx(IMAGES, (0, 28, 28)), r"declares \[0, 28, 28\] = 0 bytes"),
        (idx(IMAGES, (2**32 - 1,) * 3), f"expected 1 to {MAX_BYTES}"),
        (idx(IMAGES, (MAX_BYTES // 784, 28, 28)), "it holds only 3920"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_lying_or_damaged_idx_file_is_named(tmp_path: Path, body: bytes, message: str, zipped: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(body) if zipped else body)
    with pytest.raises(DataError, match=f"{re.escape(str(path))} .*{message}"):
        read_idx(path, 3)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    body = gzip.compress(idx(IMAGES))
    path = tmp_path / "file.gz"
    for damaged in (
        body[:-9],
        body[: len(body) // 2],
        body[:200] + b"\xff" * 40 + body[240:],
        body[:-1] + b"!",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"file\.gz .*(truncated|corrupt)"):
            read_idx(path, 3)


@given(st.binary(max_size=64), st.booleans(), st.sampled_from([1, 3]))
def test_no_bytes_whatsoever_break_the_parser(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, magic: bool, dimensions: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(bytes((0, 0, 8, dimensions)) + body if magic else body)
    with suppress(DataError):  # any other kind of error fails the test
        assert read_idx(path, dimensions).size > 0


def test_files_of_your_own_come_first_packed_or_not(home: Path) -> None:
    data, _ = toy()
    own = home / "own" / "mnist"
    (own / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (own / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS), compresslevel=1))
    loaded = data.load("", "test", {})
    assert torch.equal(loaded.tensors()[0], torch.from_numpy(IMAGES).unsqueeze(1) / 255)
    assert loaded.labels.tolist() == LABELS.tolist()
    assert not (home / "cache").exists()
    assert data.info().offline == ("test",)
    assert data.info().place == str(own)


def test_the_cache_comes_second(home: Path) -> None:
    data, bodies = toy()
    (home / "cache" / "mnist").mkdir(parents=True)
    for name, body in bodies.items():
        (home / "cache" / "mnist" / name).write_bytes(body)
    assert data.load("", "test", {}).labels.tolist() == LABELS.tolist()
    assert data.info().place == str(home / "cache" / "mnist")


def test_a_mirror_comes_last_and_fills_the_cache(home: Path) -> None:
    (home / "www").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(home / "www"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    data, bodies = toy(mirrors=("http://127.0.0.1:9/dead", f"http://127.0.0.1:{httpd.server_port}"))
    for name, body in bodies.items():
        (home / "www" / name).write_bytes(body)
    before = data.info()
    assert before.offline == ()
    assert before.bytes == sum(map(len, bodies.values()))
    first = data.load("", "test", {})
    httpd.shutdown()
    httpd.server_close()
    assert sorted(p.name for p in (home / "cache" / "mnist").iterdir()) == sorted(bodies)
    assert data.load("", "test", {}).fingerprint() == first.fingerprint()
    assert data.info().offline == ("test",)


def test_offline_the_error_says_where_to_put_what(home: Path) -> None:
    data, _ = toy(mirrors=("http://127.0.0.1:9",))
    with pytest.raises(DataError) as caught:
        data.load("", "test", {})
    for part in (
        str(home / "own" / "mnist" / "t10k-images-idx3-ubyte.gz"),
        str(home / "own" / "mnist" / "t10k-labels-idx1-ubyte.gz"),
        "mnist5k, which needs no network",
        "refused",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :27], LABELS, r"images of \(27, 28\) pixels; expected \(28, 28\)"),
        (IMAGES, LABELS[:4], "holds 5 images, .* 4 labels"),
        (IMAGES, LABELS + 5, "holds label 10; expected 0 to 9"),
    ],
)
def test_files_that_do_not_fit_are_named(home: Path, images: np.ndarray, labels: np.ndarray, message: str) -> None:
    (home / "own" / "mnist" / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (home / "own" / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(DataError, match=message):
        toy()[0].load("", "test", {})


@pytest.mark.parametrize("data", [MNIST, FASHION_MNIST])
def test_the_table_of_downloads_is_complete(data: IdxSet) -> None:
    remotes = [remote for split in ("train", "test") for remote in data.files[split]]
    assert [remote.name.split("-")[:2] for remote in remotes] == [
        ["train", "images"],
        ["train", "labels"],
        ["t10k", "images"],
        ["t10k", "labels"],
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", remote.sha256) for remote in remotes)
    assert len({remote.sha256 for remote in remotes}) == 4
    assert len(data.classes) == 10
    assert len(data.mirrors) >= 2


real = pytest.mark.skipif(
    not (Path(os.environ.get("SPARRING_DATA", "")) / "mnist" / "t10k-images-idx3-ubyte.gz").is_file(),
    reason="SPARRING_DATA does not name a folder with mnist/",
)


@real
def test_the_real_test_set() -> None:
    data = load_data("mnist")
    x, y = data.tensors()
    assert x.shape == (10_000, 1, 28, 28)
    assert y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = x.mul(255).round().to(torch.uint8).numpy().tobytes()
    # The MD5 of the public, unpacked t10k-images-idx3-ubyte.
    header = struct.pack(">4I", 0x803, 10_000, 28, 28)
    assert hashlib.md5(header + pixels).hexdigest() == "2646ac647ad5339dbf082846283269ea"


@real
def test_mnist5k_comes_from_the_real_training_set_alone() -> None:
    digits = load_data("mnist5k", "test")
    assert len(load_data("mnist", "test").without(digits)) == 10_000
    assert len(load_data("mnist", "train").without(digits)) == 59_000
