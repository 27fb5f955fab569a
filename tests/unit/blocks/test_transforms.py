"""Random views: closed forms, draws that belong to a sample, names, and one warp for several moves of the camera."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import sparring as sp
from sparring.blocks.views import chain
from sparring.blocks.views.chain import Chain, Show, half_sides, warp
from sparring.blocks.views.eot import EOT
from sparring.blocks.views.transforms import (
    TRANSFORMS,
    Brightness,
    Clip,
    Gaussian,
    Perspective,
    Rotation,
    Scale,
    Translation,
    transform,
)
from sparring.blocks.views.view_success import view_success
from sparring.bout import in_box
from sparring.errors import InputError
from sparring.rng import Noise

MOVES = (Rotation(30), Scale(0.7, 1.3), Translation(0.2), Perspective(0.2))
ALL = (*MOVES, Brightness(0.2), Gaussian(0.2), Clip(0.2, 0.8))


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = pictures(3, 2, 7, 9)


def matrix(*rows: list[float]) -> Tensor:
    return torch.tensor([rows], dtype=torch.float64)


# --- closed forms ---------------------------------------------------------------------------------------------


def test_the_identity_gives_the_picture_back() -> None:
    assert torch.allclose(warp(X, torch.eye(3).double().expand(3, 3, 3)), X, atol=1e-12)
    assert torch.equal(Chain()(X, Noise.of(X, 0)), X)


def test_a_quarter_turn_moves_each_pixel_to_its_place() -> None:
    square = pictures(1, 3, 6, 6)
    turned = warp(square, matrix([0, -1, 0], [1, 0, 0], [0, 0, 1]))
    assert torch.allclose(turned, torch.rot90(square, 1, (2, 3)), atol=1e-12)


def test_a_turn_is_rigid_on_pictures_that_are_not_square() -> None:
    """In coordinates that run from -1 to 1 on both sides it would be a shear, as torch's affine_grid gives."""
    wide = torch.zeros(1, 1, 5, 9, dtype=torch.float64)
    wide[..., 2, 2:7] = 1  # a bar of five pixels across the middle
    upright = torch.zeros_like(wide)
    upright[..., 0:5, 4] = 1
    assert torch.allclose(warp(wide, matrix([0, -1, 0], [1, 0, 0], [0, 0, 1])), upright, atol=1e-12)


def test_a_shift_by_whole_pixels() -> None:
    one = 2 * half_sides(X)[0] / X.shape[3]
    moved = warp(X[:1], matrix([1, 0, float(one)], [0, 1, 0], [0, 0, 1]))
    assert torch.allclose(moved[..., :-1], X[:1, :, :, 1:], atol=1e-12)
    assert torch.allclose(moved[..., -1], X[:1, :, :, -1], atol=1e-12), "beyond the edge, the edge goes on"


def test_growing_twofold_shows_the_middle_half() -> None:
    x = pictures(1, 1, 8, 8)
    grown = Scale(2, 2)(x, Noise.of(x, 0))
    assert torch.allclose(grown[..., 4, 4], 0.75**2 * x[..., 4, 4] + 0.75 * 0.25 * (x[..., 3, 4] + x[..., 4, 3])
                          + 0.25**2 * x[..., 3, 3])  # fmt: skip
    assert float(grown.max()) <= float(x[..., 1:7, 1:7].max())


def test_a_tilt_keeps_straight_lines_straight() -> None:
    line = torch.arange(9, dtype=torch.float64).expand(1, 1, 9, 9)  # value = column
    seen = warp(line, matrix([1, 0, 0], [0, 1, 0], [0, 0.2, 1]))  # depth grows downwards
    inner = seen[0, 0, :, 3:6]
    depth = 1 + 0.2 * ((2 * torch.arange(9).double() + 1) / 9 - 1)
    assert torch.allclose(inner - 4, (torch.arange(3, 6) - 4) / depth[:, None], atol=1e-9)


def test_what_lies_behind_the_camera_is_not_shown_upside_down() -> None:
    far = warp(X[:1], matrix([1, 0, 0], [0, 1, 0], [0, -3.0, 1]))
    assert bool(far.isfinite().all())
    edges = X[0, :, -1, [0, -1]].reshape(-1)
    assert bool(torch.isin(far[0, :, -1, [0, -1]].reshape(-1), edges).all())


