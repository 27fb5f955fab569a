"""Results on disk: exact, strict, checked on what was read back, never half written, never over others' files."""

from __future__ import annotations

import csv
import json
import os
import stat
import threading
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import sparring as sp
from sparring.errors import SparringError
from sparring.export import (
    Panel,
    check_writable,
    choose,
    eight_bit,
    open_folder,
    picture_grid,
    read_adversarials,
    sample_rows,
    save_result,
    verify_pngs,
    write_csv,
    write_pngs,
)
from sparring.export.panels import percent
from sparring.export.pngs import read_pngs
from sparring.storage import replacing, write_json

LEVELS = torch.arange(256, dtype=torch.uint8)


def result_for(
    x: Tensor, x_adv: Tensor, success: list[bool], norm: str = "Linf", eps: float | None = 0.3, **more: Any
) -> sp.Result:
    """A result as an attack would give it."""
    n, hit = len(x), torch.tensor(success, dtype=torch.bool)
    threat = sp.Threat(norm, eps, box=(0.0, 1.0))
    size = threat.norm.size(x_adv - x)
    values: dict[str, Any] = {
        "x_adv": x_adv,
        "success": hit,
        "distance": torch.where(hit, size, torch.inf),
        "margin": torch.where(hit, 1.0, -1.0),
        "clean_correct": torch.ones(n, dtype=torch.bool),
        "queries": torch.full((n,), 3),
        "gradients": torch.full((n,), 2),
        "first_hit": torch.where(hit, 3, -1),
        "threat": threat,
        "attack": "test",
        "seed": 0,
        "seconds": 0.5,
    }
    return sp.Result(**{**values, **more})


class Fragile(nn.Module):
    """Class 1 if any pixel is off the 8-bit grid or nearly white, else class 0."""

    def forward(self, x: Tensor) -> Tensor:
        steps = x.flatten(1) * 255
        off = (steps - steps.round()).abs().amax(1) - 0.1
        return torch.stack([torch.zeros(len(x)), torch.maximum(off, x.flatten(1).amax(1) - 0.95)], 1)


def fragile_case() -> tuple[Tensor, Tensor, Tensor]:
    """(x, x_adv, y): the first two are fooled by half a level, the third by a white pixel, the fourth not at all."""
    x = torch.full((4, 1, 3, 3), 0.2)  # 51 / 255
    x_adv = x.clone()
    x_adv[:2, :, 1, 1] += 0.4 / 255
    x_adv[2, :, 1, 1] = 1.0
    return x, x_adv, torch.zeros(4, dtype=torch.int64)


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


# --- PNGs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pngs_give_back_every_level_to_the_bit(tmp_path: Path, channels: int, mode: str) -> None:
    levels = torch.stack([LEVELS.roll(7 * c) for c in range(channels)]).reshape(1, channels, 16, 16)
    levels = torch.cat([levels, 255 - levels])
    (first, second) = write_pngs(levels.float() / 255, tmp_path, index=torch.tensor([12, 345678]))
    assert (first.name, second.name) == ("00012.png", "345678.png")
    with Image.open(first) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", mode, (16, 16))
    images, files = read_pngs(tmp_path)
    assert torch.equal(images, levels.float() / 255)
    assert [entry["index"] for entry in files] == [12, 345678]


@settings(max_examples=20, deadline=None)
@given(low=st.floats(-300, 200), width=st.floats(0.1, 500))
def test_pngs_know_their_box(tmp_path_factory: pytest.TempPathFactory, low: float, width: float) -> None:
    folder = tmp_path_factory.mktemp("box")
    x = (low + LEVELS.double() * (width / 255)).float().reshape(1, 1, 16, 16)
    write_pngs(x, folder, box=(low, low + width))
    assert torch.allclose(read_pngs(folder)[0], x, atol=1e-6 * (abs(low) + width))


def test_rounding_goes_inward_where_it_would_leave_the_ball() -> None:
    x, x_adv = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)  # 25.5 levels
    rounded = eight_bit(x_adv, x, sp.Threat("Linf", 0.1, box=(0.0, 1.0)))
    assert torch.allclose(rounded, torch.tensor(25 / 255))
    free = eight_bit(x_adv, x, sp.Threat("Linf", None, box=(0.0, 1.0)))
    assert torch.allclose(free, torch.tensor(26 / 255))


