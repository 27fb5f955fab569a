"""Attacks on some pixels only: the threat's region, in Python and on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import sparring as sp
from sparring.ball import Ball
from sparring.cli import app
from sparring.cli.attack.region import region_of
from sparring.errors import InputError


@pytest.fixture
def linear() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    weight = torch.ones(16) + torch.arange(16) / 16
    net[1].weight.data = torch.stack([-weight, weight])
    return net


def images(n: int = 3) -> torch.Tensor:
    return torch.full((n, 1, 4, 4), 0.5) - 0.03  # nearly on the boundary of the net less its bias


@pytest.mark.parametrize("region", [torch.eye(4), torch.eye(4)[None], torch.eye(4).expand(3, 1, 4, 4)], ids="hcb")
def test_only_the_region_changes_whatever_its_shape(linear: nn.Module, region: torch.Tensor) -> None:
    x, y = images(), torch.ones(3, dtype=torch.int64)
    free = torch.eye(4, dtype=torch.bool)
    for call in (
        sp.PGD(steps=5)(linear, x, y, sp.Threat("Linf", 0.2, region=region)),
        sp.PGD(steps=5)(linear, x, y, sp.Threat("Linf", 0.2), region=region),
    ):
        moved = call.x_adv != x
        assert moved[..., free].all()
        assert not moved[..., ~free].any()


def test_the_steepest_l2_step_spends_nothing_outside(linear: nn.Module) -> None:
    """FGSM inside the region is the closed form for the pixels that are free."""
    x, y, free = images(1), torch.tensor([1]), torch.eye(4, dtype=torch.bool)
    found = sp.FGSM()(linear, x, y, sp.Threat("L2", 0.1, region=free)).x_adv - x
    weight = (torch.ones(16) + torch.arange(16) / 16).reshape(4, 4) * free
    assert torch.allclose(found[0, 0], -0.1 * weight / weight.norm(), atol=1e-6)


def test_the_ball_knows_its_region() -> None:
    x, free = torch.full((2, 1, 2, 2), 0.5), torch.tensor([[True, False], [False, False]]).expand(2, 1, 2, 2)
    ball = Ball(x, sp.Linf, torch.full((2,), 0.2), (0.0, 1.0), free=free)
    z = torch.full_like(x, 0.6)
    assert not ball.contains(z).any()
    assert ball.contains(ball.project(z)).all()
    assert torch.equal(ball.project(z)[free], torch.full((2,), 0.6))
    assert ball[torch.tensor([1])].contains(ball.project(z)[1:]).all()
    assert torch.equal(ball.clip(z + 1), torch.where(free, 1.0, x))


def test_regions_are_compared_and_written_down() -> None:
    one, other = sp.Threat("L2", 1.0, region=torch.eye(3)), sp.Threat("L2", 1.0, region=1 - torch.eye(3))
    assert one == sp.Threat("L2", 1.0, region=torch.eye(3) > 0)
    assert one != other
    assert one != sp.Threat("L2", 1.0)
    assert one.to_dict()["region"] == {"shape": [3, 3], "pixels": 3}
    assert "region" not in sp.Threat("L2", 1.0).to_dict()


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (torch.zeros(4, 4), "the region is empty"),
        (torch.full((4, 4), 0.5), "True or False"),
        (torch.ones(3, 3), r"shape \(3, 3\), the images \(3, 1, 4, 4\)"),
    ],
)
def test_regions_that_make_no_sense_are_refused(linear: nn.Module, region: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sp.FGSM()(linear, images(), torch.ones(3, dtype=torch.int64), sp.Threat("Linf", 0.2, region=region))


def test_a_region_on_the_command_line(tmp_path: Path) -> None:
    assert torch.equal(region_of("1:2,:", (1, 3, 3)), torch.tensor([[False] * 3, [True] * 3, [False] * 3]))
    picture = Image.new("L", (3, 2), 0)
    picture.putpixel((2, 1), 255)
    picture.save(tmp_path / "mask.png")
    assert region_of(str(tmp_path / "mask.png"), (3, 2, 3)).nonzero().tolist() == [[1, 2]]
    for text, message in (
        ("5:6,0:1", "holds no pixel"),
        ("mask.gif", "neither"),
        (str(tmp_path / "mask.png"), "2 x 3"),
    ):
        with pytest.raises(InputError, match=message):
            region_of(text, (1, 4, 4))
    out = tmp_path / "run"
    arguments = ["fgsm", "--model", "mnist-cnn", "--n", "3", "--eps", "0.5", "--region", "10:14,:4", "--out", str(out)]
    result = CliRunner().invoke(app, ["attack", *arguments])
    assert result.exit_code == 0, result.output
    from safetensors.torch import load_file

    x = sp.load_data("mnist5k", n=3).tensors()[0]
    saved = next(out.glob("*.safetensors"))
    moved = (load_file(saved)["x_adv"] != x).nonzero()
    assert len(moved)
    assert set(moved[:, 2].tolist()) <= set(range(10, 14))
    assert set(moved[:, 3].tolist()) <= set(range(4))


@pytest.mark.parametrize("norm", ["L2", "Linf"])
def test_square_uses_its_radius_inside_the_region(norm: str) -> None:
    x = torch.full((3, 3, 12, 12), 0.5)
    free = torch.zeros(12, 12, dtype=torch.bool)
    free[2:7, 3:9] = True
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, 3)).requires_grad_(False)
    net[1].weight.zero_()
    net[1].bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    for queries in (1, 5, 30):
        threat = sp.Threat(norm, 0.2, region=free)
        result = sp.attack(f"square:queries={queries}")(net, x, torch.zeros(3).long(), threat, keep="last")
        d = (result.x_adv - x).flatten(1)
        size = d.norm(dim=1) if norm == "L2" else d.abs().amax(1)
        assert torch.allclose(size, torch.full_like(size, 0.2), rtol=1e-4), (queries, size)
        assert not bool((result.x_adv != x)[:, :, ~free].any())
