"""Pictures as people have them: folders by synset, words and number, tables, imagefolder, tar files."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import sparring as sp
from sparring.cli.loading import LoadOptions
from sparring.data import ImageData, load_data
from sparring.data.class_names import by_name, synset_numbers, synsets
from sparring.data.errors import DataError
from sparring.errors import InputError
from sparring.zoo.imagenet import imagenet_classes

CLASSES = {"n01440764": ("tench", 0), "n02110185": ("Siberian husky", 250), "n04254777": ("sock", 806)}
"three of ImageNet's classes: code, name, number"


def picture(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(path)
    return path


def shades(data: ImageData) -> dict[int, int]:
    """The label of each picture, by its shade of red."""
    x, y = data.tensors()
    return {round(float(one[0, 0, 0]) * 255): int(label) for one, label in zip(x, y, strict=True)}


def folders(root: Path, names: list[str]) -> Path:
    """A folder with a picture for each class: the k-th has the shade 10 k + 10."""
    for k, name in enumerate(names):
        picture(root / name / f"{k}.png", 10 * k + 10)
    return root


class Factory(nn.Module):
    """A net of so many classes that always says the first."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :1] * torch.nn.functional.one_hot(torch.tensor(0), self.classes)


def loaded(model: sp.Model, spec: str, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    """What `sparring audit --model ... --data spec` works on."""
    monkeypatch.setattr(LoadOptions, "load_model", lambda self: model)
    return LoadOptions(model="ours", data=spec).load()[1]


def wrapped(classes: int, *, named: bool = False) -> sp.Model:
    names = ("background", *imagenet_classes())[1001 - classes :] if named else None
    return sp.wrap(Factory(classes), num_classes=classes, classes=names, input_size=(3, 4, 4))


# --- three ways to call a folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [1000, 1001])
@pytest.mark.parametrize("named", [True, False])
def test_folders_named_by_synset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int, named: bool) -> None:
    folders(tmp_path, list(CLASSES))
    data = loaded(wrapped(classes, named=named), f"folder:{tmp_path}", monkeypatch)
    assert shades(data) == {10: classes - 1000, 20: 250 + classes - 1000, 30: 806 + classes - 1000}


@pytest.mark.parametrize("spelling", [str, str.upper, lambda name: name.replace(" ", "_")])
def test_folders_named_by_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: Any) -> None:
    folders(tmp_path, [spelling(name) for name, _ in CLASSES.values()])
    data = loaded(wrapped(1001, named=True), f"folder:{tmp_path}", monkeypatch)
    assert shades(data) == {10: 1, 20: 251, 30: 807}


@pytest.mark.parametrize("form", ["{}", "{:04d}"])
@pytest.mark.parametrize("named", [True, False])
def test_folders_named_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, named: bool) -> None:
    folders(tmp_path, [form.format(number) for _, number in CLASSES.values()])
    data = loaded(wrapped(1000, named=named), f"folder:{tmp_path}", monkeypatch)
    assert shades(data) == {10: 0, 20: 250, 30: 806}


@pytest.mark.parametrize(
    ("names", "model", "line"),
    [
        (["tench", "sokc"], wrapped(1000, named=True), "the model has none called 'sokc' (is it 'sock'?)"),
        (["apple pie", "my cat"], wrapped(1000, named=True), "the classes of the data are 2 (apple pie, my cat)"),
        (["tench", "crane"], sp.wrap(Factory(3), classes=["tench", "crane", "crane"]), "calls several classes 'crane'"),
        (
            ["tench", "sock"],
            wrapped(1000),
            "has 2 classes (sock, tench), Factory has 1000: say which of them these are",
        ),
        (["n01440764", "n99999999"], wrapped(1000, named=True), "those of the model 1000"),
    ],
)
def test_names_that_do_not_fit_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], model: sp.Model, line: str
) -> None:
    with pytest.raises(InputError) as error:
        loaded(model, f"folder:{folders(tmp_path, names)}", monkeypatch)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_beyond_the_classes_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = loaded(wrapped(1000), f"folder:{folders(tmp_path, ['1', '1000'])}", monkeypatch)
    with pytest.raises(InputError, match=r"go from 1 to 1000, but the model has 1000 classes \(0\.\.999\)"):
        sp.attack("fgsm")(wrapped(1000), *data.tensors(), ("Linf", 0.1))


def test_imagenets_codes_are_sorted_and_found() -> None:
    assert len(synsets()) == 1000
    assert list(synsets()) == sorted(synsets())
    for code, (name, number) in CLASSES.items():
        assert imagenet_classes()[number] == name
        assert synset_numbers([code], 1000) == [number]
    assert synset_numbers(["n01440764"], 10) is None


def test_classes_called_by_their_own_number_have_no_name() -> None:
    assert by_name(["0", "tench", "2"], ["background", "tench", "goldfish"]) is None
    assert by_name(["0", "1", "tench"], ["background", "tench", "goldfish"]) == [-1, -1, 1]


# --- tables ----------------------------------------------------------------------------------------------------------


