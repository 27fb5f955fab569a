"""POBA-GA on digits: it fools within the paper's generations, and what it breeds gets harder to see."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.blocks.populations.visibility import fitness, visibility


@pytest.mark.long
def test_perturbations_fool_and_become_half_as_visible() -> None:
    x, y = sp.load_data("mnist5k", n=5).tensors()
    net = sp.load_model("mnist-cnn")

    def seen(generations: int) -> torch.Tensor:
        attack = sp.attack(f"poba-ga:generations={generations},population=30")
        result = attack(net, x, y, sp.Threat("Linf", None), keep="last")
        assert bool(result.success.all())
        return visibility((result.x_adv - x)[:, None], 1.0).squeeze(1)

    few, many = seen(5), seen(120)
    assert float((many / few).median()) <= 0.5


def test_the_measure_is_the_papers() -> None:
    d = torch.tensor([0.0, 0.1, -1.0]).reshape(1, 1, 3)
    expected = sum(
        1 / (1 + torch.exp(torch.tensor(5.8 - 10 * a))) - 1 / (1 + torch.exp(torch.tensor(5.8))) for a in (0, 0.1, 1)
    )
    assert torch.allclose(visibility(d, 1.0), torch.as_tensor(expected))
    assert torch.allclose(visibility(d * 255, 255.0), torch.as_tensor(expected))


def test_what_fools_is_fitter_than_what_does_not_and_less_visible_is_fitter_still() -> None:
    value = fitness(
        torch.tensor([[-1e-3, 1e-3, 1e-3, 5.0]]), torch.tensor([[0.0, 9.0, 1.0, 9.0]]), torch.tensor([9.0]), 3.0
    )
    assert value.argsort(1).tolist() == [[0, 1, 3, 2]]


@pytest.mark.parametrize("loss", ["margin", "cross_entropy", "log_odds"])
def test_the_bout_says_what_fools_whatever_the_loss_is(loss: str) -> None:
    """A cross-entropy is above 0 everywhere: everything had counted as fooled, and the search had only faded."""
    x, y = torch.full((4, 1, 4, 4), 0.5), torch.zeros(4, dtype=torch.int64)
    net = sp.wrap(Tilted(), name="tilted")
    found = sp.attack(f"poba-ga:generations=30,population=12,loss={loss}")(net, x, y, ("Linf", 0.2), keep="margin")
    assert bool(found.success.all())


class Tilted(torch.nn.Module):
    """Is fooled where the left half is brighter than the right one by far more than noise makes it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gap = x[..., :2].mean((1, 2, 3)) - x[..., 2:].mean((1, 2, 3))
        return torch.stack([torch.full_like(gap, 0.16), gap], 1) * 20


def test_losses_rank_what_does_not_fool_below_all_that_does() -> None:
    margins, losses = torch.tensor([[-3.0, -2.0, 1e-3, 2.0]]), torch.tensor([[0.5, 9.0, 0.1, 12.0]])
    value = fitness(margins, torch.ones(1, 4), torch.ones(1), 0.0, losses)
    assert value.argsort(1).tolist() == [[0, 1, 2, 3]]
