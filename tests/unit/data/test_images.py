"""ImageData: shapes, ranges, subsets, loaders, fingerprints, and what it refuses."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sparring.data import ImageData
from sparring.errors import InputError


@pytest.fixture
def data() -> ImageData:
    pixels = torch.arange(10 * 2 * 3 * 4).remainder(256).to(torch.uint8).reshape(10, 2, 3, 4)
    return ImageData(pixels, [i % 3 for i in range(10)], classes=("a", "b", "c"), name="toy", split="test")


def test_a_sample_is_a_float_image_and_an_int(data: ImageData) -> None:
    x, label = data[4]
    assert x.dtype == torch.float32
    assert x.shape == data.shape == (2, 3, 4)
    assert type(label) is int
    assert label == 1
    assert torch.equal(x.mul(255).round().flatten(), torch.arange(96, 120).float())
    assert data[-1][1] == data[9][1]
    with pytest.raises(IndexError, match="10 images"):
        data[10]


def test_iterating_indexing_and_tensors_agree(data: ImageData) -> None:
    x, y = data.tensors()
    assert (x.shape, x.dtype, y.dtype) == ((10, 2, 3, 4), torch.float32, torch.int64)
    assert torch.equal(x, torch.stack([image for image, _ in data]))
    assert y.tolist() == [label for _, label in data] == [data[i][1] for i in range(10)]


def test_changing_what_it_hands_out_does_not_change_it(data: ImageData) -> None:
    floats = ImageData(data.tensors()[0], data.labels)
    for each in (data, floats):
        before = each.fingerprint()
        each.tensors()[0].zero_()
        each[0][0].zero_()
        each.tensors()[1].zero_()
        assert each.fingerprint() == before


def test_loader_batches_in_order_and_keeps_the_last_one(data: ImageData) -> None:
    batches = list(data.loader(4))
    assert [len(y) for _, y in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([x for x, _ in batches]), data.tensors()[0])
    assert torch.cat([y for _, y in batches]).dtype == torch.int64
    with pytest.raises(InputError, match="batch size 0"):
        data.loader(0)


def test_shuffle_depends_on_the_seed_alone_and_pairs_stay_together() -> None:
    pixels = torch.arange(60).to(torch.uint8).reshape(60, 1, 1, 1)
    data = ImageData(pixels, list(range(60)))

    def order(seed: int) -> list[int]:
        return torch.cat([y for _, y in data.loader(7, shuffle=True, seed=seed)]).tolist()

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == list(range(60))
    loader = data.loader(7, shuffle=True)
    first, second = (torch.cat([y for _, y in loader]).tolist() for _ in range(2))
    assert first != second, "each epoch has an order of its own"
    for x, y in data.loader(7, shuffle=True):
        assert torch.equal(x.flatten().mul(255).round().to(torch.int64), y)


@pytest.mark.parametrize("shuffle", [False, True])
def test_loader_leaves_every_global_generator_alone(data: ImageData, shuffle: bool) -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    list(data.loader(3, shuffle=shuffle))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


def test_a_plain_torch_loader_works_too(data: ImageData) -> None:
    x, y = next(iter(DataLoader(data, batch_size=5)))
    assert torch.equal(x, data.tensors()[0][:5])
    assert torch.equal(y, data.labels[:5])


def test_subsets_by_index_mask_and_count(data: ImageData) -> None:
    x, y = data.tensors()
    part = data.subset([7, 2, 2])
    assert torch.equal(part.tensors()[0], x[[7, 2, 2]])
    assert part.labels.tolist() == y[[7, 2, 2]].tolist()
    assert (part.name, part.split, part.classes) == ("toy", "test", ("a", "b", "c"))
    assert torch.equal(data.subset(y == 1).tensors()[0], x[y == 1])
    assert torch.equal(data.first(4).subset(range(1, 3)).tensors()[0], x[1:3])
    assert data.subset([]).tensors()[0].shape == (0, 2, 3, 4)
    assert list(data.subset([]).loader(4)) == []


@pytest.mark.parametrize("n", [0, -1, 11])
def test_first_wants_what_is_there(data: ImageData, n: int) -> None:
    with pytest.raises(InputError, match=f"first {n} of toy"):
        data.first(n)


@pytest.mark.parametrize("indices", [[10], [-1], [0.5], [[1]], torch.ones(3, dtype=torch.bool)])
def test_subset_refuses_what_is_not_an_index(data: ImageData, indices: object) -> None:
    with pytest.raises(InputError):
        data.subset(indices)  # type: ignore[arg-type]


def test_without_drops_identical_images_whatever_their_storage_or_label(data: ImageData) -> None:
    x, _ = data.tensors()
    other = ImageData(x[[3, 5]], [0, 0])
    assert data.labels[3] != data.labels[5]
    left = data.without(other)
    assert torch.equal(left.tensors()[0], x[[0, 1, 2, 4, 6, 7, 8, 9]])
    assert len(left.without(other)) == 8
    assert len(data.without(data)) == 0


def test_without_tells_one_grey_level_and_another_shape_apart(data: ImageData) -> None:
    x, _ = data.tensors()
    nearly = x.clone()
    nearly[:, 0, 0, 0] = (nearly[:, 0, 0, 0] * 255 + 1) % 256 / 255
    assert len(data.without(ImageData(nearly, [0] * 10))) == 10
    assert len(data.without(ImageData(x.transpose(2, 3).contiguous().reshape(10, 2, 4, 3), [0] * 10))) == 10


def test_fingerprint_is_of_images_and_labels_in_order(data: ImageData) -> None:
    x, y = data.tensors()
    assert data.fingerprint() == ImageData(x.double(), y, name="other", split="train").fingerprint()
    changed = x.clone()
    changed[9, 1, 2, 3] += 1 / 255
    fingerprints = {
        data.fingerprint(),
        ImageData(changed, y).fingerprint(),
        ImageData(x, (y + 1) % 3).fingerprint(),
        data.subset(range(9, -1, -1)).fingerprint(),
        data.first(9).fingerprint(),
        ImageData(x.reshape(10, 2, 4, 3), y).fingerprint(),
    }
    assert len(fingerprints) == 6


def test_fingerprint_is_the_documented_hash() -> None:
    one = ImageData(torch.tensor([0, 51], dtype=torch.uint8).reshape(1, 1, 1, 2), [7])
    pixels = np.array([0, 51 / 255], dtype="<f4").tobytes()
    assert one.fingerprint() == hashlib.sha256(b"7 (1, 1, 2) " + pixels).hexdigest()


GOOD = torch.zeros(2, 1, 2, 2)


@pytest.mark.parametrize(
    ("pixels", "labels", "classes", "message"),
    [
        (GOOD[0], [0, 0], None, r"shape \[1, 2, 2\]; expected \[N, C, H, W\]"),
        (GOOD + 2, [0, 0], None, r"span \[2, 2\]; expected \[0, 1\]"),
        (GOOD - 0.1, [0, 0], None, r"expected \[0, 1\]"),
        (GOOD * float("nan"), [0, 0], None, r"expected \[0, 1\]"),
        (GOOD.long(), [0, 0], None, "images are torch.int64; expected uint8"),
        (GOOD, [0], None, r"labels have shape \[1\]; expected \[2\]"),
        (GOOD, [[0], [1]], None, r"labels have shape \[2, 1\]"),
        (GOOD, [0.0, 1.0], None, "labels are torch.float64; expected integers"),
        (GOOD, [True, False], None, "labels are torch.bool"),
        (GOOD, [0, -1], None, "label -1"),
        (GOOD, [0, 2], ("a", "b"), "label 2, but only 2 classes"),
    ],
)
def test_misfits_are_named(pixels: object, labels: object, classes: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageData(pixels, labels, classes=classes)  # type: ignore[arg-type]


def test_paths_follow_their_images(tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    data = ImageData(torch.zeros(3, 1, 1, 1), [0, 1, 0], paths=paths)
    assert data.subset([2, 0]).paths == (paths[2], paths[0])
    with pytest.raises(InputError, match="3 images, but 2 paths"):
        ImageData(torch.zeros(3, 1, 1, 1), [0, 1, 0], paths=paths[:2])
