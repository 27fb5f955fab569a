"""folder: classes, splits, order, every kind of picture, and files that mean harm."""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import DataError, load_data
from sparring.data.pictures import Recipe, formats, read_picture, suffixes

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PLAIN = Recipe()


def put(path: Path, size: tuple[int, int] = (4, 4), value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 0)).save(path)
    return path


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_that_claims(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def test_sub_folders_are_classes_and_are_dealt_in_turn(tmp_path: Path) -> None:
    for name in ("dog/1.png", "dog/deep/0.png", "cat/b.png", "cat/a.bmp", "cat/c.PNG", "Ant/z.png"):
        put(tmp_path / name)
    for junk in ("cat/.hidden.png", ".git/x.png", "cat/.thumbs/t.png"):
        put(tmp_path / junk)
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "README.md").write_text("nor this")
    data = load_data(f"folder:{tmp_path}")
    assert data.classes == ("Ant", "cat", "dog")
    assert data.split == "all"
    assert data.paths is not None
    assert [path.relative_to(tmp_path).as_posix() for path in data.paths] == [
        "Ant/z.png",
        "cat/a.bmp",
        "dog/1.png",
        "cat/b.png",
        "dog/deep/0.png",
        "cat/c.PNG",
    ]
    assert data.labels.tolist() == [0, 1, 2, 1, 2, 1]
    assert data.first(3).tensors()[0].shape == (3, 3, 4, 4)
    assert data.first(2).paths == data.paths[:2]


def test_pictures_are_decoded_when_asked_for_and_not_before(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", value=51)
    (tmp_path / "a" / "2.png").write_bytes(b"rubbish")
    data = load_data(f"folder:{tmp_path}")
    assert data[0][0][0].eq(0.2).all()
    with pytest.raises(DataError, match=r"picture .*2\.png cannot be read") as caught:
        list(data.loader(2))
    assert "\n" not in str(caught.value)


def test_splits_pick_their_folder_and_share_class_ids(tmp_path: Path) -> None:
    put(tmp_path / "train" / "a" / "1.png")
    put(tmp_path / "train" / "b" / "1.png")
    put(tmp_path / "val" / "b" / "2.png")
    train, test = load_data(f"folder:{tmp_path}", "train"), load_data(f"folder:{tmp_path}", "test")
    assert (train.split, len(train), test.split, len(test)) == ("train", 2, "val", 1)
    assert train.classes == test.classes == ("a", "b")
    assert test.labels.tolist() == [1], "b is class 1, although the split has no a"
    put(tmp_path / "test" / "a" / "3.png")
    assert load_data(f"folder:{tmp_path}", "test").split == "test"
    assert load_data(f"folder:{tmp_path}", "val").split == "val"


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    put(tmp_path / "train" / "a" / "1.png")
    with pytest.raises(DataError, match="has train, but nothing for split 'test'"):
        load_data(f"folder:{tmp_path}")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    put(tmp_path / "train" / "1.png")
    assert load_data(f"folder:{tmp_path}").classes == ("train",)
    put(tmp_path / "plane" / "1.png")
    assert load_data(f"folder:{tmp_path}").classes == ("plane", "train")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no sub-folders; expected one for each class"),
        (["1.png"], "has no sub-folders"),
        (["a/notes.txt"], "no pictures in the 1 class folders"),
    ],
)
def test_a_folder_without_pictures_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    with pytest.raises(DataError, match=message):
        load_data(f"folder:{tmp_path}")
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load_data(f"folder:{tmp_path / 'nowhere'}")


def test_an_unreadable_folder_is_an_error_not_an_empty_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a" / "1.png")
    put(tmp_path / "b" / "1.png")
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match="b cannot be read: Permission denied"):
        load_data(f"folder:{tmp_path}")


