"""npz: keys, layouts, ranges, and archives that lie."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.data import DataError, load_data
from sparring.errors import SparringError

X = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
X[0, 0, :2] = 0, 255
Y = np.array([0, 2, 1, 2])


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


@pytest.mark.parametrize("dtype", ["u1", "i8", ">i4", "f2", "f4", ">f4", "f8"])
def test_every_number_type_gives_the_same_images(tmp_path: Path, dtype: str) -> None:
    x = (X / 255 if "f" in dtype else X).astype(dtype)
    data = load_data(save(tmp_path / "a.npz", x=x, y=Y.astype(">i2")))
    tolerance = 3e-4 if dtype == "f2" else 1e-7
    assert torch.allclose(data.tensors()[0], torch.from_numpy(X / 255).float()[:, None], atol=tolerance)
    assert data.labels.tolist() == Y.tolist()
    assert data.classes == ("0", "1", "2")
    assert data.split == "all"


@pytest.mark.parametrize("order", ["C", "F"])
def test_every_layout_gives_channels_first(tmp_path: Path, order: str) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    first = rgb.transpose(0, 3, 1, 2)
    a, b = (load_data(save(tmp_path / "a.npz", x=np.array(x, order=order), y=Y)) for x in (rgb, first))
    assert a.shape == (3, 5, 6)
    assert np.array_equal(a.tensors()[0].mul(255).round().numpy(), first)
    assert a.fingerprint() == b.fingerprint()
    assert load_data(save(tmp_path / "a.npz", x=X[..., None], y=Y[:, None])).shape == (1, 5, 6)


def test_the_keys_of_a_split_win(tmp_path: Path) -> None:
    spec = save(tmp_path / "a.npz", x_train=X[:1], y_train=Y[:1], x_test=X[1:], y_test=Y[1:], x=X, y=Y)
    assert [(len(load_data(spec, split)), load_data(spec, split).split) for split in ("train", "test")] == [
        (1, "train"),
        (3, "test"),
    ]
    assert len(load_data(save(tmp_path / "b.npz", train_images=X[:2], train_labels=Y[:2]), "train")) == 2
    assert len(load_data(save(tmp_path / "c.npz", images=X, labels=Y))) == 4


def test_class_names_are_read(tmp_path: Path) -> None:
    spec = save(tmp_path / "a.npz", x=X, y=Y, classes=np.array(["cat", "dog", "fox", "owl"]))
    assert load_data(spec).classes == ("cat", "dog", "fox", "owl")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "holds x; expected x and y, or x_test and y_test"),
        ({"x_train": X, "y_train": Y}, "holds x_train, y_train; expected"),
        ({"x": X.reshape(4, 30), "y": Y}, r"x has shape \[4, 30\]; expected \[N,H,W\]"),
        ({"x": X[:, :, :, None].repeat(4, 3), "y": Y}, r"x has shape \[4, 5, 6, 4\]"),
        ({"x": X[:0], "y": Y[:0]}, "there is nothing in it"),
        ({"x": X.astype(int) + 1, "y": Y}, r"expected integers from 0 to 255"),
        ({"x": X.astype(int) - 1, "y": Y}, r"expected integers from 0 to 255"),
        ({"x": X.astype(float), "y": Y}, r"span \[0, 255\]; expected \[0, 1\] \(divide by 255"),
        ({"x": X * np.nan, "y": Y}, r"expected \[0, 1\]"),
        ({"x": X * 1e300, "y": Y}, r"expected \[0, 1\]"),
        ({"x": X > 9, "y": Y}, "x is bool; expected uint8"),
        ({"x": X.astype("U3"), "y": Y}, "x is <U3; expected uint8"),
        ({"x": X.astype(object), "y": Y}, "x holds Python objects"),
        ({"x": X, "y": Y.astype(object)}, "y holds Python objects"),
        ({"x": X, "y": Y[:3]}, r"labels have shape \[3\]; expected \[4\]"),
        ({"x": X, "y": np.eye(3)[Y]}, r"y has shape \[4, 3\].*one-hot, take argmax"),
        ({"x": X, "y": Y.astype(float)}, "y is float64; expected integer"),
        ({"x": X, "y": Y - 1}, "label -1"),
        ({"x": X, "y": Y + 10**9}, "holds label 1000000002; expected 0 to 99999"),
        ({"x": X, "y": Y.astype("u8") + np.uint64(2**63)}, "holds label"),
        ({"x": X, "y": Y, "classes": np.array(["a", "b"])}, "label 2, but only 2 classes"),
        ({"x": X, "y": Y, "classes": np.arange(3)}, "classes is int64"),
    ],
)
def test_each_misfit_gets_one_line_that_names_the_file(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    spec = save(tmp_path / "bad.npz", **arrays)
    with pytest.raises(SparringError, match=message) as caught:
        load_data(spec)
    assert "\n" not in str(caught.value)
    assert "bad.npz" in str(caught.value)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    with zipfile.ZipFile(tmp_path / "trap.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Trap()))
        archive.writestr("y.npy", pickle.dumps(Trap()))
    with pytest.raises(DataError, match="x is damaged"):
        load_data(f"npz:{tmp_path / 'trap.npz'}")
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_promises_too_much_is_not_believed(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 1000, 1000)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", member.getvalue() + b"abc")
        archive.writestr("y.npy", member.getvalue())
    with pytest.raises(DataError, match="header does not fit"):
        load_data(f"npz:{tmp_path / 'a.npz'}")


def test_what_is_not_an_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz does not exist"):
        load_data(f"npz:{tmp_path / 'none.npz'}")
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(DataError, match=r"a\.npy is not an \.npz file"):
        load_data(f"npz:{tmp_path / 'a.npy'}")
    with pytest.raises(DataError, match="cannot be read"):
        load_data(f"npz:{tmp_path}")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_anywhere_gives_a_clear_error_or_images(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    np.savez_compressed(path, x=X, y=Y)
    body = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body)
    # Any other kind of error fails the test.
    with suppress(SparringError):
        assert load_data(f"npz:{path}").tensors()[0].max() <= 1
