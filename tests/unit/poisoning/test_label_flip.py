"""Label flips: exact counts, permitted classes, and the optimised ones against exhaustive search."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.poisoning import poison
from sparring.poisoning.alfa import alfa, flip
from sparring.poisoning.knowledge import Knowledge
from sparring.poisoning.linear import Linear, features, losses


def numbers(n: int, classes: int, seed: int = 0, side: int = 4) -> ImageData:
    """Grey images around one random centre a class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = torch.rand(classes, 1, side, side, generator=generator)
    x = (centres[y] + 0.1 * torch.randn(n, 1, side, side, generator=generator)).clamp(0, 1)
    return ImageData(x.mul(255).round().to(torch.uint8), y, classes=[str(k) for k in range(classes)])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.4])
@pytest.mark.parametrize("choose", ["random", "near", "far"])
def test_exactly_the_share_is_flipped_and_every_flip_is_wrong(share: float, choose: str) -> None:
    data = numbers(200, 5)
    made = poison(f"label-flip:share={share},choose={choose}")(data, seed=3)
    differ = (made.data.labels != data.labels).nonzero().flatten()
    assert len(differ) == round(share * 200)
    assert differ.tolist() == made.changed.tolist() == made.manifest["changed"]
    assert int(made.data.labels.min()) >= 0
    assert int(made.data.labels.max()) < 5
    assert torch.equal(made.data.tensors()[0], data.tensors()[0])
    assert data.labels.tolist() == (torch.arange(200) % 5).tolist(), "the clean set is untouched"


@pytest.mark.parametrize("choose", ["random", "near", "far"])
def test_a_class_pair_touches_that_class_only_and_gives_that_label_only(choose: str) -> None:
    data = numbers(200, 5)
    made = poison(f"label-flip:share=0.1,source=1,target=4,choose={choose}")(data)
    assert set(data.labels[made.changed].tolist()) == {1}
    assert set(made.data.labels[made.changed].tolist()) == {4}
    assert len(made.changed) == 20


def test_random_flips_reach_every_other_class_alike() -> None:
    data = numbers(3000, 3)
    made = poison("label-flip:share=1")(data)
    shift = (made.data.labels - data.labels) % 3
    assert abs(float((shift == 1).double().mean()) - 0.5) < 0.03
    assert not bool((shift == 0).any())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("label-flip:share=0.5,source=1", "40 samples of class 1"),
        ("label-flip:share=0.1,source=9", "source=9"),
        ("label-flip:share=20", "at most 1"),
        ("label-flip:share=0.1,choose=worst", "choose"),
        ("label-flip:share=0.1,choose=optimised,target=1", "takes all classes"),
        ("label-flip:shape=0.1", "no field 'shape'"),
        ("label-flop", "did you mean label-flip"),
    ],
)
def test_mistakes_are_one_clear_line(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poison(spec)(numbers(200, 5))


def test_a_seed_gives_one_set_and_another_seed_another() -> None:
    data, attack = numbers(200, 5), poison("label-flip:share=0.2")
    first = attack(data, seed=1).manifest["fingerprint"]
    assert first == attack(data, seed=1).manifest["fingerprint"] != attack(data, seed=2).manifest["fingerprint"]


def test_an_adversary_without_the_data_changes_only_the_half_that_it_sees() -> None:
    data = numbers(200, 5)
    made = [poison("label-flip:share=0.5")(data, seed=4, knows=Knowledge(data=False)) for _ in range(2)]
    assert len(made[0].changed) == 100
    assert made[0].changed.tolist() == made[1].changed.tolist()
    with pytest.raises(InputError, match="the adversary sees 100"):
        poison("label-flip:share=0.6")(data, knows=Knowledge(data=False))


# --- against a linear model ---------------------------------------------------------------------------------------


def two_groups(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64) + 2.2 * (2 * y[:, None] - 1)
    return x, y


def error_after(x: Tensor, y: Tensor, flipped: tuple[int, ...]) -> float:
    learner = Linear(2, C=1.0)
    labels = y.clone()
    labels[list(flipped)] = 1 - labels[list(flipped)]
    weights = learner.fit(x, labels)
    return float((learner.logits(weights, x).argmax(1) != y).double().mean())


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1])
def test_optimised_flips_beat_random_ones_and_reach_the_exhaustive_optimum_on_a_tiny_set(seed: int) -> None:
    x, y = two_groups(12, seed)
    tries = [error_after(x, y, rows) for rows in combinations(range(12), 4)]
    found = alfa(x, y, 4, Linear(2, C=1.0), seed=0)
    assert int((found.labels != y).sum()) <= 4
    flipped = tuple((found.labels != y).nonzero().flatten().tolist())
    assert error_after(x, y, flipped) == pytest.approx(found.error)
    assert found.error > 2 * float(np.mean(tries)), "twice the mean of random flips"
    assert max(tries) >= found.error >= 0.75 * max(tries)