def test_different_sizes_need_a_size(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", (8, 4))
    put(tmp_path / "a" / "2.png", (5, 9))
    data = load_data(f"folder:{tmp_path}")
    with pytest.raises(DataError, match=r"1\.png has 8 x 4 pixels, .*2\.png has 5 x 9 .*\?size=224"):
        next(iter(data.loader(2)))
    assert load_data(f"folder:{tmp_path}?size=3").tensors()[0].shape == (2, 3, 3, 3)
    assert load_data(f"folder:{tmp_path}", size=3, gray=True).shape == (1, 3, 3)


def test_size_resize_and_crop(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    picture = np.zeros((10, 30), dtype=np.uint8)
    picture[:, 10:20] = 255  # the central square is white
    Image.fromarray(picture).save(path)
    assert read_picture(path, Recipe(size=10)).eq(255).all()
    assert read_picture(path, Recipe(size=5, crop=False)).shape == (3, 5, 15)
    inner = read_picture(path, Recipe(size=20, resize=40))
    assert inner.shape == (3, 20, 20)
    assert inner.eq(255).all()
    tall = np.rot90(picture).copy()
    Image.fromarray(tall).save(path)
    assert read_picture(path, Recipe(size=10)).eq(255).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=0", "size=0, resize=None; expected 1 <= size"),
        ("size=8&resize=4", "size=8, resize=4; expected 1 <= size <= resize"),
        ("resize=8", "resize= needs size="),
        ("size=4&resize=8&crop=0", "resize= only makes sense with a crop"),
        ("size=big", "size=big; expected a whole number of pixels"),
        ("size=-1", "expected a whole number"),
        ("size=²", "expected a whole number"),
        ("gray=maybe", "gray=maybe; expected 1 or 0"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(f"folder:{tmp_path}?{options}")


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "ppm", "tga", "jp2", "gif", "jpg"])
def test_formats(tmp_path: Path, ending: str) -> None:
    if f".{ending}" not in suffixes():
        pytest.skip(f"this pillow does not decode .{ending}")
    path = tmp_path / f"x.{ending}"
    flat = np.broadcast_to(np.array([40, 80, 120], dtype=np.uint8), (16, 24, 3)).copy()
    Image.fromarray(flat).save(path)
    read = read_picture(path, PLAIN)
    assert read.dtype == torch.uint8
    assert (read.permute(1, 2, 0).int() - torch.from_numpy(flat).int()).abs().max() <= 8


def test_rgb_and_grey_values_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(RGB).save(path)
    assert np.array_equal(read_picture(path, PLAIN).permute(1, 2, 0).numpy(), RGB)
    grey = read_picture(path, Recipe(gray=True))
    assert grey.shape == (1, 6, 8)
    assert np.array_equal(grey[0].numpy(), np.asarray(Image.fromarray(RGB).convert("L")))


def test_other_modes_become_rgb(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for mode in ("1", "L", "P"):
        picture = Image.fromarray(RGB).convert(mode)
        picture.save(path)
        assert np.array_equal(read_picture(path, PLAIN).permute(1, 2, 0).numpy(), np.asarray(picture.convert("RGB")))
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "x.tiff")
    assert read_picture(tmp_path / "x.tiff", PLAIN).eq(255).all()


@pytest.mark.parametrize("name", ["x.png", "x.tiff", "x.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    read = read_picture(tmp_path / name, Recipe(gray=True))
    assert read.flatten().tolist() == [0, 1, 128, 255]
    assert read_picture(tmp_path / name, PLAIN).shape == (3, 1, 4)


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tiff"
    Image.fromarray(np.array([[0.0, 3.5]], dtype=np.float32)).save(path)
    with pytest.raises(DataError, match="floating-point pixels have no fixed range"):
        read_picture(path, PLAIN)
    Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)).save(path)
    with pytest.raises(DataError, match=r"span \[-1, 70000\]; expected 16 bits"):
        read_picture(path, PLAIN)


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.array([[[9, 9, 9, 0], [0, 0, 0, 255], [0, 0, 0, 51]]], dtype=np.uint8)).save(path)
    assert read_picture(path, PLAIN)[0, 0].tolist() == [255, 0, 204]
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putdata([0, 1])
    palette.save(path, transparency=0)
    assert read_picture(path, PLAIN)[:, 0].T.tolist() == [[255, 255, 255], [0, 0, 200]]
    Image.new("LA", (1, 1), (7, 0)).save(path)
    assert read_picture(path, Recipe(gray=True)).item() == 255


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise for display
    Image.fromarray(RGB).save(path, exif=exif)
    assert np.array_equal(read_picture(path, PLAIN).permute(1, 2, 0).numpy(), np.rot90(RGB, -1))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # up to twice the limit
def test_a_decompression_bomb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(60_000, 60_000))
    with pytest.raises(DataError, match=r"bomb\.png"):
        read_picture(path, PLAIN)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path.write_bytes(png_that_claims(30, 40))
    with pytest.raises(DataError, match=r"30 x 40 pixels; at most 1000"):
        read_picture(path, PLAIN)
    put(tmp_path / "thin.png", (1, 900))
    with pytest.raises(DataError, match=r"100 x 90000 pixels; at most 1000"):
        read_picture(tmp_path / "thin.png", Recipe(size=100))