@pytest.mark.parametrize("move", MOVES, ids=str)
def test_camera_moves_leave_flat_pictures_and_vectors_as_they_are(move: Show) -> None:
    flat = torch.full((2, 3, 5, 4), 0.3, dtype=torch.float64)
    assert torch.allclose(move(flat, Noise.of(X[:2], 0)), flat, atol=1e-12)
    vectors = pictures(3, 20)
    assert torch.equal(move(vectors, Noise.of(vectors, 0)), vectors)


def test_pictures_without_a_channel_axis_are_pictures() -> None:
    x = pictures(2, 5, 6)
    assert torch.equal(Rotation()(x, Noise.of(x, 0)), Rotation()(x[:, None], Noise.of(x, 0))[:, 0])


def test_clip_lets_gradients_pass() -> None:
    z = torch.tensor([[-0.5, 0.5, 1.5]], requires_grad=True)
    shown = Clip()(z, Noise.of(z, 0))
    assert shown.tolist() == [[0, 0.5, 1]]
    assert torch.autograd.grad(shown.sum(), z)[0].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("step", [*MOVES, Brightness(0.2), Gaussian(0.2), transform("2d")], ids=str)
def test_gradients_are_right(step: Show) -> None:
    x = pictures(1, 1, 3, 4).requires_grad_()
    noise = Noise.of(x, 0).keys
    assert torch.autograd.gradcheck(lambda z: step(z, Noise(noise)), (x,))


# --- draws ----------------------------------------------------------------------------------------------------


def keys(count: int) -> Noise:
    return Noise.of(torch.arange(count, dtype=torch.float64)[:, None], 0)


def test_draws_fill_their_range() -> None:
    half = torch.tensor([1.0, 0.5], dtype=torch.float64)
    turns = Rotation(30).matrix(keys(4000), half)
    angle = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert -30 <= float(angle.min()) < -29.9
    assert 29.9 < float(angle.max()) <= 30
    assert abs(float(angle.std()) - 60 / math.sqrt(12)) < 0.5
    grown = 1 / Scale(0.9, 1.4).matrix(keys(4000), half)[:, 0, 0]
    assert 0.9 <= float(grown.min()) < 0.901
    assert 1.399 < float(grown.max()) <= 1.4
    shift = Translation(0.1).matrix(keys(4000), half)
    assert 0.199 < float(shift[:, 0, 2].abs().max()) <= 0.2, "a tenth of the width, which is 2"
    assert 0.0995 < float(shift[:, 1, 2].abs().max()) <= 0.1, "a tenth of the height, which is 1"
    grey = torch.zeros(4000, 1, dtype=torch.float64)
    assert 0.049 < float(Brightness(0.05)(grey, keys(4000)).abs().max()) <= 0.05
    deviation = Gaussian(0.1)(torch.zeros(500, 400, dtype=torch.float64), keys(500)).std(1)
    assert 0 <= float(deviation.min()) < 0.005
    assert 0.095 < float(deviation.max()) < 0.11
    assert abs(float(deviation.mean()) - 0.05) < 0.005


@pytest.mark.parametrize("step", [*ALL, transform("2d")], ids=str)
def test_draws_belong_to_the_sample_and_are_fresh_each_time(step: Show) -> None:
    noise = Noise.of(X, 0)
    first, second = step(X, noise), step(X, noise)
    for i in range(3):
        alone = Noise.of(X[i : i + 1], 0)
        assert torch.allclose(step(X[i : i + 1], alone), first[i : i + 1], atol=1e-12)
        assert torch.allclose(step(X[i : i + 1], alone), second[i : i + 1], atol=1e-12)
    assert torch.equal(first, second) == isinstance(step, Clip)


# --- joined ---------------------------------------------------------------------------------------------------


