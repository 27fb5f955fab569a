"""What attacks save: exact cycles end a climb, targets come nearest first, Square goes on from where gradients end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.blocks.cycles import FIRST, back_at, kept_step
from sparring.blocks.targets import targets
from sparring.bout import Bout


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=8).tensors()


def test_a_climb_that_goes_in_circles_ends_with_the_same_result(digits: tuple[Tensor, Tensor]) -> None:
    net, threat = sp.load_model("mnist-cnn"), sp.Threat("Linf", 0.02)
    attack = sp.attack(f"pgd:steps={4 * FIRST},step=0.1,loss=margin")
    brief, whole = (attack(net, *digits, threat, keep=keep) for keep in ("best", "margin"))
    standing = ~whole.success
    assert int(standing.sum()) >= 5
    assert torch.equal(brief.success, whole.success)
    assert torch.allclose(brief.margin[standing], whole.margin[standing], atol=1e-4)
    assert int(whole.gradients[standing].min()) == 4 * FIRST
    assert 2 * int(brief.gradients[standing].sum()) < int(whole.gradients[standing].sum())


@pytest.mark.parametrize("change", ["view=di0.5", "steps=40"])
def test_random_and_short_climbs_take_all_their_steps(digits: tuple[Tensor, Tensor], change: str) -> None:
    steps = 40 if change == "steps=40" else FIRST + 20
    spec = f"pgd:step=0.1,loss=margin,{change}" + ("" if "steps" in change else f",steps={steps}")
    result = sp.attack(spec)(sp.load_model("mnist-cnn"), *digits, sp.Threat("Linf", 0.001))
    assert set(result.gradients[~result.success].tolist()) == {steps}


def test_equal_means_equal_in_every_bit() -> None:
    z = torch.tensor([[0.1, 0.2], [0.1, 0.2]])
    nudged = z.clone()
    nudged[1, 1] = torch.nextafter(z[1, 1], torch.tensor(1.0))
    assert back_at(z, nudged).tolist() == [True, False]
    assert [k for k in range(300) if kept_step(k)] == [64, 128, 256]


class Skewed(nn.Module):
    """Class 1 is the likeliest wrong one, class 2 the nearest: its boundary is steep."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.unbind(1)
        return torch.stack([torch.zeros_like(a), -0.3 + 0.1 * a, -0.5 + b, -3 + 0.1 * a], 1)


def test_the_nearest_target_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    aims: dict[str, list[list[int]]] = {}

    def run(self: sp.Attack, bout: Bout) -> None:
        for order in ("logits", "distance"):
            aims[order] = [part.goal.t.tolist() for part in targets(bout, 2, order)]  # type: ignore[arg-type, union-attr]

    monkeypatch.setattr(type(sp.attack("apgd-t")), "run", run)
    x = torch.tensor([[0.1, 0.1], [0.2, 0.2]])
    result = sp.attack("apgd-t")(Skewed(), x, torch.tensor([0, 0]), sp.Threat("Linf", 0.01))
    assert aims["logits"] == [[1, 1], [2, 2]]
    assert aims["distance"] == [[2, 2], [1, 1]]
    assert result.gradients.tolist() == [3, 3]  # one for each wrong class, at most twice the wanted


def test_square_goes_on_where_the_climb_ended(digits: tuple[Tensor, Tensor]) -> None:
    net, threat = sp.load_model("mnist-cnn"), sp.Threat("Linf", 0.06)
    climb = sp.attack("apgd-ce:steps=5")(net, *digits, threat)
    both = sp.attack("apgd-square:steps=5,queries=60")(net, *digits, threat)
    assert bool((both.success | ~climb.success).all())
    standing = ~both.success & ~climb.success
    assert bool((both.margin[standing] >= climb.margin[standing] - 1e-5).all())
    assert int((both.queries - climb.queries)[standing].min()) >= 60
    assert torch.equal(both.gradients[standing], climb.gradients[standing])
