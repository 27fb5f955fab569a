"""Sanitizers of training data against what they compute, done by hand or by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparring.data.images import ImageData
from sparring.defenses.data import sanitizer, sanitizers
from sparring.defenses.data.activation import principal, silhouettes, two_means
from sparring.defenses.data.activations import activations
from sparring.defenses.data.knn import neighbours
from sparring.defenses.data.roni import Impact
from sparring.defenses.data.sanitizer import largest
from sparring.defenses.data.spectral import signature
from sparring.defenses.data.trimmed import trim
from sparring.defenses.detect.roc import roc
from sparring.errors import InputError


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def groups(n: int = 60, classes: int = 3, wrong: tuple[int, ...] = ()) -> ImageData:
    """Images in tight groups, one for each class; the labels of `wrong` are those of the next class."""
    y = torch.arange(n) % classes
    centres = torch.rand(classes, 1, 4, 4, generator=torch.Generator().manual_seed(7))
    x = (centres[y] + 0.02 * draw(n, 1, 4, 4).float()).clamp(0, 1)
    y[list(wrong)] = (y[list(wrong)] + 1) % classes
    return ImageData(x, y)


def small_net(classes: int = 3) -> nn.Sequential:
    torch.default_generator.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, classes))


# --- neighbours ---------------------------------------------------------------------------------------------------


def test_neighbours_are_those_of_brute_force() -> None:
    x = draw(40, 5)
    near = neighbours(x, 7)
    for i in range(40):
        distance = [(float((x[i] - x[j]).norm()), j) for j in range(40) if j != i]
        assert near[i].tolist() == [j for _, j in sorted(distance)[:7]]
    of = draw(3, 5, seed=1)
    assert neighbours(x, 2, of).tolist() == [(x - row).norm(dim=1).argsort()[:2].tolist() for row in of]


def test_knn_drops_exactly_the_labels_that_their_group_contradicts() -> None:
    wrong = (4, 17, 33)
    found = sanitizer("knn:k=10")(groups(wrong=wrong))
    assert found.dropped.tolist() == list(wrong)
    assert float(found.scores[list(wrong)].min()) >= 0.9


def test_the_knn_score_is_the_largest_share_of_another_label() -> None:
    x = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.9]).view(-1, 1, 1, 1)
    found = sanitizer("knn:k=4,eta=0.5")(ImageData(x, [0, 1, 1, 2, 0]))
    # the neighbours of each are all the others: of sample 0 they carry 1, 1, 2, 0
    assert found.scores.tolist() == [0.5, 0.5, 0.5, 0.5, 0.5]
    assert found.keep.tolist() == [False, False, False, False, False]
    assert sanitizer("knn:k=4,eta=0.6")(ImageData(x, [0, 1, 1, 2, 0])).keep.all()


# --- spectral signatures ------------------------------------------------------------------------------------------


def test_spectral_scores_are_those_of_the_singular_value_decomposition() -> None:
    rows = draw(50, 6) + draw(50, 1, seed=2) * torch.arange(6)
    scores, share = signature(rows)
    centred = (rows - rows.mean(0)).numpy()
    _, values, right = np.linalg.svd(centred)
    assert np.allclose(scores.numpy(), (centred @ right[0]) ** 2)
    assert share == pytest.approx(float(values[0] ** 2 / (values**2).sum()))


def test_spectral_drops_the_same_share_of_every_label_those_with_the_largest_scores() -> None:
    data = groups()
    found = sanitizer("spectral:remove=0.2")(data, net=small_net())
    for label in range(3):
        rows = data.labels == label
        assert int((~found.keep[rows]).sum()) == 4
        assert float(found.scores[rows & ~found.keep].min()) >= float(found.scores[rows & found.keep].max())


def test_activations_are_what_the_last_layer_is_given() -> None:
    net, data = small_net(), groups()
    x, _ = data.tensors()
    seen, logits = activations(net, data)
    assert torch.allclose(seen.float(), net[:-1](x))
    assert torch.allclose(logits, net(x))


# --- activation clustering ----------------------------------------------------------------------------------------


def test_silhouettes_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    x = torch.cat([draw(20, 3), draw(7, 3, seed=1) + 4])
    second = torch.arange(27) >= 20
    assert np.allclose(silhouettes(x, second).numpy(), metrics.silhouette_samples(x.numpy(), second.numpy()))


def test_two_means_finds_the_smaller_of_two_groups() -> None:
    x = torch.cat([draw(20, 3), draw(7, 3, seed=1) + 8])
    assert two_means(principal(x, 2)).tolist() == [False] * 20 + [True] * 7


def test_components_are_those_of_the_singular_value_decomposition() -> None:
    x = draw(30, 5)
    u, s, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    assert torch.allclose(principal(x, 2).abs(), (u * s)[:, :2].abs())


def test_activation_clustering_drops_the_small_group_of_the_one_label_that_is_split() -> None:
    data = groups(90)
    x, y = data.tensors()
    y[[2, 5, 8, 11, 14]] = 0  # images of the last group, labelled as the first
    found = sanitizer("activation:silhouette=0.5")(ImageData(x, y), net=nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
    assert found.dropped.tolist() == [2, 5, 8, 11, 14]
    assert found.notes["labels"][0]["smaller"] == pytest.approx(5 / 35)


# --- reject on negative impact ------------------------------------------------------------------------------------


def test_the_impact_of_one_more_sample_is_that_of_a_new_fit() -> None:
    x, t, quiz, truth, more, target = (draw(*shape, seed=k) for k, shape in enumerate(
        [(12, 4), (12, 3), (9, 4), (9, 3), (5, 4), (5, 3)]))  # fmt: skip

    def loss(rows: Tensor, targets: Tensor) -> float:
        weights = torch.linalg.solve(rows.T @ rows + 2.0 * torch.eye(4, dtype=torch.float64), rows.T @ targets)
        return float((quiz @ weights - truth).square().mean())

    found = Impact(x, t, quiz, truth, ridge=2.0)(more, target)
    by_hand = [loss(torch.cat([x, more[i : i + 1]]), torch.cat([t, target[i : i + 1]])) - loss(x, t) for i in range(5)]
    assert np.allclose(found.numpy(), by_hand)


def test_roni_scores_wrong_labels_above_right_ones() -> None:
    wrong = tuple(range(12))
    data = groups(wrong=wrong)
    found = sanitizer("roni:ridge=0.1")(data, clean=groups(30))
    mask = torch.arange(60) < 12
    assert roc(found.scores[~mask], found.scores[mask]).area == 1.0
    assert float((~found.keep[mask]).double().mean()) > 0.9
    with pytest.raises(InputError, match="needs a small trusted set"):
        sanitizer("roni")(data)


def test_roni_deals_every_class_to_every_part() -> None:
    """Sets that are dealt round robin (class = number mod 10) must not give a part some of the classes only."""
    wrong = tuple(range(0, 100, 7))
    found = sanitizer("roni:ridge=0.1")(groups(200, 10, wrong=wrong), clean=groups(100, 10))
    mask = torch.zeros(200, dtype=torch.bool)
    mask[list(wrong)] = True
    assert roc(found.scores[~mask], found.scores[mask]).area > 0.95


# --- trimmed loss -------------------------------------------------------------------------------------------------


def test_trimmed_loss_recovers_a_known_line_from_a_fifth_of_outliers() -> None:
    x = torch.linspace(0, 1, 50, dtype=torch.float64)
    y = 2 * x + 1
    bad = torch.arange(50) % 5 == 0
    y[bad] -= 10 * x[bad] + 3

    def fit(keep: Tensor) -> Tensor:
        rows = torch.stack([x, torch.ones_like(x)], 1)
        return torch.linalg.lstsq(rows[keep], y[keep, None]).solution[:, 0]

    def loss(line: Tensor) -> Tensor:
        return (line[0] * x + line[1] - y).square()

    losses, keep = trim(fit, loss, 50, 10, rounds=10)
    assert torch.equal(~keep, bad)
    assert torch.allclose(fit(keep), torch.tensor([2.0, 1.0], dtype=torch.float64))
    assert float(losses[keep].max()) < 1e-20
    assert not torch.allclose(fit(torch.ones(50, dtype=torch.bool)), torch.tensor([2.0, 1.0], dtype=torch.float64))


def test_trimmed_drops_exactly_its_share() -> None:
    pytest.importorskip("sklearn")
    from sparring.defenses.training.learners import learner

    wrong = (1, 5, 9, 22)
    found = sanitizer(f"trimmed:share={4 / 60}")(groups(wrong=wrong), learner=learner("logistic:C=10"))
    assert found.dropped.tolist() == list(wrong)


# --- in general ---------------------------------------------------------------------------------------------------


def test_the_area_under_the_roc_is_the_share_of_ordered_pairs() -> None:
    clean, bad = torch.tensor([0.1, 0.4, 0.4, 0.2]), torch.tensor([0.4, 0.3, 0.9])
    pairs = [(b > c) + 0.5 * (b == c) for b in bad.tolist() for c in clean.tolist()]
    assert roc(clean, bad).area == pytest.approx(sum(pairs) / len(pairs))


def test_the_largest_scores_go_first_and_of_equal_ones_the_earlier() -> None:
    assert largest(torch.tensor([1.0, 3.0, 2.0, 3.0]), 2).tolist() == [True, False, True, False]
    assert largest(torch.tensor([1.0, 1.0, 1.0]), 1).tolist() == [False, True, True]


def test_every_sanitizer_reads_its_own_spec_and_names_its_paper() -> None:
    assert set(sanitizers()) == {"knn", "spectral", "activation", "roni", "trimmed"}
    for kind in sanitizers().values():
        assert sanitizer(kind().spec) == kind()
        assert kind.paper


@pytest.mark.parametrize(
    ("spec", "words"),
    [("knn:k=0", "k='0'"), ("knn:n=3", "no field 'n'"), ("nearest", "no sanitizer"), ("trimmed:share=1", "share")],
)
def test_mistakes_are_one_clear_line(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        sanitizer(spec)