def test_camera_moves_side_by_side_are_one_warp(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, sample = [], F.grid_sample

    def counted(*args: Any, **kwargs: Any) -> Tensor:
        asked.append(1)
        return sample(*args, **kwargs)

    monkeypatch.setattr(chain.F, "grid_sample", counted)
    seen = (Rotation() | Scale() | Perspective() | Brightness())(X, Noise.of(X, 0))
    assert len(asked) == 1
    noise, half = Noise.of(X, 0), half_sides(X)
    turn, grow, tilt = (move.matrix(noise, half) for move in (Rotation(), Scale(), Perspective()))
    assert torch.allclose(seen, Brightness()(warp(X, turn @ grow @ tilt), noise))


def test_moves_happen_in_their_order() -> None:
    """First shifted, then turned: what was right of the middle comes out above or below it."""
    x = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    x[..., 9:12, 9:12] = 1
    one = 2 * 5 / 21  # five pixels

    class Right(Translation):
        def matrix(self, noise: Noise, half: Tensor) -> Tensor:
            return matrix([1, 0, -one], [0, 1, 0], [0, 0, 1])

    class Turn(Rotation):
        def matrix(self, noise: Noise, half: Tensor) -> Tensor:
            return matrix([0, -1, 0], [1, 0, 0], [0, 0, 1])

    shifted_then_turned = (Right() | Turn())(x, Noise.of(x, 0))
    one_by_one = Turn()(Right()(x, Noise.of(x, 0)), Noise.of(x, 0))
    assert torch.allclose(shifted_then_turned, one_by_one, atol=1e-12)
    assert not torch.allclose(shifted_then_turned, (Turn() | Right())(x, Noise.of(x, 0)), atol=0.1)


def test_anybodys_function_joins_in() -> None:
    def darker(z: Tensor, noise: Noise) -> Tensor:
        return z / 2

    show = Brightness(0) | darker
    assert torch.equal(show(X, Noise.of(X, 0)), X / 2)
    assert str(show) == "brightness:0+darker"


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_name_means_a_transform_and_is_written_as_it_is_read(name: str) -> None:
    show = transform(name)
    assert show(X, Noise.of(X, 0)).shape == X.shape
    assert str(transform(str(show))) == str(show)


def test_names_with_numbers_and_joined() -> None:
    assert transform("rotation:10|scale:.9:1.1") == Rotation(10) | Scale(0.9, 1.1)
    assert transform(" Rotation:10 + scale:.9:1.1 ") == Rotation(10) | Scale(0.9, 1.1)
    assert transform("2d+clip") == transform("2d") | Clip()
    assert str(transform("2d")) == "scale:0.9:1.4+rotation:22.5+translation:0.1+brightness:0.05+noise:0.1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("turn", "no transform is called 'turn'; there are rotation"),
        ("", "no transform is called ''"),
        ("rotation:left", "'rotation:left' is not understood"),
        ("rotation:1:2", "has 2 numbers; rotation takes degrees"),
        ("2d:3", "has 1 numbers; 2d takes none"),
        ("rotation:181", "from 0 to 180"),
        ("scale:2:1", "0 < low <= high"),
        ("perspective:0.5", "below 0.5"),
        ("noise:-1", "at least 0"),
        ("clip:1:0", "low < high"),
        ("translation:nan", "from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        transform(text)
    assert "\n" not in str(error.value)


def test_any_gradient_attack_takes_a_transform_by_name() -> None:
    attack = sp.attack("pgd:view=eot5(rotation:10+brightness),steps=3")
    assert attack == sp.PGD(steps=3, view=EOT(5, Rotation(10) | Brightness()))
    assert sp.attack(attack.spec) == attack
    assert sp.attack("pgd:view=eot(2d)").view == EOT(20, transform("2d"))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no transform is called 'turn'"):
        sp.attack("pgd:view=eot5(turn)")


# --- how often a picture fools --------------------------------------------------------------------------------


def brighter_than_half(x: Tensor) -> Tensor:
    mean = x.flatten(1).mean(1)
    return torch.stack([0.5 - mean, mean - 0.5], 1) * 10


def test_view_success_counts_fresh_views() -> None:
    x = torch.tensor([0.45, 0.3, 0.7]).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)
    rate = view_success(brighter_than_half, x, torch.zeros(3, dtype=torch.int64), "brightness:0.1", draws=500)
    assert abs(float(rate[0]) - 0.25) < 0.06, "brighter by 0.05 and more: a quarter of all views"
    assert rate[1:].tolist() == [0, 1]


def test_view_success_sees_all_pictures_from_the_same_places() -> None:
    x = torch.tensor([0.45, 0.47, 0.48]).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)
    y, goal = torch.zeros(3, dtype=torch.int64), sp.Targeted(1)
    together = view_success(brighter_than_half, x, goal, "brightness:0.1")
    assert together.tolist() == sorted(together.tolist()), (
        "the brighter picture fools in each view that the darker does"
    )
    assert torch.equal(together, view_success(brighter_than_half, x, y, "brightness:0.1"))
    alone = [float(view_success(brighter_than_half, x[i : i + 1], goal, "brightness:0.1")) for i in range(3)]
    assert together.tolist() == alone
    assert not torch.equal(together, view_success(brighter_than_half, x, y, "brightness:0.1", seed=1))


