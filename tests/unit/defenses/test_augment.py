"""Augmentation: what it does to a picture, what it depends on (seed, epoch, pixels), and who trains on the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sparring.data.images import ImageData
from sparring.defenses.training import AdversarialTraining, Callback, Fitted, Standard, Step, fit
from sparring.defenses.training.augment import AUGMENTATIONS, augmented, find_augmentations
from sparring.defenses.training.batches import Batches
from sparring.errors import InputError
from sparring.threat import Threat
from sparring.zoo.nets import make_net


def pictures(count: int, side: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def colours(count: int) -> ImageData:
    return ImageData(pictures(count, 16), torch.arange(count) % 10, classes=[str(k) for k in range(10)])


def windows(x: Tensor) -> Tensor:
    """All 81 crops of one picture [C, H, W]: [81, C, H, W]."""
    _, height, width = x.shape
    wide = pad(x, [4] * 4)
    return torch.stack([wide[:, i : i + height, j : j + width] for i in range(9) for j in range(9)])


def test_a_crop_is_a_window_of_the_picture_with_four_zeros_around() -> None:
    x = pictures(400, 8)
    cut = augmented(x, ("crop",), 0, 0)
    assert cut.shape == x.shape
    found = [
        (windows(before) == after).flatten(1).all(1).nonzero().flatten() for before, after in zip(x, cut, strict=True)
    ]
    assert all(len(place) == 1 for place in found)
    places = torch.bincount(torch.cat(found), minlength=81)
    assert int((places > 0).sum()) > 76, "of 81 places; by chance all but 0.6 are seen"
    assert int(places.max()) < 20, "400 / 81 is 4.9"


def test_half_of_the_pictures_are_mirrored() -> None:
    x = pictures(400, 8)
    turned = augmented(x, ("flip",), 0, 0)
    same, mirrored = ((turned == y).flatten(1).all(1) for y in (x, x.flip(3)))
    assert bool((same ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_crops_are_the_same_with_flips_and_without() -> None:
    x = pictures(50, 8)
    cut, both = augmented(x, ("crop",), 0, 0), augmented(x, ("crop", "flip"), 0, 0)
    assert bool(((both == cut) | (both == cut.flip(3))).flatten(1).all(1).all())
    assert not torch.equal(both, cut)


def test_seed_epoch_and_pixels_decide_and_nothing_else() -> None:
    x, names = pictures(40, 8), ("crop", "flip")
    before = torch.get_rng_state()
    whole = augmented(x, names, 3, 5)
    assert torch.equal(torch.get_rng_state(), before)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augmented(x[order], names, 3, 5), whole[order])
    assert torch.equal(torch.cat([augmented(part, names, 3, 5) for part in x.split(7)]), whole)
    assert not torch.equal(augmented(x, names, 4, 5), whole)
    assert not torch.equal(augmented(x, names, 3, 6), whole)


def test_the_data_are_left_as_they_are_and_without_names_nothing_is_done() -> None:
    data = colours(20)
    print_before = data.fingerprint()
    assert len(list(Batches(data, 8, 0, augment=("crop", "flip")).epoch(0))) == 3
    assert data.fingerprint() == print_before
    x = pictures(3)
    assert augmented(x, (), 0, 0) is x


def test_the_shares_of_two_processes_are_the_batches_of_one() -> None:
    data, names = colours(30), ("crop", "flip")
    one = list(Batches(data, 10, 7, augment=names).epoch(2))
    shares = [list(Batches(data, 10, 7, rank, 2, augment=names).epoch(2)) for rank in (0, 1)]
    for (x, y, _), first, second in zip(one, *shares, strict=True):
        assert torch.equal(x[0::2], first[0])
        assert torch.equal(x[1::2], second[0])
        assert torch.equal(y[0::2], first[1])


@pytest.mark.parametrize(
    ("names", "found"),
    [("", ()), (" ", ()), ("crop", ("crop",)), ("flip, crop", ("crop", "flip")), ("flip", ("flip",))],
)
def test_names_are_read_in_any_order(names: str, found: tuple[str, ...]) -> None:
    assert find_augmentations(names) == found
    assert tuple(AUGMENTATIONS) == ("crop", "flip")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("corp", r"no augmentation is called 'corp'.*crop"),
        ("crop,,flip", "no augmentation is called ''"),
        ("flip,flip", "flip is given twice"),
        (("crop",), "give names, separated by commas"),
    ],
)
def test_bad_names_are_one_line_before_anything_is_trained(names: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as told:
        fit(make_net("wong", in_channels=3, size=16), colours(4), epochs=1, augment=names, out=tmp_path, device="cpu")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


# --- in training ------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """A loss that remembers what it was shown."""

    inner: Standard | AdversarialTraining = field(default_factory=Standard)
    clean: list[Tensor] = field(default_factory=list)
    trained: list[Tensor] = field(default_factory=list)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        self.clean.append(x)
        if isinstance(self.inner, AdversarialTraining):
            self.trained.append(self.inner.examples(model, x, y, step))
        return self.inner(model, x, y, step)


def is_augmented(x: Tensor, of: Tensor) -> bool:
    """Is each picture a crop, mirrored or not, of one of these?"""
    every = torch.cat([torch.cat([windows(one), windows(one).flip(3)]) for one in of])
    return all(bool((every == one).flatten(1).all(1).any()) for one in x)


def test_losses_get_the_changed_pictures_and_attacks_start_from_them() -> None:
    data, loss = colours(12), Seen(AdversarialTraining(Threat("Linf", 0.02), warm_up=0))
    net = make_net("wong", in_channels=3, size=16)
    fit(net, data, epochs=2, batch_size=6, loss=loss, augment="crop,flip", device="cpu")
    plain = data.tensors()[0]
    assert len(loss.clean) == 4
    for clean, trained in zip(loss.clean, loss.trained, strict=True):
        assert is_augmented(clean, plain)
        assert not is_augmented(trained, plain)
        assert float((trained - clean).abs().max()) <= 0.02 + 1e-6
    assert not torch.equal(loss.clean[0], loss.clean[2]), "other crops in another epoch"


class Stop(Callback):
    def on_epoch(self, record: dict[str, float]) -> None:
        if record["epoch"] == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(adversarial: bool, tmp_path: Path) -> None:
    """With ResNet-20: its batch norm has statistics of its own to resume."""
    data = colours(24)

    def run(folder: str, *callbacks: Callback, resume: bool = False) -> Fitted:
        loss = AdversarialTraining(Threat("Linf", 0.03)) if adversarial else Standard()
        return fit(
            make_net("resnet20", in_channels=3, size=16), data, epochs=3, batch_size=12, loss=loss, schedule="cosine",
            optimizer="sgd:weight_decay=5e-4", lr=0.05, augment="crop,flip", out=tmp_path / folder, resume=resume,
            device="cpu", callbacks=callbacks,
        )  # fmt: skip

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("broken", Stop())
    resumed = run("broken", resume=True)
    assert [one["loss"] for one in whole.history] == [one["loss"] for one in resumed.history]
    files = [(tmp_path / folder / "weights.safetensors").read_bytes() for folder in ("whole", "broken")]
    assert files[0] == files[1]
    assert whole.settings["augment"] == "crop,flip"


def test_the_settings_say_it_and_a_run_does_not_resume_without(tmp_path: Path) -> None:
    data, net = colours(8), make_net("wong", in_channels=3, size=16)
    assert "augment" not in fit(net, data, epochs=1, device="cpu").settings
    fit(net, data, epochs=1, out=tmp_path, augment="flip,crop", device="cpu")
    with pytest.raises(InputError, match="augment was crop,flip, now None"):
        fit(net, data, epochs=1, out=tmp_path, resume=True, device="cpu")
    fit(net, data, epochs=1, out=tmp_path, augment="crop,flip", resume=True, device="cpu")
