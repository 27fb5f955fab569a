"""BASES: surrogates make the points, queries choose between the surrogates."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.blocks.surrogates import climb, shifted
from sparring.errors import InputError
from sparring.losses import margin
from sparring.testing.fixtures import affine, curved


def test_from_the_model_itself_one_query_is_enough() -> None:
    paper = affine()
    white = sp.attack("pgd:steps=10,step=0.3")(paper.net, paper.x, paper.y, ("Linf", 0.2))
    result = sp.attack("bases", surrogates=[paper.net])(paper.net, paper.x, paper.y, ("Linf", 0.2))
    assert bool((result.success | ~white.success).all())
    fooled = result.success & result.clean_correct
    assert bool(fooled.any())
    assert set(result.first_hit[fooled].tolist()) == {2}  # the clean image, and the first point
    assert not bool(result.gradients.any())


def test_queries_find_the_surrogate_that_is_like_the_model() -> None:
    """The other surrogate says the opposite: with equal weights both cancel, so only a search can succeed."""
    paper = affine()

    class Opposite(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = -paper.net(x)
            return logits

    attack = sp.attack("bases:queries=20", surrogates=[Opposite(), paper.net])
    result = attack(paper.net, paper.x, paper.y, ("Linf", 0.2))
    alone = sp.attack("pgd:steps=10,step=0.3")(paper.net, paper.x, paper.y, ("Linf", 0.2))
    right = result.clean_correct & alone.success
    assert bool(right.any())
    assert float(result.success[right].double().mean()) > 0.9


@pytest.mark.parametrize("threat", [("Linf", 0.2), ("L2", 1.0), ("L1", 5.0)])
def test_results_do_not_depend_on_the_batch_and_queries_are_hard(threat: tuple[str, float]) -> None:
    paper, attack = curved(), sp.attack("bases:queries=7", surrogates=[curved(seed=11).net, curved(seed=12).net])
    together = attack(paper.net, paper.x[:5], paper.y[:5], threat)
    assert int(together.queries.max()) <= 1 + 7
    assert bool((together.distance[together.success] <= threat[1] * 1.00001).all())
    for i in range(5):
        alone = attack(paper.net, paper.x[i : i + 1], paper.y[i : i + 1], threat)
        assert torch.allclose(alone.x_adv[0], together.x_adv[i], atol=1e-6)
        assert int(alone.queries) == int(together.queries[i])


def test_a_weight_of_zero_is_a_surrogate_that_does_not_count() -> None:
    a, b = curved(), curved(seed=11)
    points: list[torch.Tensor] = []

    class Spy(sp.attack("pgd").__class__):  # type: ignore[misc]
        def run(self, bout: sp.Bout) -> None:
            models = [sp.wrap(a.net), sp.wrap(b.net)]
            weights = torch.tensor([[1.0, 0.0]]).expand(len(bout), 2)
            points.append(climb(models, weights, bout, bout.x, margin, 3, 0.3))
            points.append(climb(models[:1], weights[:, :1], bout, bout.x, margin, 3, 0.3))

    Spy()(a.net, a.x, a.y, ("Linf", 0.1))
    assert torch.allclose(points[0], points[1])
    assert torch.equal(shifted(torch.tensor([[0.1, 0.9]]), 0, -0.5), torch.tensor([[0.0, 1.0]]))


def test_without_surrogates_it_says_what_is_missing() -> None:
    a = curved()
    with pytest.raises(InputError, match="needs surrogates"):
        sp.attack("bases")(a.net, a.x, a.y, ("Linf", 0.1))
