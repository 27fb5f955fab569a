"""Bases of image space are orthonormal, complete and tried in the order that they promise."""

from __future__ import annotations

import pytest
import torch
from scipy import fft

from sparring.blocks.estimators.bases import BASES, Cosines, cosines, image_shape
from sparring.blocks.rises import rises
from sparring.rng import Noise


@pytest.mark.parametrize("name", ["pixel", "dct"])
@pytest.mark.parametrize("shape", [(12,), (1, 3, 5), (3, 4, 3), (5, 4)])
def test_all_vectors_together_are_orthonormal(name: str, shape: tuple[int, ...]) -> None:
    like = torch.zeros(2, *shape, dtype=torch.float64)
    d = like[0].numel()
    basis = BASES[name]  # type: ignore[index]
    order = basis.order(Noise(torch.arange(2)), like)
    assert order.sort(1).values.tolist() == [list(range(d))] * 2
    rows = torch.stack([basis.vectors(order[:, k], like)[0].flatten() for k in range(d)])
    assert torch.allclose(rows @ rows.T, torch.eye(d).double(), atol=1e-12)


def test_the_matrix_is_scipys_dct() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    expected = torch.from_numpy(fft.dct(torch.eye(7).double().numpy(), axis=0, norm="ortho"))
    assert torch.allclose(cosines(7, like), expected, atol=1e-12)


def test_low_frequencies_come_first() -> None:
    like = torch.zeros(4, 3, 32, 32)
    order = Cosines().order(Noise(torch.arange(4)), like)
    down, across = order // 32 % 32, order % 32
    ring = torch.maximum(down, across)
    assert int(ring[:, : 3 * 16].max()) == 3  # an eighth of each side, in any order
    assert bool((ring[:, 48:].diff(dim=1) >= 0).all())
    assert len({tuple(row[:48].tolist()) for row in order}) == 4  # each row its own


def test_the_shape_of_an_image() -> None:
    assert image_shape(torch.zeros(2, 3, 4, 5)) == (3, 4, 5)
    assert image_shape(torch.zeros(2, 4, 5)) == (1, 4, 5)
    assert image_shape(torch.zeros(2, 6)) == (1, 1, 6)


def test_rounding_is_no_rise_and_nan_is_none() -> None:
    old = torch.tensor([-10.0, -10.0, -10.0, -torch.inf])
    new = torch.tensor([-9.999999, -9.9999, torch.nan, -5.0])
    assert rises(new, old).tolist() == [False, True, False, True]