def test_verification_finds_what_rounding_undid(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    model, threat = sp.wrap(Fragile()), sp.Threat("Linf", 0.9)
    assert model(x_adv).argmax(1).tolist() == [1, 1, 1, 0]
    write_pngs(x_adv, tmp_path, facts=[{"label": int(label)} for label in y])
    check = verify_pngs(tmp_path, model, x=x, threat=threat, batch_size=3)
    assert check.success.tolist() == [False, False, True, False]
    assert check.prediction.tolist() == [0, 0, 1, 0]
    assert check.distance.tolist() == pytest.approx([0, 0, 0.8, 0], abs=1e-6)
    tight = verify_pngs(tmp_path, model, x=x, threat=sp.Threat("Linf", 0.5))
    assert tight.fooled.tolist() == [False, False, True, False]
    assert tight.inside.tolist() == [True, True, False, True]
    assert not tight.success.any()
    assert verify_pngs(tmp_path, model).success.tolist() == [False, False, True, False]


def test_verification_knows_targets(tmp_path: Path) -> None:
    _, x_adv, _ = fragile_case()
    facts = [{"label": 0, "target": target} for target in (1, 0, 1, 0)]
    write_pngs(x_adv, tmp_path, facts=facts)
    assert verify_pngs(tmp_path, sp.wrap(Fragile())).fooled.tolist() == [False, True, True, True]


@pytest.mark.parametrize("shape", [(2, 5), (2, 2, 4, 4), (2, 4, 4, 4), (1, 3, 0, 4)])
def test_what_is_no_picture_is_refused_as_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(SparringError, match="cannot be PNGs"):
        write_pngs(torch.zeros(shape), tmp_path)


def test_two_images_cannot_have_one_number(tmp_path: Path) -> None:
    with pytest.raises(SparringError, match="different numbers"):
        write_pngs(torch.zeros(2, 1, 4, 4), tmp_path, index=torch.tensor([3, 3]))


@pytest.mark.parametrize("name", ["../evil.png", "/etc/passwd", "00000.png/../../x", "0.png", 5, None])
def test_a_manifest_names_no_files_elsewhere(tmp_path: Path, name: Any) -> None:
    write_pngs(torch.zeros(1, 1, 4, 4), tmp_path, facts=[{"label": 0}])
    manifest = strict(tmp_path / "manifest.json")
    manifest["files"][0]["file"] = name
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SparringError, match="not a manifest") as caught:
        read_pngs(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"box": 1, "shape": 2, "files": 3}', "\x00"])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SparringError, match="not a manifest"):
        read_pngs(tmp_path)


def test_pictures_that_were_changed_since(tmp_path: Path) -> None:
    model = sp.wrap(Fragile())
    (path,) = write_pngs(torch.zeros(1, 1, 4, 4), tmp_path)
    with pytest.raises(SparringError, match="names no label"):
        verify_pngs(tmp_path, model)
    Image.new("L", (5, 4)).save(path)
    with pytest.raises(SparringError, match=r"00000.png has shape \(1, 4, 5\)"):
        verify_pngs(tmp_path, model)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(SparringError, match=r"00000.png"):
        verify_pngs(tmp_path, model)
    path.unlink()
    with pytest.raises(SparringError, match=r"00000.png"):
        verify_pngs(tmp_path, model)


# --- everything in one folder -------------------------------------------------------------------------------------


