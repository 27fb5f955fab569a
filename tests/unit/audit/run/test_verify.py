"""Breaks of threats that are limited to a region, or to 8-bit pixels, are proved like any others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.run.verify import verify
from sparring.audit.run.verify_points import allowed
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError

SUITE = Suite("one", "for tests", (Stage("FGSM", "fgsm", "single-step"),), curves=())


@pytest.fixture(scope="module")
def region() -> Tensor:
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:3] = True
    return mask


@pytest.mark.parametrize("levels", [None, 256])
@pytest.mark.parametrize("limited", [False, True])
def test_every_break_is_proved(
    small_net: nn.Module,
    small_images: tuple[Tensor, Tensor],
    region: Tensor,
    tmp_path: Path,
    levels: int | None,
    limited: bool,
) -> None:
    x, y = small_images
    x = (x * 255).round() / 255
    threat = sp.Threat("Linf", 0.06, levels=levels, region=region if limited else None)
    report = sp.audit(small_net, (x, y), threat, suite=SUITE, folder=tmp_path)
    found = verify(tmp_path, sp.wrap(small_net), (x, y))
    assert found.holds
    assert found.radii[0].proved == report.success.hits > 0


def test_points_outside_of_region_or_grid_are_not_proved(region: Tensor) -> None:
    x = torch.full((3, 1, 4, 4), 102 / 255)
    z = x.clone()
    z[0, 0, 0, 0] += 5 / 255
    z[1, 0, 3, 3] += 5 / 255  # the last row must stay
    z[2, 0, 0, 0] += 5.4 / 255  # between two levels
    for threat, expected in (
        (sp.Threat("Linf", 0.05, (0, 1)), [True, True, True]),
        (sp.Threat("Linf", 0.05, (0, 1), region=region), [True, False, True]),
        (sp.Threat("Linf", 0.05, (0, 1), levels=256), [True, True, False]),
        (sp.Threat("Linf", 0.01, (0, 1)), [False, False, False]),
        (sp.Threat("Linf", 0.05, (0, 0.41)), [False, False, False]),
    ):
        assert threat.eps is not None
        assert allowed(z, x, threat, threat.eps).tolist() == expected


def test_a_run_whose_region_was_exchanged_does_not_verify(
    small_net: nn.Module, small_images: tuple[Tensor, Tensor], region: Tensor, tmp_path: Path
) -> None:
    sp.audit(small_net, small_images, sp.Threat("Linf", 0.06, region=region), suite=SUITE, folder=tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert len(plan["region"]) == 64
    plan["region"] = "0" * 64
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    found = verify(tmp_path, sp.wrap(small_net), small_images)
    assert not found.holds
    assert any("made for another plan" in line for line in found.findings)


def test_a_plan_with_other_values_is_refused_or_does_not_hold(
    small_net: nn.Module, small_images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    """Never an error of our own, and never a radius that is no number."""
    sp.audit(small_net, small_images, ("Linf", 0.06), suite=SUITE, folder=tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    for name, value in ((name, value) for name in plan for value in (None, [None]) if plan[name] != value):
        (tmp_path / "plan.json").write_text(json.dumps({**plan, name: value}))
        refused: InputError | None = None
        try:
            found = verify(tmp_path, sp.wrap(small_net), small_images)
        except InputError as error:
            refused = error
        if refused is not None:
            assert "\n" not in str(refused)
        else:
            assert not found.holds, name
            assert all(isinstance(one.eps, float) for one in found.radii)