def table(root: Path, text: str, name: str = "labels.csv") -> Path:
    for k in range(3):
        picture(root / f"{k}.png", 10 * k + 10)
    (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('file,index,label\n0.png,1,"tench, Tinca tinca"\n1.png,251,Siberian husky\n2.png,807,sock\n', "labels.csv"),
        ("file,index\n0.png,1\n1.png,251\n2.png,807\n", "labels.csv"),
        ("filename;label\n0.png;tench\n1.png;siberian_husky\n2.png;sock\n", "labels.csv"),
        ("path\ttarget\n0.png\t1\n1.png\t251\n2.png\t807\n", "labels.tsv"),
        ("0.png,1\n1.png,251\n2.png,807\n", "labels.csv"),
        ("0.png 1\n1.png 251\n2.png 807\n", "labels.txt"),
        ("image,label\n0.png,n01440764\n1.png,n02110185\n2.png,n04254777\n", "labels.csv"),
        (
            "\n".join(f'{{"file_name": "{k}.png", "label": {n}}}' for k, n in enumerate((1, 251, 807))),
            "l.jsonl",
        ),
        ("\ufefffile,label\n0.png,tench\n1.png,Siberian husky\n2.png,sock\n", "labels.csv"),
        ("file,index,label\n0.png,0,tench\n1.png,250,Siberian husky\n2.png,806,sock\n", "labels.csv"),  # no background
    ],
)
def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str) -> None:
    table(tmp_path, text, name)
    for spec in (f"folder:{tmp_path}?labels={name}", f"csv:{tmp_path / name}"):
        data = loaded(wrapped(1001, named=True), spec, monkeypatch)
        assert shades(data) == {10: 1, 20: 251, 30: 807}
        assert data.paths is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "names no pictures"),
        ("file,size\n0.png,3\n", "has the columns file, size; expected file and index or label"),
        ("file,index\n7.png,3\n", "names 7.png, but there is no file"),
        ("file,index\n0.png,-1\n", "says index='-1' for 0.png; expected a class number"),
        ("file,index\n0.png,3,4\n", "has 3 cells; expected 2"),
        ("file,index,label\n0.png,3,cat\n1.png,3,dog\n", "calls class 3 'cat' and 'dog'"),
        ("file,label\n0.png,\n", "has no label for 0.png"),
        ("file,index\n0.png,999999\n", "expected a class number"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, text: str, line: str) -> None:
    table(tmp_path, text)
    with pytest.raises(DataError) as error:
        load_data(f"folder:{tmp_path}?labels=labels.csv")
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_the_imagefolder_of_hugging_face(tmp_path: Path) -> None:
    table(tmp_path / "test", "file_name,label\n0.png,b\n1.png,a\n2.png,b\n", "metadata.csv")
    data = load_data(f"folder:{tmp_path}")
    assert shades(data) == {10: 1, 20: 0, 30: 1}
    assert data.classes == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("order.txt", "dog\nfox\ncat\n"),
        ("order.json", '["dog", "fox", "cat"]'),
        ("config.json", '{"model_type": "x", "id2label": {"0": "dog", "1": "fox", "2": "cat"}}'),
    ],
)
def test_the_order_of_a_model_that_has_no_names(tmp_path: Path, name: str, content: str) -> None:
    folders(tmp_path / "p", ["cat", "dog"])
    (tmp_path / name).write_text(content)
    data = load_data(f"folder:{tmp_path / 'p'}?order={tmp_path / name}")
    assert shades(data) == {10: 2, 20: 0}
    assert data.classes == ("dog", "fox", "cat")


@pytest.mark.parametrize(
    ("content", "line"),
    [("[1]", "no list of class names"), ("{", "is not JSON"), ('{"1": "a"}', "numbers its classes")],
)
def test_orders_that_do_not_fit(tmp_path: Path, content: str, line: str) -> None:
    folders(tmp_path / "p", ["cat", "dog"])
    (tmp_path / "o.json").write_text(content)
    with pytest.raises(DataError, match=line):
        load_data(f"folder:{tmp_path / 'p'}?order={tmp_path / 'o.json'}")


# --- tar files -----------------------------------------------------------------------------------------------------


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def png(shade: int, side: int = 4) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("ending", "labels"),
    [
        ("cls", [b"1", b"251"]),
        ("json", [json.dumps({"label": 1}).encode(), json.dumps({"label": 251}).encode()]),
        ("txt", [b"tench\n", b"Siberian husky"]),
    ],
)
def test_webdataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, labels: list[bytes]) -> None:
    for shard, label in enumerate(labels):
        tar(tmp_path / f"s-{shard}.tar", {f"a/{shard}.png": png(10 * shard + 10, 8), f"a/{shard}.{ending}": label})
    data = loaded(wrapped(1001, named=True), f"webdataset:{tmp_path / 's-*.tar'}", monkeypatch)
    assert shades(data) == {10: 1, 20: 251}
    assert data.shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"a.png": png(1)}, "holds no picture with a label"),
        ({"a.png": png(1), "b.png": png(2), "b.cls": b"1"}, "has no label beside it"),
        ({"a.png": png(1), "a.cls": b"100000000"}, "expected less than"),
        ({"a.png": png(1), "a.cls": b"1", "b.png": png(1), "b.cls": b"cat"}, "others have names"),
        ({"a.png": b"no picture", "a.cls": b"1"}, "cannot be read"),
    ],
)
def test_tar_files_that_do_not_fit(tmp_path: Path, members: dict[str, bytes], line: str) -> None:
    path = tar(tmp_path / "s.tar", members)
    with pytest.raises(DataError, match=line):
        load_data(f"webdataset:{path}").tensors()
    path.write_bytes(b"no tar" * 1000)
    with pytest.raises(DataError, match="cannot be read as a tar"):
        load_data(f"webdataset:{path}")
