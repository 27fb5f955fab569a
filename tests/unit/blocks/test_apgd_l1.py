"""Auto-PGD under L1: how many pixels a point changes, which decides how many the next steps move."""

from __future__ import annotations

import pytest
import torch

from sparring.blocks.apgd_l1 import changed_pixels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("wide", [1.0, 255.0])
def test_pixels_that_rounding_moved_are_not_changed(dtype: torch.dtype, wide: float) -> None:
    x = torch.tensor([[0.2, 0.5, 0.0, 1.0, 0.7]], dtype=dtype).repeat(2, 1) * wide
    ulp = torch.finfo(dtype).eps
    z = x + torch.tensor([[0.1, 0, 0, -0.3, 0], [0, 0, 1e-3, 0, 0]], dtype=dtype) * wide
    shaken = z + torch.tensor([0, ulp, ulp, 0, -2 * ulp], dtype=dtype) * wide
    assert not torch.equal(shaken, z)
    assert changed_pixels(z, x).tolist() == changed_pixels(shaken, x).tolist() == [2, 1]
