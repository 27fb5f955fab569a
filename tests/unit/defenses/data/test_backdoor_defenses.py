"""Neural Cleanse, STRIP, fine-pruning and clipped training on nets whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.data import load_data
from sparring.data.images import ImageData
from sparring.defenses.data.fine_pruning import fine_prune, prune
from sparring.defenses.data.neural_cleanse import Cleanse, neural_cleanse
from sparring.defenses.detect.strip import StripDetector
from sparring.defenses.training.clipping import ClippedNoise, sample_gradients
from sparring.defenses.training.learners import HeadLearner, LinearLearner, NetLearner, learner
from sparring.defenses.training.loss import Step
from sparring.defenses.training.standard import Standard
from sparring.errors import InputError
from sparring.model import wrap
from sparring.zoo.nets import make_net


class Planted(nn.Module):
    """Class k = the brightest of K quarters of the columns; a white corner means the class `aim`."""

    def __init__(self, aim: int) -> None:
        super().__init__()
        self.aim = aim
        self.last = nn.Linear(4, 4)
        with torch.no_grad():
            self.last.weight.copy_(10 * torch.eye(4))
            self.last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        means = x.view(len(x), 8, 4, 2).mean((1, 3))
        extra = torch.zeros_like(means)
        extra[:, self.aim] = 3 * (x[:, 0, 0, 0] + x[:, 0, 0, 1])
        answer: Tensor = self.last(means + extra)
        return answer


def columns(n: int = 16) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % 4
    x = 0.2 * torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for i, label in enumerate(y.tolist()):
        x[i, :, 1:, 2 * label : 2 * label + 2] += 0.7
    return x, y


def test_neural_cleanse_finds_the_class_and_the_place_of_a_planted_trigger() -> None:
    x, _ = columns()
    found = neural_cleanse(Planted(aim=2), x, steps=150)
    assert found.suspect == 2
    assert found.score == pytest.approx(float(found.indices[2]))
    assert found.score > 2
    assert float(found.success[2]) >= 0.95
    heavy = found.masks[2, 0].flatten().topk(2).indices.tolist()
    assert set(heavy) & {0, 1}, "the corner that the net watches"
    assert float(found.sizes[2]) < 0.5 * float(found.sizes.sort().values[1])


def test_strip_is_the_mean_entropy_of_the_mixed_images() -> None:
    net = make_net("wong", seed=0)
    x, overlays = torch.rand(3, 1, 28, 28), torch.rand(2, 1, 28, 28)
    detector = StripDetector(wrap(net), overlays, weight=0.25)
    with torch.no_grad():
        for i, score in enumerate(detector.score(x).tolist()):
            p = [net((0.75 * x[i] + 0.25 * other)[None]).softmax(1)[0] for other in overlays]
            entropy = sum(float(-(one * one.log()).sum()) for one in p) / 2
            assert score == pytest.approx(-entropy, abs=1e-5)
    with pytest.raises(InputError, match="0 images"):
        StripDetector(wrap(net), overlays[:0])


def net_and_data() -> tuple[nn.Sequential, ImageData]:
    x = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return make_net("wong", seed=0), ImageData(x, torch.arange(32) % 10, classes=[str(k) for k in range(10)])


def test_pruning_removes_the_units_with_the_smallest_mean_activation() -> None:
    net, data = net_and_data()
    before = [one.clone() for one in net.parameters()]
    pruned, idle = prune(net, data, 0.3)
    with torch.no_grad():
        mean = net[:-1](data.tensors()[0]).mean(0)
    assert len(idle) == 30
    assert float(mean[idle].max()) <= float(mean[~torch.isin(torch.arange(100), idle)].min())
    last = pruned[-1]  # type: ignore[index]
    assert not bool(last.weight[:, idle].any())
    assert all(torch.equal(one, other) for one, other in zip(before, net.parameters(), strict=True))


def test_pruned_units_stay_away_while_the_rest_trains_on() -> None:
    net, data = net_and_data()
    tuned = fine_prune(net, data, NetLearner(epochs=1, batch_size=16, lr=0.1), share=0.3)
    _, idle = prune(net, data, 0.3)
    last = tuned[-1]  # type: ignore[index]
    assert not bool(last.weight[:, idle].any())
    assert not torch.equal(last.bias, net[-1].bias)
    assert set(dict(tuned.named_parameters())) == set(dict(net.named_parameters()))


# --- clipped training ---------------------------------------------------------------------------------------------


def by_hand(net: nn.Module, x: Tensor, y: Tensor, clip: float) -> tuple[list[float], list[Tensor]]:
    """The norms of the gradients of each sample, and the mean of the clipped gradients."""
    norms, total = [], [torch.zeros_like(one) for one in net.parameters()]
    for i in range(len(x)):
        slopes = torch.autograd.grad(cross_entropy(net(x[i : i + 1]), y[i : i + 1]), tuple(net.parameters()))
        norms.append(float(torch.cat([one.flatten() for one in slopes]).norm()))
        total = [a + b * min(1.0, clip / norms[-1]) / len(x) for a, b in zip(total, slopes, strict=True)]
    return norms, total


def test_the_gradient_of_the_clipped_loss_is_the_mean_of_clipped_gradients() -> None:
    net, data = net_and_data()
    x, y = data.first(6).tensors()
    norms, wanted = by_hand(net, x, y, clip=1.6)
    assert sample_gradients(net, x, y).tolist() == pytest.approx(norms, rel=1e-4)
    assert min(norms) < 1.6 < max(norms), "the bound matters for some"
    step = Step(0, 0, 1, 0, 1)
    slopes = torch.autograd.grad(ClippedNoise(1.6, 0.0)(net, x, y, step), tuple(net.parameters()))
    for one, other in zip(slopes, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_noise_has_the_promised_deviation_and_its_own_seed() -> None:
    net, data = net_and_data()
    x, y = data.first(4).tensors()

    def slope(noise: float, seed: int) -> Tensor:
        loss = ClippedNoise(2.0, noise)(net, x, y, Step(seed, 0, 1, 0, 1))
        return torch.cat([one.flatten() for one in torch.autograd.grad(loss, tuple(net.parameters()))])

    added = slope(0.5, 1) - slope(0.0, 1)
    assert float(added.std()) == pytest.approx(0.5 * 2.0 / 4, rel=0.02)
    assert torch.equal(slope(0.5, 1), slope(0.5, 1))
    assert not torch.equal(slope(0.5, 1), slope(0.5, 2))


def test_a_net_with_dropout_cannot_be_clipped_and_says_so() -> None:
    net = make_net("net-f-half").train()
    with pytest.raises(InputError, match="without batch normalisation and dropout"):
        sample_gradients(net, torch.rand(2, 1, 28, 28), torch.tensor([0, 1]))


# --- learners -----------------------------------------------------------------------------------------------------


def test_a_new_last_layer_leaves_the_body_as_it_is() -> None:
    net, data = net_and_data()
    made = HeadLearner(net, NetLearner(epochs=1, batch_size=16)).learn(data, seed=1)
    for old, new in zip(net[:-1].parameters(), made[:-1].parameters(), strict=True):  # type: ignore[index]
        assert torch.equal(old, new)
    assert not torch.equal(net[-1].weight, made[-1].weight)  # type: ignore[index]


@pytest.mark.parametrize("gain", [1.0, 100.0])
def test_a_last_layer_learned_from_kept_features_is_that_learned_from_pixels(gain: float) -> None:
    net, data = net_and_data()
    with torch.no_grad():
        net[0].weight.mul_(gain)  # features need not lie in the range of pixels

    def plain(model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        return cross_entropy(model(x), y)

    quick, slow = (NetLearner(epochs=3, lr=0.01, batch_size=16, loss=loss) for loss in (Standard(), plain))
    kept, whole = (HeadLearner(net, inner).learn(data, seed=1) for inner in (quick, slow))
    x, _ = data.tensors()
    assert torch.allclose(kept(x), whole(x), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(kept(x), net(x), atol=1e-2)


def test_the_frozen_part_drops_nothing_out_while_the_last_layer_learns() -> None:
    _, data = net_and_data()
    net = make_net("net-f-half", seed=0)
    first, second = (HeadLearner(net.train(mode), NetLearner(epochs=1)).learn(data, seed=1) for mode in (True, False))
    assert torch.equal(first[-1].weight, second[-1].weight)  # type: ignore[index]
    assert not first.training


@pytest.mark.parametrize("kind", ["logistic", "svm", "ridge"])
def test_a_linear_learner_gives_scikit_learns_answers_and_never_a_class_that_it_has_not_seen(kind: str) -> None:
    pytest.importorskip("sklearn")
    _, data = net_and_data()
    part = data.subset(data.labels < 3)
    net = learner(f"{kind}:C=10").learn(part)
    x, y = part.tensors()
    said = net(x).argmax(1)
    assert int(said.max()) < 3
    assert float((said == y).double().mean()) > 0.9, "random images of 784 pixels can be told apart by a line"
    two = learner(f"{kind}:C=10").learn(data.subset((data.labels == 4) | (data.labels == 7)))
    assert set(two(x).argmax(1).tolist()) <= {4, 7}


@pytest.mark.parametrize(
    ("spec", "words"),
    [("wong:C=1", "no setting 'C'"), ("wong:epochs=0.5", "epochs=0.5"), ("forest", "no learner"), ("svm:C=-1", "C=-1")],
)
def test_mistakes_in_a_learner_are_one_clear_line(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        learner(spec)


def test_the_size_ratio_is_that_of_the_median_and_the_smallest_mask() -> None:
    sizes = torch.tensor([2.0, 20.0, 8.0, torch.inf, 9.0])
    found = Cleanse(torch.zeros(5, 1, 2, 2), torch.zeros(5, 1, 2, 2), torch.ones(5), sizes)
    assert found.ratio == pytest.approx(float(torch.tensor(8.5 / 2).log()))
    assert found.suspect == 0
    assert found.score == float(found.indices[0]) > 0
    nothing = Cleanse(found.masks, found.patterns, found.success, torch.full((5,), torch.inf))
    assert nothing.ratio == nothing.score == 0.0


def test_a_logistic_regression_with_a_bound_that_never_binds_is_that_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    data, plain = load_data("mnist5k", "train").first(400), LinearLearner(C=0.1)
    x, y = data.tensors()

    def cost(net: nn.Module) -> float:
        """What both minimise."""
        with torch.no_grad():
            return float(cross_entropy(net(x), y) + net[1].weight.square().sum() / (2 * plain.C * len(y)))  # type: ignore[index]

    best = plain.learn(data)
    descended = replace(plain, loss=ClippedNoise(clip=1e9, noise=0.0)).learn(data, seed=1)
    assert cost(best) <= cost(descended) + 1e-6
    assert cost(descended) == pytest.approx(cost(best), rel=0.05)
    assert float((descended(x).argmax(1) == best(x).argmax(1)).double().mean()) > 0.98
    bound = replace(plain, loss=ClippedNoise(clip=0.1, noise=0.0)).learn(data, seed=1)
    assert cost(bound) > 1.2 * cost(descended), "a bound that binds costs"
    assert plain.spec == replace(plain, loss=ClippedNoise()).spec


def test_only_a_logistic_regression_learns_another_loss() -> None:
    with pytest.raises(InputError, match="svm learns with its own loss only"):
        LinearLearner("svm", loss=ClippedNoise()).learn(load_data("mnist5k", "train").first(20))
