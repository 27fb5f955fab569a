"""JSMA: the pair search against all pairs, the paper's sequence of pixels, and where the search must end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attacks.gradient.jsma import JSMA
from sparring.blocks.saliency import strongest_pair
from sparring.testing.fixtures import Affine, curved


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_scores(helps: Tensor, hurts: Tensor, usable: Tensor) -> Tensor:
    """[b, n, n] the score of every pair, 0 where it is not admissible."""
    good, bad = (values[:, :, None] + values[:, None, :] for values in (helps, hurts))
    allowed = usable[:, :, None] & usable[:, None, :] & ~torch.eye(helps.shape[1], dtype=torch.bool)
    return torch.where((good > 0) & (bad > 0) & allowed, good * bad, 0)


@pytest.mark.parametrize("kind", ["any", "ties", "opposed"])
@pytest.mark.parametrize("memory", [2**24, 7])
def test_the_strongest_pair_is_that_of_all_pairs(kind: str, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.blocks.saliency.MEMORY", memory)
    for seed in range(12):
        helps, hurts = draw(6, 2 + seed, seed=seed), draw(6, 2 + seed, seed=seed + 100)
        if kind == "ties":
            helps, hurts = helps.round(), hurts.round()
        if kind == "opposed":  # nearly all pixels are candidates
            hurts = hurts / 100 - helps
        usable = draw(6, 2 + seed, seed=seed + 200) > -1
        scores = all_scores(helps, hurts, usable)
        pair, there = strongest_pair(helps, hurts, usable)
        top = scores.flatten(1).amax(1)
        assert torch.equal(there, top > 0)
        reached = scores[torch.arange(6), pair[:, 0], pair[:, 1]]
        assert torch.allclose(reached[there], top[there])


def by_hand(net: nn.Module, x: Tensor, t: int, sign: int, pairs: int) -> Tensor:
    """The paper's algorithm 2 with theta = 1 for one vector: all derivatives, all pairs, until the target."""
    x, domain = x.clone(), torch.ones_like(x, dtype=torch.bool)
    for _ in range(pairs):
        if int(net(x[None]).argmax()) == t:
            break
        jacobian = torch.autograd.functional.jacobian(lambda v: net(v[None])[0], x)
        domain &= (x < 1) if sign > 0 else (x > 0)
        others = jacobian.sum(0) - jacobian[t]
        scores = all_scores(sign * jacobian[t][None], -sign * others[None], domain[None])[0]
        if scores.max() == 0:
            break
        p, q = divmod(int(scores.argmax()), len(x))
        x[[p, q]] = (x[[p, q]] + sign).clamp(0, 1)
    return x


@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_the_papers_algorithm_with_two_gradients_a_step(sign: int) -> None:
    paper = curved(shape=(30,), classes=5, count=12)
    net, x = paper.net.requires_grad_(False), paper.x
    y, t = net(x).topk(2).indices.unbind(1)
    expected = torch.stack([by_hand(net, row, int(aim), sign, 7) for row, aim in zip(x, t, strict=True)])
    hit = net(expected).argmax(1) == t
    assert hit.any()
    result = JSMA(theta=sign, gamma=0.5)(net, x, sp.Targeted(t, y), sp.Threat("L0"))
    assert torch.equal(result.success, hit)
    assert torch.equal(result.x_adv[hit], expected[hit])
    asked = 1 + result.distance[hit] // 2  # the clean image, and one point a pair
    assert torch.equal(result.queries[hit], (1 + asked).long())
    assert torch.equal(result.gradients[hit], (2 * asked).long())


def test_where_no_pair_is_admissible_it_ends() -> None:
    """Each pixel helps all classes alike: a known implementation then changes pixel 0 until its budget is spent."""
    net = Affine(torch.ones(3, 6), torch.tensor([0.0, -1.0, -2.0])).requires_grad_(False)
    x = torch.full((1, 6), 0.5)
    result = JSMA(gamma=1)(net, x, sp.Targeted(1), sp.Threat("L0"))
    assert not result.success
    assert torch.equal(result.x_adv, x)
    assert (int(result.queries), int(result.gradients)) == (2, 2)


def test_without_a_target_it_tries_the_wrong_classes_and_stays_nearer_than_what_it_has() -> None:
    """The likeliest wrong class needs 4 pixels, the other 2: that one counts. With room for 1 pixel none is changed."""
    weight = torch.zeros(3, 8)
    weight[1, :4], weight[2, 4:6] = 1.0, 3.0
    weight[0] = -weight.sum(0) - 0.1
    net = Affine(weight, torch.tensor([7.5, 0.5, 0.0])).requires_grad_(False)
    x = torch.zeros(1, 8)
    one = JSMA(gamma=1, targets=1)(net, x, torch.tensor([0]), sp.Threat("L0"))
    both = JSMA(gamma=1, targets=2)(net, x, torch.tensor([0]), sp.Threat("L0"))
    assert (float(one.distance), float(both.distance)) == (4, 2)
    bounded = JSMA(gamma=1)(net, x, torch.tensor([0]), sp.Threat("L0", 3))
    assert float(bounded.distance) == 2
    assert not JSMA(gamma=1)(net, x, torch.tensor([0]), sp.Threat("L0", 1)).success


def test_both_ways_reaches_what_one_way_cannot() -> None:
    net = Affine(torch.tensor([[1.0, 1.0, -0.1, -0.1], [0.0, 0.0, 0.0, 0.0]]), torch.zeros(2)).requires_grad_(False)
    x = torch.full((1, 4), 0.5)
    assert not JSMA(gamma=1)(net, x, torch.tensor([0]), sp.Threat("L0")).success
    found = JSMA(gamma=1, both=True)(net, x, torch.tensor([0]), sp.Threat("L0"))
    assert torch.equal(found.x_adv, torch.tensor([[0.0, 0.0, 0.5, 0.5]]))


def test_theta_is_a_fraction_of_the_box() -> None:
    """In a box from -1 to 1 half of it is 1; gamma bounds the number of steps, here to one."""
    net = Affine(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), torch.tensor([2.5, 0.0])).requires_grad_(False)
    model = sp.wrap(net, box=(-1, 1))
    x = torch.full((1, 2), -1.0)
    for theta in (1.0, 0.5, 0.25):
        result = JSMA(theta=theta, gamma=1)(model, x, torch.tensor([0]), sp.Threat("L0"))
        assert bool(result.success) == (theta == 1.0)
        assert torch.equal(result.x_adv, torch.full((1, 2), -1 + 2 * theta))
