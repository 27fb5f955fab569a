"""Threats and goals: parsing, validation, and margin > 0 <=> fooled <=> the arg max says so."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import sparring as sp
from sparring.errors import InputError
from sparring.threat import Targeted, Threat, Untargeted, best_other, eps_text, parse_eps


def logits(seed: int, classes: int, rows: int = 40, ties: bool = False) -> Tensor:
    z = torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
    return z.round() if ties else z


# --- margins --------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), ties=st.booleans(), single=st.booleans())
def test_margin_is_positive_exactly_where_the_arg_max_is_fooled(
    seed: int, classes: int, ties: bool, single: bool
) -> None:
    z = logits(seed, classes, ties=ties).to(torch.float32 if single else torch.float64)
    label = torch.arange(len(z)) % classes
    says = z.argmax(1)
    assert torch.equal(Untargeted(label).margin(z) > 0, says != label)
    assert torch.equal(Targeted(label).margin(z) > 0, says == label)
    assert torch.equal(Untargeted(label).margin(z).float() > 0, says != label), "also after a cast to float32"
    assert torch.equal(Untargeted(label).hit(says), says != label)
    assert torch.equal(Targeted(label).hit(says), says == label)


def test_margin_is_the_gap_to_the_best_other_logit_also_for_negative_logits() -> None:
    """Masking the label's own logit by a product with 0 makes 0 the best other one: torchattacks' C&W does."""
    z = torch.tensor([[-5.0, -2.0, -9.0], [-5.0, -2.0, -9.0]])
    y = torch.tensor([0, 1])
    assert Untargeted(y).margin(z).tolist() == [3.0, -3.0]
    assert Targeted(y).margin(z).tolist() == [-3.0, 3.0]
    own, other = best_other(z, y)
    assert (own.tolist(), other.tolist()) == ([-5.0, -2.0], [-2.0, -5.0])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), shift=st.sampled_from([-1000.0, -1.0, 1000.0]))
def test_margin_does_not_change_when_all_logits_are_shifted(seed: int, shift: float) -> None:
    z, y = logits(seed, 5), torch.arange(40) % 5
    for goal in (Untargeted(y), Targeted(y)):
        assert torch.allclose(goal.margin(z + shift), goal.margin(z), atol=1e-10)


def test_nan_is_never_fooled() -> None:
    z = torch.tensor([[torch.nan, 1.0], [1.0, torch.nan], [torch.nan, torch.nan]])
    for goal in (Untargeted(torch.zeros(3).long()), Targeted(torch.ones(3).long())):
        assert not bool((goal.margin(z) > 0).any())


def test_margin_has_a_gradient_with_respect_to_both_logits_and_no_other() -> None:
    z = torch.tensor([[1.0, 4.0, 2.0]], requires_grad=True)
    (g,) = torch.autograd.grad(Untargeted(torch.tensor([2])).margin(z).sum(), z)
    assert g.tolist() == [[0.0, 1.0, -1.0]]


# --- goals ----------------------------------------------------------------------------------------------------


def test_goals_select_rows_and_know_who_is_right() -> None:
    y, t, says = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0]), torch.tensor([0, 2, 2])
    rows = torch.tensor([2, 0])
    goal = Targeted(t, y)[rows]
    assert isinstance(goal, Targeted)
    assert goal.t is not None
    assert goal.y is not None
    assert (goal.t.tolist(), goal.y.tolist(), len(goal)) == ([0, 1], [2, 0], 2)
    assert Targeted(t, y).correct(says).tolist() == [True, False, True]
    assert Targeted(t).correct(says).tolist() == [True, False, True], "without y: not at the target yet"
    assert Untargeted(y).correct(says).tolist() == [True, False, True]
    assert Untargeted(y).t is None
    aimed = Untargeted(y).aim(t)
    assert torch.equal(aimed.label, y)
    assert aimed.t is t
    assert aimed[rows].hit(says[rows]).tolist() == [False, False], "the aim of a loss does not change what counts"


# --- threats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [("8/255", 8 / 255), (" 8 / 255 ", 8 / 255), ("0.3", 0.3), (0.3, 0.3), ("1e-2", 0.01), (2, 2.0), (None, None)],
)
def test_eps_is_read_as_people_write_it(written: Any, meant: float | None) -> None:
    assert parse_eps(written) == (meant if meant is None else pytest.approx(meant))
    assert Threat("Linf", written).eps == parse_eps(written)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"norm": "L3", "eps": 1}, "L0, L1, L2 and Linf"),
        ({"norm": "Linf", "eps": "much"}, "'much' is not a number"),
        ({"norm": "Linf", "eps": "1/0"}, "not a number"),
        ({"norm": "Linf", "eps": -0.1}, "-0.1"),
        ({"norm": "Linf", "eps": float("inf")}, "inf"),
        ({"norm": "Linf", "eps": float("nan")}, "nan"),
        ({"norm": "Linf", "eps": 0.1, "box": (1, 0)}, "low < high"),
        ({"norm": "Linf", "eps": 0.1, "levels": 1}, "at least 2"),
    ],
)
def test_impossible_threats_are_refused_in_one_line(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        Threat(**arguments)
    assert "\n" not in str(error.value)


def test_threat_is_a_frozen_value() -> None:
    threat = Threat("linf", "8/255", levels=256)
    assert threat == Threat(sp.Linf, 8 / 255, None, 256)
    assert hash(threat) == hash(Threat("Linf", 8 / 255, None, 256))
    assert str(threat) == "Linf 8/255"
    assert threat.to_dict() == {"norm": "Linf", "eps": 8 / 255, "box": None, "levels": 256}
    with pytest.raises(FrozenInstanceError):
        threat.eps = 1.0  # type: ignore[misc]


def test_box_of_the_threat_is_the_models_or_inside_it() -> None:
    assert Threat("L2", 1).within((0.0, 255.0)).box == (0.0, 255.0)
    assert Threat("L2", 1, (0.2, 0.8)).within((0.0, 1.0)).box == (0.2, 0.8)
    with pytest.raises(InputError, match="not inside the model's box"):
        Threat("L2", 1, (-1, 1)).within((0.0, 1.0))


def test_images_outside_the_box_of_the_threat_are_refused() -> None:
    net = torch.nn.Linear(4, 3)
    x = torch.tensor([[0.0, 0.5, 0.5, 0.9]])
    with pytest.raises(InputError, match=r"from 0 to 0\.9, outside the box \(0\.2, 1\.0\)"):
        sp.FGSM()(net, x, torch.tensor([0]), Threat("L1", 0.1, (0.2, 1.0)))


def test_the_ball_of_a_threat() -> None:
    x = torch.tensor([[[[0.5, 0.9]]], [[[0.0, 1.0]]]], dtype=torch.float64)
    region = torch.tensor([[True, False]])
    ball = Threat("Linf", 0.25, box=(0, 1), levels=5, region=region).ball(x)
    assert (ball.eps.dtype, ball.eps.tolist(), ball.box, ball.levels) == (torch.float64, [0.25, 0.25], (0.0, 1.0), 5)
    assert ball.free is not None
    assert ball.free.tolist() == [[[[True, False]]], [[[True, False]]]]
    assert torch.isinf(Threat("L2", box=(0, 1)).ball(x).eps).all()


def test_a_threat_without_a_box_has_no_ball() -> None:
    with pytest.raises(InputError, match=r"no box; write Threat\('Linf', 0\.3, box=\(0, 1\)\), or use within\(box\)"):
        Threat("Linf", 0.3).ball(torch.zeros(1, 1, 2, 2))


# --- radii that cannot be meant --------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", ["1e400", "1e3000000", "-1e400", "1/0", "", "/", "0x1", "inf", "nan", "9" * 5000])
def test_text_that_is_no_finite_number_is_refused_at_once(eps: str) -> None:
    with pytest.raises(InputError) as caught:
        Threat("Linf", eps)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("eps", [[0.1, 0.2], type(None), 1j, True, (), {}, b"0.1", 10**400])
def test_what_is_not_one_number_is_refused(eps: Any) -> None:
    with pytest.raises(InputError, match="eps is"):
        Threat("Linf", eps)


@pytest.mark.parametrize("eps", [torch.tensor(0.25), np.float32(0.25), np.array(0.25), "1/4", " 2.5e-1 "])
def test_one_number_of_any_kind_is_taken(eps: Any) -> None:
    assert Threat("Linf", eps).eps == 0.25


@pytest.mark.parametrize(
    ("norm", "eps", "said"),
    [
        ("Linf", 8, 'write eps="8/255"'),
        ("Linf", 1.5, "Linf 1"),
        ("Linf", 1e7, "Linf 1"),
        ("L2", 4.5, "L2 4"),
        ("L2", 255, 'write eps="255/255"'),
        ("L1", 17, "L1 16"),
        ("L0", 17, "L0 16"),
        ("L0", 0.5, "no pixel"),
    ],
)
def test_a_radius_that_no_image_can_use_up_is_refused(norm: str, eps: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Threat(norm, eps, box=(0, 1)).refuse_unreachable(16)
    with pytest.raises(InputError):
        Threat(norm, eps, box=(0, 255)).refuse_unreachable(16, reach=eps / 2 if eps >= 1 else None)


@pytest.mark.parametrize(("norm", "eps"), [("Linf", 1), ("L2", 4), ("L1", 16), ("L0", 16), ("L0", 5.9)])
def test_the_largest_radius_that_an_image_can_use_is_taken(norm: str, eps: float) -> None:
    Threat(norm, eps, box=(0, 1)).refuse_unreachable(16)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    result = sp.FGSM()(net, torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]), (norm, eps))
    assert bool((result.distance[result.success] <= eps).all())


def test_pixels_from_0_to_255_have_radii_of_their_own() -> None:
    Threat("Linf", 8, box=(0, 255)).refuse_unreachable(16)


@pytest.mark.parametrize(
    ("eps", "text"),
    [(8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (128 / 255, "128/255"), (0.2, "0.2"), (0.3, "0.3"), (8.0, "8"),
     (0.031, "0.031"), (0.0314, "0.0314"), (1 / 3, "0.3333"), (0.0, "0"), (float(torch.tensor(8 / 255)), "8/255")],
)  # fmt: skip
def test_a_radius_is_written_as_people_write_it(eps: float, text: str) -> None:
    assert eps_text(eps) == text
    assert parse_eps(text) == pytest.approx(eps, rel=1e-3), "what is printed is read again"
    assert str(sp.Threat("Linf", eps)) == f"Linf {text}"


@pytest.mark.parametrize("radii", [torch.tensor([0.1, 0.2]), np.array([0.1, 0.2, 0.3]), [0.1, 0.2]])
def test_a_radius_for_each_image_is_refused_in_one_line(radii: Any) -> None:
    with pytest.raises(InputError, match=r"it must be one number.*radii were given: call it once for each") as caught:
        sp.Threat("Linf", radii)
    assert "\n" not in str(caught.value)