def test_save_result_counts_both_ways(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    result = result_for(x, x_adv, [True, True, True, False], eps=0.9)
    saved = save_result(result, x, y, tmp_path / "out", model=sp.wrap(Fragile()), about={"model": "fragile"})
    assert saved.recheck is not None
    assert (saved.recheck.of, saved.recheck.reported, saved.recheck.exact) == (4, 3, 3)
    assert (saved.recheck.png, saved.recheck.png_outside) == (1, 0)
    assert sorted(saved.files) == ["adversarials.safetensors", "grid.png", "png", "result.json", "samples.csv"]
    assert all((saved.folder / name).exists() for name in saved.files)
    content = strict(saved.folder / "result.json")
    assert content["recheck"] == {"of": 4, "reported": 3, "exact": 3, "png": 1, "png_outside": 0}
    assert content["model"] == "fragile"
    assert content["robust_accuracy"] == pytest.approx(0.25)
    assert content["samples"][3]["distance"] is None
    rows = read_csv(saved.folder / "samples.csv")
    assert [row["success"] for row in rows] == ["true", "true", "true", "false"]
    assert [row["png_success"] for row in rows] == ["false", "false", "true", "false"]
    assert [row["adversarial_class"] for row in rows] == ["1", "1", "1", "0"]
    assert [row["distance"] for row in rows][3] == "inf"
    assert float(rows[2]["distance"]) == float(result.distance[2])


def test_what_the_attack_claims_falsely_is_found(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    saved = save_result(result_for(x, x_adv, [True] * 4, eps=0.9), x, y, tmp_path, model=sp.wrap(Fragile()), pictures=0)
    assert saved.recheck is not None
    assert (saved.recheck.reported, saved.recheck.exact) == (4, 3)


def test_rounding_that_leaves_the_ball_is_told_apart(tmp_path: Path) -> None:
    x = torch.full((1, 1, 2, 2), 0.9)  # 229.5 levels: even the nearest is half a level away
    x_adv = x + 0.2 / 255
    model = sp.wrap(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    model.net[1].weight.data = torch.tensor([[0.0] * 4, [1.0] * 4])
    model.net[1].bias.data = torch.tensor([3.0, 0.0])
    result = result_for(x, x_adv, [True], eps=0.25 / 255)
    recheck = save_result(result, x, torch.tensor([0]), tmp_path, model=model, pictures=0).recheck
    assert recheck is not None
    assert (recheck.exact, recheck.png, recheck.png_outside) == (1, 0, 1)


def test_a_real_attack_with_target_and_index(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    x = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model = sp.wrap(net, classes=["ant", "bee", "cow"])
    y = model(x).argmax(1)
    goal = sp.Targeted((y + 1) % 3, y)
    result = sp.PGD(steps=5)(model, x, goal, sp.Threat("L2", 2.0))
    index = torch.tensor([3, 14, 15, 92, 65, 35])
    saved = save_result(result, x, goal, tmp_path, model=model, index=index, pictures=0)
    tensors, header = read_adversarials(tmp_path / "adversarials.safetensors")
    assert torch.equal(tensors["x_adv"], result.x_adv)
    assert torch.equal(tensors["x"], x)
    assert torch.equal(tensors["target"], (y + 1) % 3)
    assert torch.equal(tensors["index"], index)
    assert torch.equal(tensors["success"], result.success)
    assert header["threat"]["norm"] == "L2"
    assert header["attack"] == "pgd:steps=5"
    rows = read_csv(tmp_path / "samples.csv")
    assert [int(row["index"]) for row in rows] == index.tolist()
    assert {row["target_name"] for row in rows} <= {"ant", "bee", "cow"}
    assert sorted(path.name for path in (tmp_path / "png").glob("*.png")) == sorted(f"{i:05d}.png" for i in index)
    images, _ = read_pngs(tmp_path / "png")
    assert saved.recheck is not None
    assert saved.recheck.png == int((model(images).argmax(1) == (y + 1) % 3).sum())
    assert saved.recheck.exact == int(result.success.sum()) > 0


def test_vectors_have_no_pictures_but_all_else(tmp_path: Path) -> None:
    x = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    model = sp.wrap(nn.Linear(5, 2))
    y = model(x).argmax(1)
    result = sp.FGSM()(model, x, y, sp.Threat("Linf", 0.1))
    saved = save_result(result, x, y, tmp_path, model=model)
    assert sorted(saved.files) == ["adversarials.safetensors", "result.json", "samples.csv"]
    assert saved.recheck is not None
    assert saved.recheck.png is None
    assert "png_class" not in read_csv(tmp_path / "samples.csv")[0]


def test_without_a_model_nothing_is_claimed(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    saved = save_result(result_for(x, x_adv, [True] * 4, eps=0.9), x, y, tmp_path)
    assert saved.recheck is None
    assert strict(tmp_path / "result.json")["recheck"] is None
    assert (tmp_path / "grid.png").is_file()


def test_no_samples(tmp_path: Path) -> None:
    x, y = torch.zeros(0, 1, 4, 4), torch.zeros(0, dtype=torch.int64)
    saved = save_result(result_for(x, x, []), x, y, tmp_path, model=sp.wrap(Fragile()))
    assert saved.recheck is not None
    assert (saved.recheck.of, saved.recheck.png) == (0, 0)
    assert "grid.png" not in saved.files
    assert strict(tmp_path / "result.json")["clean_accuracy"] is None


def test_a_model_that_only_says_the_class(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    model = sp.wrap(lambda z: Fragile()(z).argmax(1), access="decision", num_classes=2)
    save_result(result_for(x, x_adv, [True, True, True, False], eps=0.9), x, y, tmp_path, model=model, pictures=0)
    rows = read_csv(tmp_path / "samples.csv")
    assert [row["adversarial_class"] for row in rows] == ["1", "1", "1", "0"]
    assert {row["adversarial_confidence"] for row in rows} == {""}


def test_results_of_other_images_are_refused(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    result = result_for(x, x_adv, [True] * 4)
    for images, labels in ((x[:2], y[:2]), (x, y[:3])):
        with pytest.raises(SparringError, match="the result is about"):
            save_result(result, images, labels, tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"rubbish" * 99])
def test_adversarials_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SparringError, match="not a file of adversarial examples"):
        read_adversarials(path)


# --- folders and files --------------------------------------------------------------------------------------------


def test_a_folder_of_others_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SparringError, match=r"did not write \(thesis.txt\).*--force") as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)
    open_folder(tmp_path, force=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
    assert open_folder(tmp_path / "new" / "deep").is_dir()
    (tmp_path / "empty").mkdir()
    assert open_folder(tmp_path / "empty").is_dir()


def test_a_rerun_replaces_what_we_wrote_and_nothing_else(tmp_path: Path) -> None:
    x, x_adv, y = fragile_case()
    model = sp.wrap(Fragile())
    save_result(result_for(x, x_adv, [True] * 4, eps=0.9), x, y, tmp_path, model=model, pictures=1)
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "png" / "mine.png").write_bytes(b"mine")
    save_result(result_for(x[:1], x_adv[:1], [True], eps=0.9), x[:1], y[:1], tmp_path, model=model, pictures=0)
    assert sorted(path.name for path in (tmp_path / "png").iterdir()) == ["00000.png", "manifest.json", "mine.png"]
    assert (tmp_path / "notes.md").read_text() == "mine"
    assert not (tmp_path / "grid.png").exists()
    assert strict(tmp_path / "result.json")["n"] == 1


def test_places_that_cannot_be_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SparringError, match="is a file; name a folder"):
        open_folder(tmp_path / "file")
    with pytest.raises(SparringError, match=r"cannot write .*file.below") as caught:
        open_folder(tmp_path / "file" / "below")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SparringError, match=r"cannot write .*Permission denied"):
        open_folder(tmp_path / "new")
    with pytest.raises(SparringError, match="no permission"):
        check_writable(tmp_path / "a.json")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_when_the_disk_refuses_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(SparringError, match=f"cannot write .*a.json: {error.strerror}"):
        write_json(path, {"new": 2})
    assert strict(path) == {"old": 1}
    assert [child.name for child in tmp_path.iterdir()] == ["a.json"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half(waiting: Path) -> None:
        waiting.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(path) as waiting:
        half(waiting)
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]


def test_links_are_followed_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_json(tmp_path / "link.json", [1])
    assert (tmp_path / "link.json").is_symlink()
    assert strict(tmp_path / "real.json") == [1]
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_json(pipe, [2])
    reader.join(5)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert json.loads(heard[0]) == [2]


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    for refuse in (check_writable, lambda path: write_json(path, {})):
        with pytest.raises(SparringError, match="is a folder"):
            refuse(tmp_path)
    check_writable(tmp_path / "new" / "a.json")
    assert (tmp_path / "new").is_dir()


# --- tables -------------------------------------------------------------------------------------------------------


def test_hostile_class_names_stay_in_their_cells(tmp_path: Path) -> None:
    names = ['a,"b"', "two\nlines\r\n", "=1+1", "\ud800half", "日本"]
    x = torch.zeros(5, 1, 2, 2)
    goal = sp.Untargeted(torch.arange(5))
    result = result_for(x, x, [False] * 5)
    write_csv(sample_rows(result, goal, classes=names), tmp_path / "a.csv")
    rows = read_csv(tmp_path / "a.csv")
    assert [row["label_name"] for row in rows] == ['a,"b"', "two\nlines\r\n", "=1+1", "?half", "日本"]
    write_json(tmp_path / "a.json", sample_rows(result, goal, classes=names))
    assert strict(tmp_path / "a.json")[4]["label_name"] == "日本"


def test_cells_of_a_csv(tmp_path: Path) -> None:
    rows = [{"a": True, "b": float("inf"), "c": float("nan"), "d": None, "e": 0.1, "f": 3}]
    write_csv(rows, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"a,b,c,d,e,f\r\ntrue,inf,,,0.1,3\r\n"
    write_csv([], tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_bytes().strip() == b""
    with pytest.raises(SparringError, match="same columns"):
        write_csv([{"a": 1}, {"b": 1}], tmp_path / "b.csv")


# --- the figure ---------------------------------------------------------------------------------------------------


def panel(shape: tuple[int, ...], text: str = "seven\n99.1 %") -> Panel:
    clean = torch.full(shape, 0.5)
    return Panel(clean, clean + 0.1, f"no. 1\ntrue: {text}", text, "L2 0.1", text, "fooled")


@pytest.mark.parametrize(
    ("shape", "count", "size"),
    [
        ((1, 28, 28), 1, (910, 470)),
        ((3, 32, 32), 5, (1790, 1090)),
        ((3, 4, 400), 2, (900, 460)),
        ((1, 400, 4), 1, (620, 470)),
    ],
)  # fmt: skip
def test_the_grid_has_a_sensible_size(
    tmp_path: Path, shape: tuple[int, ...], count: int, size: tuple[int, int]
) -> None:
    picture_grid([panel(shape)] * count, tmp_path / "grid.png", title="PGD")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == pytest.approx(size, rel=0.06)
        colors = picture.convert("RGB").getcolors(1 << 20)
    assert colors is not None
    assert len(colors) > 20  # pictures and text, not an empty page


def test_the_grid_touches_no_global_state(tmp_path: Path) -> None:
    from matplotlib._pylab_helpers import Gcf

    before, backend, figures = dict(mpl.rcParams), mpl.get_backend(), len(Gcf.figs)
    picture_grid([panel((1, 8, 8))], tmp_path / "grid.png", title="PGD")
    assert dict(mpl.rcParams) == before
    assert (mpl.get_backend(), len(Gcf.figs)) == (backend, figures)


@pytest.mark.parametrize("text", ["$\\alpha_{", "\x1b[31m\x00", "日本語クラス", "x" * 5000, "", "a\nb\nc", "%s {0} $$"])
def test_hostile_texts_are_drawn_as_they_are(tmp_path: Path, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture_grid([panel((1, 8, 8), text)], tmp_path / "grid.png", title=text)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width < 1200


@pytest.mark.parametrize(
    "panels", [[], [panel((1, 4, 4))] * 61, [panel((2, 4, 4))], [panel((1, 4, 4)), panel((1, 5, 4))]]
)
def test_what_is_no_figure(tmp_path: Path, panels: list[Panel]) -> None:
    with pytest.raises(SparringError, match="a figure"):
        picture_grid(panels, tmp_path / "grid.png", title="PGD")
    assert not list(tmp_path.iterdir())


def test_the_fooled_come_first() -> None:
    x = torch.zeros(5, 1, 2, 2)
    correct = torch.tensor([False, True, True, True, False])
    result = result_for(x, x, [True, False, True, True, False], clean_correct=correct)
    assert choose(result, 3) == [2, 3, 1]
    assert choose(result, 9) == [2, 3, 1, 0, 4]


def test_confidence_is_not_rounded_to_certainty() -> None:
    assert [percent(p) for p in (1.0, 0.99996, 0.9994, 0.5, 0.0)] == [
        "100.0 %",
        "> 99.9 %",
        "99.9 %",
        "50.0 %",
        "0.0 %",
    ]
