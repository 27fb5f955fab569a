"""The training losses: what they compute, held against formulas written out, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import sparring as sp
from sparring.data import ImageData, load_data
from sparring.defenses.training import (
    AWP,
    RECIPES,
    AdversarialTraining,
    Distillation,
    EnsembleAdversarialTraining,
    Free,
    GaussianNoise,
    GradAlign,
    JacobianPenalty,
    Mart,
    Standard,
    Step,
    Trades,
    TrainingError,
    Watch,
    adversarial_loss,
    distillation_loss,
    find_recipe,
    fit,
    mart_loss,
    trades_loss,
)
from sparring.defenses.training.gradalign import alignment
from sparring.errors import InputError
from sparring.threat import Threat

LINF = Threat("Linf", 0.2)


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 4))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(6)
    return torch.rand(12, 1, 6, 6, generator=source), torch.randint(0, 4, (12,), generator=source)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data("mnist5k", "train").first(400)


def step(seed: int = 1, batch: int = 0, batches: int = 1, epoch: int = 9) -> Step:
    return Step(seed, epoch, 10, batch, batches)


# --- examples -------------------------------------------------------------------------------------------------


def test_every_image_is_attacked_also_those_that_are_wrong(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    wrong = net(x).argmax(1) != y
    assert wrong.any()
    x_adv = sp.PGD(steps=3).craft(net, x, y, LINF)
    moved = (x_adv - x).flatten(1).abs().amax(1)
    assert torch.all(moved > 0.1)
    assert torch.all(moved <= 0.2 + 1e-6)
    assert torch.all(cross_entropy(net(x_adv), y, reduction="none") > cross_entropy(net(x), y, reduction="none"))


def test_crafting_spends_no_pass_on_verdicts(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch

    class Counted(nn.Module):
        passes = 0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(36, 4)

        def forward(self, z: Tensor) -> Tensor:
            Counted.passes += 1
            answer: Tensor = self.layer(z.flatten(1))
            return answer

    sp.PGD(steps=7).craft(Counted(), x, y, LINF)
    assert Counted.passes == 7


def test_crafting_is_the_same_in_any_batch_and_differs_by_seed(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    whole = sp.PGD(steps=2).craft(net, x, y, LINF, seed=3)
    parts = torch.cat([sp.PGD(steps=2).craft(net, x[i : i + 5], y[i : i + 5], LINF, seed=3) for i in (0, 5, 10)])
    assert torch.allclose(whole, parts, atol=1e-6)
    assert not torch.allclose(whole, sp.PGD(steps=2).craft(net, x, y, LINF, seed=4), atol=1e-3)


def test_crafting_gives_what_a_call_ends_with(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    """BIM has no random start, so both ways go through the same points."""
    x, _ = batch
    y = net(x).argmax(1)  # all right before: a call would not attack the others
    assert torch.allclose(sp.BIM(steps=4).craft(net, x, y, LINF), sp.BIM(steps=4)(net, x, y, LINF, keep="last").x_adv)


# --- losses ---------------------------------------------------------------------------------------------------


def test_madry_is_the_cross_entropy_of_the_examples_and_mix_adds_the_clean_one(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    loss = AdversarialTraining(LINF, sp.FGSM(), warm_up=0.0, mix=0.3)
    x_adv = sp.FGSM().craft(net, x, y, LINF)
    expected = 0.7 * cross_entropy(net(x_adv), y) + 0.3 * cross_entropy(net(x), y)
    assert torch.allclose(loss(net, x, y, step()), expected)
    assert torch.allclose(adversarial_loss(net, x, y, "fgsm", 0.3, threat=LINF), expected)


def test_trades_is_cross_entropy_plus_beta_times_the_divergence(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    loss = Trades(LINF, sp.PGD(steps=3), warm_up=0.0, beta=2.5)
    x_adv = loss.examples(net, x, y, step(7))
    p, q = net(x).softmax(1), net(x_adv).softmax(1)
    expected = cross_entropy(net(x), y) + 2.5 * (p * (p / q).log()).sum(1).mean()
    assert torch.allclose(loss(net, x, y, step(7)), expected, atol=1e-6)
    assert torch.allclose(trades_loss(net, x, y, "pgd:steps=3", 2.5, threat=LINF, seed=7), expected, atol=1e-6)


def test_trades_examples_climb_the_divergence_and_not_the_label(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    one = Trades(LINF, sp.PGD(steps=5), warm_up=0.0).examples(net, x, y, step(7))
    other = Trades(LINF, sp.PGD(steps=5), warm_up=0.0).examples(net, x, (y + 1) % 4, step(7))
    assert torch.equal(one, other)
    noise = sp.PGD(steps=1, step=1e-9).craft(net, x, y, LINF, seed=7)

    def divergence(z: Tensor) -> Tensor:
        p, q = net(x).softmax(1), net(z).softmax(1)
        return (p * (p / q).log()).sum(1)

    assert torch.all(divergence(one) > divergence(noise))


def test_trades_refuses_an_attack_without_a_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    with patch.dict("sparring.attack.REGISTRY"):

        @sp.register("lossless", title="", sees="gradient", norms=(sp.Linf,), year=2026, paper="")
        class Lossless(sp.Attack):
            def run(self, bout: sp.Bout) -> None: ...

    with pytest.raises(InputError, match="takes no loss"):
        trades_loss(net, *batch, Lossless(), threat=LINF)


def test_mart_is_the_formula_of_the_paper(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    loss = Mart(LINF, sp.PGD(steps=2), warm_up=0.0, weight=4.0)
    x_adv = loss.examples(net, x, y, step(2))
    p, q = net(x).softmax(1), net(x_adv).softmax(1)
    total = torch.zeros(())
    for i in range(len(x)):
        rival = max(q[i, k] for k in range(4) if k != y[i])
        drift = sum(p[i, k] * (p[i, k] / q[i, k]).log() for k in range(4))
        total = total - q[i, y[i]].log() - (1.0001 - rival).log() + 4 * drift * (1 - p[i, y[i]])
    assert torch.allclose(loss(net, x, y, step(2)), total / len(x), atol=1e-5)
    assert torch.allclose(mart_loss(net, x, y, "pgd:steps=2", 4.0, threat=LINF, seed=2), total / len(x), atol=1e-5)


def test_awp_takes_the_gradient_at_pushed_weights_and_leaves_them_alone(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    base = AdversarialTraining(LINF, sp.FGSM(), warm_up=0.0)
    x_adv = base.examples(net, x, y, step())
    before = [p.detach().clone() for p in net.parameters()]
    value = AWP(base, gamma=0.05)(net, x, y, step())
    value.backward()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    found = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    assert len(found) == len(before)
    # by hand, on a copy
    net.zero_grad()
    clean = cross_entropy(net(x_adv), y)
    clean.backward()
    with torch.no_grad():
        for p in net.parameters():
            if p.dim() > 1 and p.grad is not None:
                p += 0.05 * p.norm() / p.grad.norm() * p.grad
    net.zero_grad()
    pushed = cross_entropy(net(x_adv), y)
    pushed.backward()
    assert pushed > clean, "the second player raises the loss"
    assert torch.allclose(value, pushed)
    assert all(torch.allclose(g, p.grad, atol=1e-7) for g, p in zip(found, net.parameters(), strict=True))  # type: ignore[arg-type]


def test_awp_counts_one_pass_in_batch_norm(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    with torch.random.fork_rng():
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 4)).train()
    AWP(AdversarialTraining(LINF, sp.FGSM(), warm_up=0.0))(net, x, y, step()).backward()
    assert int(net[1].num_batches_tracked) == 1  # type: ignore[arg-type]


def test_free_moves_on_with_the_gradient_of_the_one_backward_pass(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    loss = Free(LINF, replays=3)
    loss(net, x, y, step(batch=0, batches=3)).backward()
    first = loss._d
    assert first is not None
    loss(net, x, y, step(batch=1, batches=3)).backward()
    assert loss._d is not None
    assert not torch.equal(loss._d, first), "it carries on"
    assert float(loss._d.abs().max()) <= 0.2 + 1e-6
    before, after = (cross_entropy(net((x + d).clamp(0, 1)), y) for d in (first, loss._d))
    assert after > before
    again = Free(LINF, replays=3)
    again(net, x, y, step(batch=0, batches=3)).backward()
    assert torch.equal(again._d, first), "a new epoch, hence a resumed run, starts alike"  # type: ignore[arg-type]


def test_the_loop_replays_batches_for_free_training(digits: ImageData) -> None:
    seen: list[tuple[int, Tensor]] = []

    class Watched(Free):
        def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
            seen.append((step.batch, x))
            assert step.batches == 12
            return super().__call__(model, x, y, step)

    from sparring.zoo.nets import make_net

    fit(make_net("wong"), digits, epochs=1, batch_size=100, loss=Watched(LINF, replays=3), device="cpu")
    assert [number for number, _ in seen] == list(range(12))
    assert torch.equal(seen[0][1], seen[2][1])
    assert not torch.equal(seen[2][1], seen[3][1])


def test_an_affine_net_is_perfectly_aligned_and_gradalign_pulls_a_bent_one(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    with torch.random.fork_rng():
        straight = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    two = y % 2
    assert alignment(straight, x, two, LINF, 0).item() == pytest.approx(1.0, abs=1e-5), "two classes: one direction"
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 12
    bent = float(alignment(net, x, y, LINF, 0).detach())
    assert bent < 0.9
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(30):
        optimizer.zero_grad()
        (1 - alignment(net, x, y, LINF, 0)).backward()
        optimizer.step()
    assert float(alignment(net, x, y, LINF, 0).detach()) > bent + 0.03
    assert alignment(net, x, y, LINF, 0).requires_grad


def test_gradalign_adds_its_penalty(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    base = AdversarialTraining(LINF, sp.PGD(steps=1, step=1.25), warm_up=0.0)
    here = step(4)
    value = GradAlign(base, weight=0.5)(net, x, y, here)
    expected = base(net, x, y, step(4)) + 0.5 * (1 - alignment(net, x, y, LINF, 4))
    assert torch.allclose(value, expected)
    assert here.notes["cosine"] == pytest.approx(float(alignment(net, x, y, LINF, 4)), abs=1e-5)


def test_ensemble_training_attacks_other_nets(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    with torch.random.fork_rng():
        other = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    loss = EnsembleAdversarialTraining(LINF, warm_up=0.0, sources=(other,))
    made = {seed: loss.examples(net, x, y, step(seed)) for seed in (0, 1)}
    assert torch.equal(made[0], sp.FGSM().craft(other, x, y, LINF))
    assert torch.equal(made[1], sp.FGSM().craft(net, x, y, LINF))
    with pytest.raises(InputError, match="needs other nets"):
        EnsembleAdversarialTraining(LINF)


def test_the_jacobian_penalty_is_unbiased(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    with torch.random.fork_rng():
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    size = float(net[1].weight.square().sum())  # type: ignore[union-attr,arg-type,operator]
    value = JacobianPenalty(2.0, projections=400)(net, x, y, step())
    assert float(value - cross_entropy(net(x), y)) == pytest.approx(size, rel=0.05)


def test_noise_smoothing_and_temperature(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    assert GaussianNoise(0.5)(net, x, y, step(1)) != GaussianNoise(0.5)(net, x, y, step(2))
    assert torch.allclose(GaussianNoise(1e-6)(net, x, y, step()), cross_entropy(net(x), y), atol=1e-5)
    assert torch.allclose(Standard(temperature=10)(net, x, y, step()), cross_entropy(net(x) / 10, y))
    smooth = Standard(smoothing=0.2)(net, x, y, step())
    log_p = net(x).log_softmax(1)
    expected = -(0.8 * log_p[torch.arange(12), y] + 0.2 * log_p.mean(1)).mean()
    assert torch.allclose(smooth, expected)


def test_distillation_is_least_for_the_teacher_itself(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    loss = Distillation(net, temperature=20.0)
    with torch.random.fork_rng():
        student = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    soft = (net(x) / 20).softmax(1)
    expected = -(soft * (student(x) / 20).log_softmax(1)).sum(1).mean()
    assert torch.allclose(loss(student, x, y, step()), expected)
    assert torch.allclose(distillation_loss(student, x, y, net, 20.0), expected)
    assert loss(net, x, y, step()) < expected
    loss(student, x, y, step()).backward()
    assert all(p.grad is None for p in net.parameters()), "the teacher learns nothing"


# --- the watch ------------------------------------------------------------------------------------------------


def test_the_alarm_rings_for_a_fall_and_for_a_gap_but_not_while_eps_grows() -> None:
    watch = Watch(LINF)
    fine = {"epoch": 1.0, "eps": 0.2, "accuracy": 0.8, "robust_accuracy": 0.75}
    assert not watch.alarm([fine])
    assert not watch.alarm([fine, fine | {"robust_accuracy": 0.6}])
    assert watch.alarm([fine, fine | {"robust_accuracy": 0.5}])
    assert watch.alarm([fine | {"robust_accuracy": 0.01}])
    assert not watch.alarm([fine, fine | {"robust_accuracy": 0.1, "eps": 0.1}])
    assert not replace(watch, stop=False).alarm([fine, fine | {"robust_accuracy": 0.0}])


def test_catastrophic_overfitting_ends_the_run_with_the_weights_of_the_epoch_before(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparring.zoo.nets import make_net

    measured = iter([0.7, 0.72, 0.1, 0.9])
    weights: list[dict[str, Tensor]] = []

    def measure(self: Watch, net: nn.Module, data: ImageData) -> float:
        weights.append({name: weight.clone() for name, weight in net.state_dict().items()})
        return next(measured)

    monkeypatch.setattr(Watch, "measure", measure)
    loss = AdversarialTraining(LINF, sp.FGSM(), warm_up=0.0)
    options = {"batch_size": 100, "loss": loss, "device": "cpu", "watch": Watch(LINF, gap=1.0)}
    run = fit(make_net("wong"), digits, epochs=5, out=tmp_path / "run", **options)  # type: ignore[arg-type]
    assert [record["robust_accuracy"] for record in run.history] == [0.7, 0.72, 0.1]
    assert run.stopped is not None
    assert "catastrophic overfitting in epoch 3" in run.stopped
    kept = {name: weight.clone() for name, weight in run.net.state_dict().items()}
    assert all(torch.equal(kept[name], weight) for name, weight in weights[1].items())
    assert not all(torch.equal(kept[name], weight) for name, weight in weights[0].items())
    again = fit(make_net("wong"), digits, epochs=5, out=tmp_path / "run", resume=True, **options)  # type: ignore[arg-type]
    assert len(again.history) == 3, "a run that was stopped does not go on"


def test_a_run_that_fails_at_once_is_an_error(digits: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring.zoo.nets import make_net

    monkeypatch.setattr(Watch, "measure", lambda self, net, data: 0.0)
    loss = AdversarialTraining(LINF, sp.FGSM(), warm_up=0.0)
    watch = Watch(LINF, gap=-1.0)
    with pytest.raises(TrainingError, match="catastrophic overfitting in epoch 1"):
        fit(make_net("wong"), digits, epochs=3, batch_size=100, loss=loss, device="cpu", watch=watch)


# --- recipes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if n not in ("ensemble", "distillation")])
def test_every_recipe_trains_a_step(name: str, digits: ImageData) -> None:
    from sparring.zoo.nets import make_net

    recipe, values = find_recipe(name)
    run = fit(make_net("wong"), digits.first(40), epochs=1, batch_size=20, loss=recipe.loss(LINF, values), device="cpu")
    assert run.history[0]["loss"] > 0


def test_a_recipe_takes_options_and_refuses_what_it_does_not_know() -> None:
    recipe, values = find_recipe("trades:beta=6,steps=3")
    loss = recipe.loss(LINF, values)
    assert isinstance(loss, Trades)
    assert (loss.beta, loss.attack.spec) == (6.0, "pgd:steps=3")
    with pytest.raises(InputError, match="no option 'gamma'; it has beta, steps, warm_up"):
        find_recipe("trades:gamma=1")[0].loss(LINF, {"gamma": "1"})
    with pytest.raises(InputError, match="give a float"):
        recipe.loss(LINF, {"beta": "much"})
    with pytest.raises(InputError, match="needs a radius"):
        recipe.loss(None)
    with pytest.raises(InputError, match="needs a teacher"):
        find_recipe("distillation")[0].loss(None)
    with pytest.raises(InputError, match="write field=value"):
        find_recipe("trades:6")