def test_view_success_shows_what_a_camera_gives_and_nothing_broken_counts() -> None:
    seen: list[Tensor] = []

    def net(x: Tensor) -> Tensor:
        seen.append(x)
        return brighter_than_half(x) * torch.where(x.flatten(1).mean(1, keepdim=True) > 0.9, torch.nan, 1.0)

    x = torch.ones(1, 1, 4, 4)
    assert float(view_success(net, x, torch.tensor([0]), "brightness:0.5+noise:0.5", draws=20)) < 1
    assert float(torch.stack(seen).max()) == 1
    assert float(view_success(net, x, torch.tensor([0]), "identity", draws=2)) == 0
    with pytest.raises(InputError, match="at least 1 view"):
        view_success(net, x, torch.tensor([0]), "identity", draws=0)


@pytest.mark.parametrize("name", ["brightness:0.2", "noise:0.3", "clip:0.25:0.5", "2d", "rotation+brightness:0.1"])
@pytest.mark.parametrize("box", [(0.0, 255.0), (-1.0, 1.0)])
def test_a_view_of_the_same_picture_is_the_same_whatever_the_pixels(name: str, box: tuple[float, float]) -> None:
    low, width = box[0], box[1] - box[0]
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    show, wide = transform(name), in_box(transform(name), box)
    seen = (wide(x * width + low, Noise.of(x, 0)) - low) / width
    assert torch.allclose(seen, show(x, Noise.of(x, 0)), atol=1e-9)


@pytest.mark.parametrize("spec", ["si3@0.5", "di1", "si2+di1@0.7", "eot2(noise:0.2+brightness:0.3)"])
def test_any_attack_shows_a_view_in_the_box_of_the_model(spec: str) -> None:
    """One step of PGD on a net whose gradient depends on the brightness of what it sees."""
    x = (torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(2)) * 256).round() / 256
    weight = torch.randn(3, 36, generator=torch.Generator().manual_seed(3))

    def net(z: Tensor) -> Tensor:
        return (z.flatten(1) * 4).sin() @ weight.T

    y, attack = net(x).argmax(1), sp.PGD(steps=3, view=spec, random_start=False)  # type: ignore[arg-type]
    plain = attack(net, x, y, ("Linf", 0.1), keep="last")
    for low, high in ((0.0, 256.0), (-1.0, 1.0)):
        width = high - low
        wide = sp.wrap(lambda z, low=low, width=width: net((z - low) / width), box=(low, high))
        found = attack(wide, x * width + low, y, ("Linf", 0.1 * width), keep="last")
        assert torch.allclose((found.x_adv - low) / width, plain.x_adv, atol=1e-5), (low, high)


def test_the_same_picture_in_another_box_draws_the_same_noise() -> None:
    x = (torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(4)) * 255).round()
    y, net = torch.tensor([0, 0]), brighter_than_half
    plain = sp.PGD(steps=1)(net, x / 255, y, ("Linf", 0.1), keep="last").x_adv
    wide = sp.wrap(lambda z: net(z / 255), box=(0, 255))
    found = sp.PGD(steps=1)(wide, x, y, ("Linf", 25.5), keep="last").x_adv
    assert torch.allclose(found / 255, plain, atol=1e-6)
