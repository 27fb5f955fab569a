"""Defended models: the same classifier with other gradients, in bouts as any model, and BPDA that gets past them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.defenses import defend, stages
from sparring.defenses.inputs.bits import Bits, Levels
from sparring.errors import AccessError, InputError
from sparring.preprocess import STAGES, Defended, Stage, bpda, register_stage
from sparring.testing.case import same
from sparring.testing.fixtures import SHAPE, Paper, affine, curved, living
from sparring.testing.watch import counted, differences, state

PAPER = curved()


def thirds(x: Tensor) -> Tensor:
    return (x * 3).round() / 3


def grad(model: sp.Model, x: Tensor) -> Tensor:
    """The gradient of the sum of squared logits."""
    q = x.clone().requires_grad_()
    logits = model.logits(q)
    return torch.autograd.grad(logits.square().sum(), q)[0] if logits.requires_grad else torch.zeros_like(x)


# --- the same classifier, with the declared gradient ----------------------------------------------------------


@pytest.mark.parametrize("twin", ["straight_through", "exact", lambda x: x + 0.1 * (6 * x).sin()])
def test_exposed_says_the_same_to_the_last_bit(twin: Any) -> None:
    safe = defend(PAPER.net, thirds, backward=twin)
    x = PAPER.x.clone().requires_grad_()
    for model in (safe, safe.exposed(), safe.exposed().exposed()):
        assert torch.equal(model.logits(x), PAPER.net(thirds(x)))
        assert torch.equal(model.logits(PAPER.x), PAPER.net(thirds(PAPER.x)))
        assert torch.equal(model.labels(PAPER.x), PAPER.net(thirds(PAPER.x)).argmax(1))


def test_the_plain_gradient_is_zero_and_the_exposed_one_passes_straight_through() -> None:
    safe = defend(PAPER.net, thirds, backward="straight_through")
    assert not grad(safe, PAPER.x).any()
    assert torch.equal(grad(safe.exposed(), PAPER.x), grad(sp.wrap(PAPER.net), thirds(PAPER.x)))


def test_a_twin_gives_its_own_gradient_at_the_stages_answer() -> None:
    safe = defend(PAPER.net, thirds, backward=lambda x: x**3 / 3)
    expected = grad(sp.wrap(PAPER.net), thirds(PAPER.x)) * PAPER.x**2
    assert torch.allclose(grad(safe.exposed(), PAPER.x), expected)


def test_an_exact_stage_keeps_its_own_gradient() -> None:
    safe = defend(PAPER.net, torch.sin, backward="exact")
    assert torch.equal(grad(safe, PAPER.x), grad(safe.exposed(), PAPER.x))
    assert bool(grad(safe, PAPER.x).any())


def test_stages_that_leave_torch_are_bridged() -> None:
    def through_numpy(x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy().round(1))

    safe = defend(PAPER.net, through_numpy, backward="straight_through")
    doubts = sp.PGD(steps=3)(safe, PAPER.x, PAPER.y, ("Linf", 0.01)).doubts
    assert [doubt.code for doubt in doubts][:1] == ["zero-gradients"]
    assert bool(grad(safe.exposed(), PAPER.x).any())


def test_a_plain_model_exposes_itself() -> None:
    model = sp.wrap(PAPER.net)
    assert model.exposed() is model


@pytest.mark.parametrize("together", [True, False])
def test_the_first_stage_comes_first_and_a_new_defense_comes_before_the_old(together: bool) -> None:
    a, b = Stage(lambda x: x * 0.5, "exact", name="a"), Stage(torch.round, "straight_through", name="b")
    safe = defend(PAPER.net, a, b) if together else defend(defend(PAPER.net, b), a)
    assert torch.equal(safe.logits(PAPER.x), PAPER.net((PAPER.x * 0.5).round()))
    half = (PAPER.x * 0.5).round()
    assert torch.equal(grad(safe.exposed(), PAPER.x), 0.5 * grad(sp.wrap(PAPER.net), half))
    assert not grad(safe, PAPER.x).any()


def test_what_is_known_of_the_model_is_known_of_the_defended() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    inner = sp.wrap(net, mean=0.5, std=0.25, box=(-1, 1), access="score", num_classes=3, name="net", classes="abc")
    safe = defend(inner, torch.sin, backward="exact")
    x = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(safe.logits(x), net((x.sin() - 0.5) / 0.25))
    for name in ("box", "access", "num_classes", "classes", "device", "dtype", "mode"):
        assert getattr(safe, name) == getattr(inner, name)
    assert safe.name == "net behind sin"
    with pytest.raises(AccessError, match="grants only score access"):
        sp.attack("bpda")(safe, x, torch.zeros(2, dtype=torch.int64), ("Linf", 0.1))


def test_randomness_is_declared() -> None:
    assert not defend(PAPER.net, torch.sin, backward="exact").random
    noisy = defend(PAPER.net, Stage(lambda x: x + 0.1 * torch.randn_like(x), "exact", random=True))
    assert noisy.random
    assert defend(noisy, torch.sin, backward="exact").random


# --- bpda(), for anybody's nets -------------------------------------------------------------------------------


def test_bpda_is_a_module_for_any_sequential() -> None:
    last = nn.Linear(4, 2)
    net = nn.Sequential(bpda(torch.round), nn.Flatten(), last)
    x = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    net(x)[:, 0].sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad.flatten(1), last.weight[:1].expand(3, 4))
    with torch.no_grad():
        assert torch.equal(net(x), last(x.round().flatten(1)))


def test_bpda_takes_a_twin_that_changes_the_shape_and_demands_one() -> None:
    def coded(x: Tensor) -> Tensor:
        return torch.cat([(x > 0.3).float(), (x > 0.6).float()], 1)

    x = torch.tensor([[0.2, 0.7]], requires_grad=True)
    bpda(coded, lambda x: torch.cat([x, 2 * x], 1))(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[3.0, 3.0]]
    with pytest.raises(InputError, match=r"turned shape \(1, 2\) into \(1, 4\).*give a differentiable twin"):
        bpda(coded)(x)


def test_bpda_asks_the_stage_once_and_the_twin_only_where_there_is_a_gradient() -> None:
    asked: list[str] = []

    def saying(word: str) -> Callable[[Tensor], Tensor]:
        return lambda x: (asked.append(word), x * 1)[1]  # type: ignore[func-returns-value]

    module = bpda(saying("stage"), saying("twin"))
    module(torch.rand(2))
    assert asked == ["stage"]
    module(torch.rand(2, requires_grad=True))
    assert asked == ["stage", "stage", "twin"]


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "options", "says"),
    [
        ([torch.sin], {}, "the stage sin does not say how a gradient gets back through it; give backward='exact'"),
        ([nn.ReLU()], {}, "the stage ReLU does not say"),
        ([torch.sin], {"backward": "identity"}, "sin declares backward='identity'; it must be 'exact', 'straight"),
        ([], {}, "no stage is given; pass functions of pixels, or a name"),
        ([3], {"backward": "exact"}, "the stage is a int; pass a function or module"),
        (["jpg"], {}, "no stage is called 'jpg'; did you mean jpeg?"),
        (["bits"], {}, "the stage 'bits' does not fit: .*'n'"),
        (["bits:4,5"], {}, "the stage 'bits:4,5' does not fit"),
        (["bits:m=4"], {}, "the stage 'bits:m=4' does not fit: .*'m'"),
        (["bits:0"], {}, "bits is 0; it must be a whole number from 1 to 16"),
        (["bits:2.5"], {}, "bits is 2.5; it must be a whole number"),
        (["levels:1"], {}, "levels is 1; it must be a whole number of at least 2"),
    ],
)
def test_what_is_no_stage_is_refused_in_one_clear_line(stages: list[Any], options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        defend(PAPER.net, *stages, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("answer", "seen"), [(lambda x: x[:1], "shape"), (lambda x: x.numpy(), "a ndarray")])
def test_a_stage_that_gives_no_images_is_refused(answer: Callable[[Tensor], Any], seen: str) -> None:
    safe = defend(PAPER.net, answer, backward="straight_through")
    with pytest.raises(InputError, match=f"gave {seen}.*it must map a batch of images to as many"):
        safe.logits(PAPER.x)


# --- stages by name -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["bits:2", "levels:4", "bits:n=2", " levels : n = 4 "])
def test_named_stages_are_made_from_their_values(spec: str) -> None:
    safe = defend(PAPER.net, spec)
    assert torch.allclose(safe.logits(PAPER.x), PAPER.net(thirds(PAPER.x)))
    assert safe.name.endswith(f"behind {spec.strip()}")


def test_names_are_joined_and_take_the_models_box() -> None:
    safe = defend(sp.wrap(PAPER.net, box=(-1, 3)), "levels:3|bits:1")
    assert [str(stage) for stage in safe.stages] == ["levels:3", "bits:1"]
    x = torch.linspace(-1, 3, 20, dtype=torch.float64).reshape(1, *SHAPE)
    assert set(safe.stages[0].run(x).flatten().tolist()) == {-1.0, 1.0, 3.0}
    assert set(safe.stages[1].run(x).flatten().tolist()) == {-1.0, 3.0}


def test_bits_are_levels_and_a_pixel_on_a_level_stays() -> None:
    x = torch.rand(5, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Bits(3)(x), Levels(8)(x))
    assert torch.equal(Bits(3)(Bits(3)(x)), Bits(3)(x))
    assert float((Bits(3)(x) - x).abs().max()) <= 0.5 / 7 + 1e-6
    grey = torch.arange(256) / 255
    assert torch.allclose(Bits(8)(grey), grey)


def test_a_registered_stage_must_declare_its_backward_and_its_randomness() -> None:
    stages()  # fills the register
    with patch.dict(STAGES):

        class Half:
            backward = "exact"

        with pytest.raises(InputError, match="'half' does not declare 'random'"):
            register_stage("half")(Half)

        @register_stage("times")
        class Times:
            backward, random = "exact", True

            def __init__(self, by: float, box: tuple[float, float]) -> None:
                self.by = by

            def __call__(self, x: Tensor) -> Tensor:
                return x * self.by

        safe = defend(PAPER.net, "times:0.5")
        assert safe.random
        assert torch.equal(safe.logits(PAPER.x), PAPER.net(PAPER.x * 0.5))

        class Other:
            backward, random = "exact", False

        with pytest.raises(InputError, match="two stages are called 'times'"):
            register_stage("times")(Other)


# --- in bouts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ["pgd:steps=5", "bpda:steps=5", "square:queries=9", "apgd-t:steps=5,targets=2"])
def test_counts_are_exact_and_the_region_is_kept(attack: str) -> None:
    net, x = PAPER.net, PAPER.x
    safe = defend(net, thirds, backward=lambda x: x.sin())
    y = safe.labels(x)
    free = torch.ones(SHAPE, dtype=torch.bool)
    free[..., -1] = False
    with counted(net) as tally:
        result = sp.attack(attack)(safe, x, y, ("Linf", 0.2), region=free)
    assert int(result.queries.sum()) == tally.forward
    assert int(result.gradients.sum()) == tally.backward
    assert not bool(((result.x_adv != x) & ~free).any())
    assert torch.equal(result.success, safe.labels(result.x_adv) != y)


class Living(nn.Module):
    """A stage with weights, batch-norm statistics and dropout of its own."""

    backward = "exact"
    random = False

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.parts = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Dropout(0.5)).double()

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = x + 0.01 * self.parts(x)
        return z


def test_modules_among_the_stages_are_evaluated_and_left_as_they_were() -> None:
    paper = living()
    stage, twin = Living().train(), Living().train()
    safe = defend(paper.net, stage, Stage(torch.round, twin))
    parts = [paper.net, stage, twin]
    before = [state(part) for part in parts]
    with safe.guard():
        assert not any(module.training for part in parts for module in part.modules())
        assert not any(p.requires_grad for part in parts for p in part.parameters())
        x = paper.x.clone()
        assert torch.equal(safe.logits(x), safe.logits(x))
    first, again = (sp.attack("bpda:steps=4")(safe, paper.x, paper.y, ("Linf", 0.05)) for _ in range(2))
    same(first, again, "again")
    changed = [name for part, old in zip(parts, before, strict=True) for name in differences(old, state(part))]
    assert changed == []


def test_on_a_model_without_defenses_bpda_is_pgd() -> None:
    mine, pgd = (
        sp.attack(f"{name}:steps=7,restarts=2")(PAPER.net, PAPER.x, PAPER.y, ("L2", 0.3)) for name in ("bpda", "pgd")
    )
    same(mine, pgd, "without defenses")


def test_bpda_finds_the_optimum_that_hides_behind_rounding() -> None:
    """An affine net behind 256 levels: nearly the net itself, with a gradient of zero."""
    paper: Paper = affine()
    best = paper.optimum(sp.Linf)
    safe = defend(paper.net, "levels:256")
    threat = sp.Threat("Linf", float(best.max()) * 1.05 + 2 / 255)
    y = safe.labels(paper.x)
    assert bool(sp.attack("bpda")(safe, paper.x, y, threat).success.all())
    blind = sp.PGD()(safe, paper.x, y, sp.Threat("Linf", float(best.min()) * 1.5))
    assert "zero-gradients" in [doubt.code for doubt in blind.doubts]


def test_examples_to_train_on_get_past_the_defense_too() -> None:
    safe = defend(PAPER.net, thirds, backward="straight_through")
    y = safe.labels(PAPER.x)
    near = sp.attack("bpda:steps=5,random_start=false").craft(safe, PAPER.x, y, ("Linf", 0.2))
    still = sp.attack("pgd:steps=5,random_start=false").craft(safe, PAPER.x, y, ("Linf", 0.2))
    assert torch.equal(still, PAPER.x)
    assert float((near - PAPER.x).abs().max()) == pytest.approx(0.2)


def test_quantised_pixels_stop_pgd_and_not_bpda() -> None:
    model = sp.load_model("mnist-cnn")
    x, y = sp.load_data("mnist5k", n=50).tensors()
    safe: Defended = defend(model, "levels:4")
    clean = float((safe.labels(x) == y).float().mean())
    threat = sp.Threat("Linf", 0.3)
    bare, blind, past = (
        attack(net, x, y, threat)
        for attack, net in (
            (sp.PGD(steps=20), model),
            (sp.PGD(steps=20), safe),
            (sp.attack("bpda:steps=20"), safe),
        )
    )
    assert blind.robust_accuracy() >= clean - 0.1
    assert "zero-gradients" in [doubt.code for doubt in blind.doubts]
    assert abs(past.robust_accuracy() - bare.robust_accuracy()) <= 0.05
    assert "zero-gradients" not in [doubt.code for doubt in past.doubts]
