"""Models too expensive for searches: attacks search on a surrogate, and the model itself decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.majority_vote import judged
from sparring.audit.cascade.wrappers import subject, surrogate_of, surrogate_text
from sparring.audit.suites.stage import Stage as AuditStage
from sparring.audit.suites.stage import Suite
from sparring.defenses import defend
from sparring.defenses.purify.diffpure import DiffPure
from sparring.preprocess import Defended, Stage


class Dear:
    """Answers as it pleases, counts what it is shown, and offers a cheaper one."""

    backward = "exact"
    random = False

    def __init__(self, shift: float) -> None:
        self.shift, self.seen = shift, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x + self.shift

    def surrogate(self) -> Stage:
        """The same without the shift."""
        return Stage(lambda x: x, "exact", name="nothing")


@pytest.fixture
def safe() -> tuple[sp.Model, Dear]:
    dear = Dear(0.2)
    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    return defend(net, Stage(dear, "exact", name="dear")), dear


def test_a_model_whose_stages_offer_nothing_has_none() -> None:
    net = sp.load_model("mnist-cnn")
    assert surrogate_of(net) is None
    assert surrogate_of(defend(net, "bits:4")) is None
    assert surrogate_of(defend(net, "defense-gan:steps=5,restarts=1,start=encoder")) is None
    with pytest.raises(sp.InputError, match="has no surrogate"):
        subject(net, "surrogate", torch.zeros(1, 1, 28, 28))


def test_defense_gans_is_named_by_its_options() -> None:
    cheaper = surrogate_of(defend(sp.load_model("mnist-cnn"), "defense-gan"))
    assert cheaper is not None
    assert surrogate_text(cheaper) == "defense-gan:steps=5,restarts=1,start=encoder"
    assert not getattr(cheaper, "random", True)


def test_diffpures_takes_one_step_of_the_defenses_net() -> None:
    model = defend(sp.load_model("mnist-cnn"), "diffpure:t=0.3,steps=4")
    cheaper = surrogate_of(model)
    assert cheaper is not None
    assert surrogate_text(cheaper) == "diffpure:t=0.3,steps=1"
    assert getattr(cheaper, "random", False), "its gradients are averaged over draws, too"
    assert surrogate_of(cheaper) is None
    x, _ = sp.load_data("mnist5k", "test", n=3).tensors()
    with denoised(model) as full:
        model.logits(x)
    with denoised(model) as cheap:
        cheaper.logits(x)
    assert (full[0], cheap[0]) == (4 * 3, 3)
    point = x[:1].clone().requires_grad_()
    with denoised(model) as cheap:
        (slope,) = torch.autograd.grad(cheaper.logits(point).sum(), point)
    assert cheap[0] == 1, "nothing is computed twice"
    assert bool(slope.any())


@pytest.mark.long
def test_an_audit_on_diffpures_surrogate_says_so_and_leaves_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COPIES": 4, "LAST_COPIES": 2, "SHORT": 10}.items():
        monkeypatch.setattr(f"sparring.audit.cascade.adaptive.{name}", value)
    data = sp.load_data("mnist5k", "test", n=3).tensors()
    lone = Suite("lone", "", (AuditStage("PGD-10", "pgd:steps=10", "iterative"),), curves=())
    model, reports, spent = defend(sp.load_model("mnist-cnn"), "diffpure:steps=8"), [], []
    for _ in range(2):
        with denoised(model) as seen:
            # at a radius where most images stand: how soon the others fall, which rounding decides, says little
            reports.append(sp.audit(model, data, ("Linf", 0.2), suite=lone))
        spent.append(seen[0])
        monkeypatch.setattr(DiffPure, "surrogate", lambda _: None)
    cheap, full = reports
    assert cheap.settings["surrogate"] == "diffpure:t=0.2,steps=1"
    assert "Attacks searched on a surrogate, diffpure:t=0.2,steps=1; the model itself decided" in cheap.verdict
    assert "surrogate" not in full.settings
    assert cheap.robust.hits <= full.robust.hits
    assert cheap.robust.hits < cheap.clean.hits, "it breaks something"
    assert 1.5 * spent[0] < spent[1], spent


@contextmanager
def denoised(model: Defended) -> Iterator[list[int]]:
    """How many images the diffusion model's net is shown, in a list of one number."""
    seen = [0]

    def count(net: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
        seen[0] += len(given[0])

    stage = model.stages[0].run
    assert isinstance(stage, DiffPure)
    hook = stage.model.net.register_forward_hook(count)
    yield seen
    hook.remove()


def test_the_model_itself_decides_what_was_found_on_the_surrogate(safe: tuple[sp.Model, Dear]) -> None:
    class Lopsided(Dear):
        """It undoes any attack on class 0."""

        def __call__(self, x: Tensor) -> Tensor:
            self.seen += len(x)
            return torch.stack([x[:, 0] + 1, x[:, 1]], 1)

    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    x, y = torch.tensor([[0.6, 0.4], [0.7, 0.3]]), torch.zeros(2, dtype=torch.int64)
    for dear, left in ((Lopsided(0.0), 1.0), (Dear(0.0), 0.0)):
        model = defend(net, Stage(dear, "exact", name="dear"))
        report = sp.audit(model, (x, y), ("Linf", 0.3), suite=["pgd:steps=10"], clean_floor=0.0)
        assert report.robust_accuracy == left
        assert report.settings["surrogate"] == "nothing"
        assert "Attacks searched on a surrogate, nothing; the model itself decided each success" in report.verdict
        assert dear.seen < 600, "it is asked to judge and to be probed, not in every step"


@pytest.mark.parametrize(("backward", "left"), [("exact", 0.0), ("straight_through", 1.0)])
def test_what_a_surrogate_does_not_show_is_climbed_on_the_defense_itself(backward: str, left: float) -> None:
    class Deaf(Dear):
        """Its surrogate moves nothing along the direction that counts."""

        def surrogate(self) -> Stage:
            return Stage(lambda x: 0 * x + torch.tensor([0.6, 0.4]), "exact", name="deaf")

    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    x, y = torch.tensor([[0.6, 0.4], [0.7, 0.3]]), torch.zeros(2, dtype=torch.int64)
    model = defend(net, Stage(Deaf(0.0), backward, name="dear"))  # type: ignore[arg-type]
    report = sp.audit(model, (x, y), ("Linf", 0.3), suite=["pgd:steps=10"], clean_floor=0.0)
    assert report.robust_accuracy == left
    titles = [one.stage.title for one in report.attacks]
    assert ("PGD (margin, the defense itself)" in titles) == (backward == "exact")


def test_screened_points_are_dropped_after_two_looks_that_are_right(safe: tuple[sp.Model, Dear]) -> None:
    model, dear = safe
    x, y = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4]]), torch.zeros(3, dtype=torch.int64)
    result = sp.attack("fgsm")(model, x, y, ("Linf", 0.01))
    points = torch.tensor([[0.3, 0.5], [0.7, 0.4], [0.6, 0.4]])
    result, dear.seen = replace(result, x_adv=points, queries=torch.zeros(3, dtype=torch.int64)), 0
    found = judged(model, result, x, y, 10, 0, 8, screened=True)
    assert found.success.tolist() == [True, False, False]
    assert found.queries.tolist() == [10, 2, 0]
    assert dear.seen == 12
    assert judged(model, result, x, y, 10, 0, 8).queries.tolist() == [10, 10, 10]