def test_the_largest_gains_are_the_optimum_of_the_linear_programme() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    generator = torch.Generator().manual_seed(0)
    n, budget = 20, 6
    y = torch.randint(0, 2, (n,), generator=generator)
    before, after = torch.rand(2, n, 2, generator=generator, dtype=torch.float64)
    flipped = flip(y, before, after, budget) != y
    # q = 1 keeps the label, q = 0 flips it: minimise sum q (e'_y - e_y) + (1 - q)(e'_other - e_other)
    rows = torch.arange(n)
    keep, swap = (after - before)[rows, y], (after - before)[rows, 1 - y]
    # the attack wants the poisoned learner to fit its labels, and the clean one not to: it takes the smaller sum
    answer = optimize.linprog(
        (keep - swap).numpy(), A_ub=-np.ones((1, n)), b_ub=[-(n - budget)], bounds=[(0, 1)] * n, method="highs"
    )
    assert ((1 - answer.x) > 0.5).tolist() == flipped.tolist()


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_logistic_learner_is_scikit_learns(C: float) -> None:
    models = pytest.importorskip("sklearn.linear_model")
    data = numbers(150, 3)
    x = data.tensors()[0].flatten(1).double()
    mine = Linear(3, C, steps=500).fit(x, data.labels)
    other = models.LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(x.numpy(), data.labels.numpy())
    assert np.allclose(mine[:-1].T.numpy(), other.coef_, atol=2e-3)
    assert np.allclose((x @ mine[:-1] + mine[-1]).softmax(1).numpy(), other.predict_proba(x.numpy()), atol=2e-3)


def test_losses_of_every_label_agree_with_torch() -> None:
    logits = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    wanted = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    assert torch.allclose(losses(logits)[torch.arange(7), y], wanted)
    signs = torch.full((7, 4), -1.0, dtype=torch.float64)
    signs[torch.arange(7), y] = 1
    hinge = (1 - signs * logits).clamp(min=0).square().sum(1)
    assert torch.allclose(losses(logits, "svm")[torch.arange(7), y], hinge)


def test_components_keep_the_distances_when_all_are_kept() -> None:
    x = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    reduced = features(x, components=15)
    centred = x.flatten(1).double() - x.flatten(1).double().mean(0)
    values = torch.linalg.svdvals(centred)
    assert torch.allclose(reduced.square().sum(), values[:15].square().sum())


def test_optimised_flips_hurt_a_linear_victim_more_than_random_ones() -> None:
    pytest.importorskip("sklearn")
    from sparring.defenses.training.learners import learner
    from sparring.defenses.training.measure import clean_accuracy

    data, victim = numbers(300, 3, side=6), learner("logistic:C=1")
    right = {
        choose: clean_accuracy(
            victim.learn(poison(f"label-flip:share=0.35,choose={choose}")(data, victim=victim).data), data
        )
        for choose in ("random", "optimised")
    }
    assert right["optimised"] < right["random"] - 0.2
