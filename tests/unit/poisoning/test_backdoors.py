"""Triggers pixel by pixel, which samples get them, manifests, files, and making a set again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sparring.data import DataError, load_data
from sparring.data.images import ImageData
from sparring.data.poisoned import write_poisoned
from sparring.errors import InputError
from sparring.poisoning import poison, poisons
from sparring.poisoning.repeat import repeat
from sparring.poisoning.triggers import Blend, Patch, Warp, eight_bits, trigger_from


def greys(n: int = 60, classes: int = 3, channels: int = 1, side: int = 12) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n, channels, side, side), generator=generator, dtype=torch.uint8)
    return ImageData(x, torch.arange(n) % classes)


def test_the_patch_is_a_chessboard_one_pixel_from_the_edges_and_nothing_else_changes() -> None:
    x = torch.full((2, 3, 8, 8), 0.2)
    stamped = Patch(size=3)(x)
    board = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    assert torch.equal(stamped[..., 4:7, 4:7], board.expand(2, 3, 3, 3))
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[4:7, 4:7] = False
    assert torch.equal(stamped[..., outside], eight_bits(x)[..., outside])


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [("top-left", (1, 3), (1, 3)), ("top-right", (1, 3), (5, 7)), ("bottom-left", (5, 7), (1, 3))],
)
def test_the_patch_stands_in_its_corner(corner: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    stamped = Patch(2, corner)(torch.full((1, 1, 8, 8), 0.5))
    inside = (stamped - eight_bits(torch.tensor(0.5))).abs() > 1e-6
    where = inside[0, 0].nonzero()
    assert where.min(0).values.tolist() == [rows[0], columns[0]]
    assert where.max(0).values.tolist() == [rows[1] - 1, columns[1] - 1]


def test_a_blend_is_the_weighted_sum_rounded_to_8_bits() -> None:
    x, blend = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(1)), Blend(0.25, seed=7)
    wanted = 0.75 * x + 0.25 * blend.pattern((1, 6, 6))
    assert float((blend(x) - wanted).abs().max()) <= 0.5 / 255 + 1e-6
    levels = blend(x) * 255
    assert float((levels - levels.round()).abs().max()) < 1e-4


def test_a_warp_of_no_strength_changes_nothing_and_a_constant_image_stays() -> None:
    x = eight_bits(torch.rand(2, 1, 10, 10, generator=torch.Generator().manual_seed(1)))
    assert torch.allclose(Warp(strength=1e-6)(x), x, atol=1 / 255)
    flat = torch.full((1, 1, 10, 10), 0.2)
    assert torch.allclose(Warp(strength=2.0)(flat), eight_bits(flat))
    assert not torch.allclose(Warp(strength=2.0)(x), x, atol=0.1)
    assert torch.allclose(Warp(grid=4).field(4).abs().mean() * 4, torch.tensor(0.5), atol=1e-5)


@pytest.mark.parametrize("trigger", [Patch(2, "top-left", 3), Blend(0.1, 2), Warp(3, 0.7, 5)])
def test_a_trigger_survives_its_manifest(trigger: Patch | Blend | Warp) -> None:
    again = trigger_from(json.loads(json.dumps(trigger.to_dict())))
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(x), trigger(x))


@pytest.mark.parametrize("name", ["badnets", "blended"])
def test_a_backdoor_stamps_other_classes_only_and_relabels_all_it_stamps(name: str) -> None:
    data = greys()
    made = poison(f"{name}:share=0.2,target=1")(data, seed=5)
    assert len(made.changed) == 12
    assert 1 not in data.labels[made.changed].tolist()
    assert set(made.data.labels[made.changed].tolist()) == {1}
    assert made.change.trigger is not None
    x, clean = made.data.tensors()[0], data.tensors()[0]
    assert torch.equal(x[made.mask], made.change.trigger(clean[made.mask]))
    assert torch.equal(x[~made.mask], clean[~made.mask])
    assert torch.equal(made.data.labels[~made.mask], data.labels[~made.mask])


def test_wanet_warps_decoys_that_keep_their_label() -> None:
    data = greys(n=100)
    made = poison("wanet:share=0.1,target=1,noise=2")(data)
    assert len(made.changed) == 30
    relabelled = made.data.labels != data.labels
    assert int(relabelled.sum()) == 10
    assert made.manifest["notes"] == {"relabelled": 10, "decoys": 20}
    moved = (made.data.tensors()[0] != data.tensors()[0]).flatten(1).any(1)
    assert torch.equal(moved, made.mask)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("badnets:share=0.9", "fewer than the 54"),
        ("badnets:target=3", "classes are 0 to 2"),
        ("badnets:size=11", "does not fit"),
        ("blended:alpha=0", "alpha"),
    ],
)
def test_mistakes_are_one_clear_line(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poison(spec)(greys())


def test_every_attack_is_listed_with_its_paper_and_reads_its_own_spec() -> None:
    names = {info.name for info in poisons()}
    assert names == {
        "label-flip", "badnets", "blended", "wanet", "feature-collision", "bullseye", "gradient-matching"
    }  # fmt: skip
    for info in poisons():
        made = info.cls()
        assert poison(made.spec) == made
        assert info.paper.startswith(("arXiv:", "doi:"))
        assert set(info.uses) <= {"data", "features", "algorithm", "parameters"}


# --- files --------------------------------------------------------------------------------------------------------


def test_a_written_set_is_a_data_source_and_its_test_images_are_the_clean_ones(tmp_path: Path) -> None:
    clean = load_data("mnist5k", "train", 50)
    made = poison("badnets:share=0.1")(clean, seed=1)
    write_poisoned(tmp_path, made.data, made.manifest)
    again = load_data(f"poisoned:{tmp_path}", "train")
    assert again.fingerprint() == made.data.fingerprint()
    assert again.classes == clean.classes
    assert load_data(f"poisoned:{tmp_path}", "test").fingerprint() == load_data("mnist5k", "test").fingerprint()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["changed"] == made.changed.tolist()
    assert repeat(manifest).manifest["fingerprint"] == manifest["fingerprint"]


def test_a_set_that_was_changed_after_it_was_written_is_refused(tmp_path: Path) -> None:
    made = poison("label-flip:share=0.1")(load_data("mnist5k", "train", 50))
    write_poisoned(tmp_path, made.data, made.manifest)
    write_poisoned(tmp_path, made.clean, made.manifest)
    with pytest.raises(DataError, match="is not the set of its manifest"):
        load_data(f"poisoned:{tmp_path}", "train")
    (tmp_path / "poisoned.safetensors").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be read"):
        load_data(f"poisoned:{tmp_path}", "train")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="is no manifest"):
        load_data(f"poisoned:{tmp_path}", "train")
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DataError, match="holds no manifest"):
        load_data(f"poisoned:{tmp_path}", "train")


def test_a_manifest_over_other_images_is_refused(tmp_path: Path) -> None:
    made = poison("label-flip:share=0.1")(load_data("mnist5k", "train", 50))
    with pytest.raises(InputError, match="are not those of the manifest"):
        repeat(made.manifest | {"n": 40})


def test_replaced_images_and_labels_leave_the_data_below_alone() -> None:
    data = greys(n=10).subset([9, 3, 5])
    view = data.replaced(torch.tensor([1]), images=torch.zeros(1, 1, 12, 12), labels=torch.tensor([2]))
    assert float(view[1][0].max()) == 0.0
    assert view[1][1] == 2
    assert torch.equal(view[0][0], data[0][0])
    assert float(data[1][0].max()) > 0
    assert torch.equal(view.subset([2, 1]).tensors()[0][0], data[2][0])
    with pytest.raises(InputError, match="classes 0 to 2"):
        data.replaced(torch.tensor([0]), labels=torch.tensor([7]))
    with pytest.raises(InputError, match="expected uint8"):
        data.replaced(torch.tensor([0]), images=torch.zeros(1, 1, 5, 5))