@pytest.mark.filterwarnings("ignore::UserWarning")  # pillow on the way to its error
@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tiff", "webp", "bmp"])
def test_truncated_and_mangled_pictures_are_named(tmp_path: Path, ending: str) -> None:
    if f".{ending}" not in suffixes():
        pytest.skip(f"this pillow does not decode .{ending}")
    path = tmp_path / f"x.{ending}"
    noise = np.random.default_rng(1)
    Image.fromarray(noise.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    with pytest.raises(DataError, match=f"picture {path}") as caught:
        read_picture(path, PLAIN)
    assert "\n" not in str(caught.value)
    for _ in range(60):
        mangled = np.frombuffer(body, dtype=np.uint8).copy()
        mangled[noise.integers(0, min(200, len(body)), 3)] = noise.integers(0, 256, 3)
        path.write_bytes(mangled.tobytes())
        with suppress(DataError):  # any other kind of error fails the test
            assert read_picture(path, Recipe(size=4)).shape == (3, 4, 4)


def test_formats_that_run_programs_are_refused(tmp_path: Path) -> None:
    assert {"EPS", "WMF"}.isdisjoint(formats())
    assert {"PNG", "JPEG", "GIF", "BMP", "TIFF"} <= set(formats())
    assert ".eps" not in suffixes()
    path = tmp_path / "x.png"
    Image.new("RGB", (4, 4)).save(path, format="EPS")
    with pytest.raises(DataError, match="cannot identify image file"):
        read_picture(path, PLAIN)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_a_pipe_that_poses_as_a_picture_is_ignored(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    assert len(load_data(f"folder:{tmp_path}")) == 1


def test_an_empty_subset_still_has_a_shape(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", (7, 5))
    data = load_data(f"folder:{tmp_path}")
    assert data.shape == (3, 5, 7)
    assert data.subset([]).tensors()[0].shape == (0, 3, 5, 7)


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("Train", "Test"), ("TRAIN", "TEST"), ("train", "dev"), ("training", "Validation")],
)
def test_splits_have_many_names(tmp_path: Path, train: str, test: str) -> None:
    for part, extra in ((train, "1.png"), (train, "2.png"), (test, "3.png")):
        for name in ("cat", "dog"):
            put(tmp_path / part / name / extra)
    assert len(load_data(f"folder:{tmp_path}", "train")) == 4
    data = load_data(f"folder:{tmp_path}")
    assert (data.classes, sorted(data.labels.tolist())) == (("cat", "dog"), [0, 1])


@pytest.mark.parametrize("extra", ["labels", "__MACOSX", "docs", ".git", "@eaDir"])
def test_a_folder_beside_the_splits_is_no_class(tmp_path: Path, extra: str) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            put(tmp_path / part / name / "1.png")
    (tmp_path / extra).mkdir()
    (tmp_path / extra / "readme.txt").write_text("no picture")
    assert load_data(f"folder:{tmp_path}").classes == ("cat", "dog")


def test_a_nested_copy_beside_the_splits_is_named(tmp_path: Path) -> None:
    for part in ("train", "test", "chest_xray/train", "chest_xray/test"):
        for name in ("cat", "dog"):
            put(tmp_path / part / name / "1.png")
    with pytest.raises(DataError, match="chest_xray with pictures"):
        load_data(f"folder:{tmp_path}")


def test_folders_that_are_no_classes_are_named(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        put(tmp_path / name / "1.png")
    put(tmp_path / "__MACOSX" / "._1.png")
    assert load_data(f"folder:{tmp_path}").classes == ("cat", "dog")
    (tmp_path / "annotations").mkdir()
    with pytest.raises(DataError, match="no pictures in annotations"):
        load_data(f"folder:{tmp_path}")


def test_folders_one_level_too_high_are_named(tmp_path: Path) -> None:
    for part in ("fold1", "fold2"):
        for name in ("cat", "dog"):
            put(tmp_path / part / name / "1.png")
    with pytest.raises(DataError, match="these look like the classes"):
        load_data(f"folder:{tmp_path}")


def test_some_classes_keep_their_numbers(tmp_path: Path) -> None:
    for name in ("ant", "cat", "dog"):
        put(tmp_path / name / "1.png")
    data = load_data(f"folder:{tmp_path}?classes=cat,dog")
    assert (data.classes, data.labels.tolist()) == (("ant", "cat", "dog"), [1, 2])
    with pytest.raises(DataError, match="has no cow; it has ant, cat, dog"):
        load_data(f"folder:{tmp_path}?classes=cow")
