"""Controls and convergence: each sign on a net that was built to show it, and none on an honest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.adaptive import COPIES, remedies
from sparring.audit.cascade.cascade import Cascade, subset_of
from sparring.audit.cascade.controls import CONTROLS, longest, run_longer, run_second_look, run_transfer
from sparring.audit.cascade.progress import Clock
from sparring.audit.cascade.proof import prove
from sparring.audit.cascade.trace_summary import GRID, LATE
from sparring.audit.checks.evidence import Evidence, OnSubset
from sparring.audit.checks.registry import Skipped
from sparring.audit.checks.run import CHECKS
from sparring.audit.inputs.clean import Clean
from sparring.audit.probes.probe import Probes
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.stage import Stage
from sparring.model import Model, wrap
from sparring.reproduce.gallery_layers import GradientKiller
from sparring.result import Doubt

PGD = Stage("PGD", "pgd:steps=10,loss=margin", "iterative")
SHORT = "pgd:loss=margin,steps=40,step=0.01,random_start=False"

FINE = Probes(
    n=1, training=(), active=False, changed=0.0, gap=1.0, certain=0.0, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=0, top_share=0.1, top_truth=0.1, passes=0,
)  # fmt: skip
COMPARISONS = ("black-box-beats-white-box", "noise-beats-gradient", "transfer-beats-white-box")


def found(code: str, **seen: Any) -> tuple[Doubt, ...]:
    """What a check finds in this evidence, about a model that is fine otherwise."""
    outcome = CHECKS[code].run(Evidence(FINE, 10, **seen))
    return () if isinstance(outcome, Skipped) else outcome


def not_converged(cascade: Cascade) -> list[str]:
    seen = {"outcomes": tuple(cascade.outcomes), "subset": cascade.subset, "standing": cascade.standing}
    return [doubt.message for doubt in found("not-converged", **seen)]


def attacked(model: Model, x: Tensor, y: Tensor, threat: sp.Threat, stages: Sequence[Stage], draws: int = 0) -> Cascade:
    """The stages on all of the images, which are the sanity subset as well."""
    with torch.no_grad(), model.guard():
        clean = Clean(x, y, model.logits(x))
    cascade = Cascade(threat.within(model.box), clean, subset_of(clean, len(y)), 0, 64, draws)
    clock = Clock(len(y), len(y), None)
    clock.open([(stage.title, 1) for stage in stages], len(y), 0)
    return cascade.run(model, stages, clock)


def lines(n: int = 48) -> tuple[nn.Module, Tensor, Tensor]:
    """A linear net of two classes, and images at growing distances from its border: 0.02 to 0.4 in Linf."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([torch.ones(16), -torch.ones(16)]))
    return (
        net,
        0.5 + torch.linspace(0.01, 0.4, n)[:, None, None, None].expand(n, 1, 4, 4).contiguous(),
        torch.zeros(n, dtype=torch.int64),
    )


def centred(net: nn.Module) -> Model:
    """Pixels around 0.5."""
    return wrap(net, mean=0.5, std=1.0)


# --- transfer (C3) ------------------------------------------------------------------------------------------------


def test_transfer_tells_of_hidden_gradients_and_leaves_an_honest_net_alone() -> None:
    x, y = sp.load_data("mnist5k", n=12).tensors()
    plain, threat = sp.load_model("mnist-cnn"), sp.Threat("Linf", 0.3)
    assert isinstance(plain.net, nn.Module)
    for model, expected in (
        (wrap(nn.Sequential(GradientKiller(), plain.net)), ["transfer-beats-white-box"]),
        (sp.load_model("mnist-cnn-pgd"), []),
    ):
        cascade = attacked(model, x, y, threat, [PGD])
        before = cascade.outcomes[0].queries
        run_transfer(cascade, model, cascade.subset)
        assert [code for code in COMPARISONS if found(code, on=OnSubset.of(cascade))] == expected
        assert {one.place[0] for one in cascade.outcomes[1:]} == {CONTROLS}
        assert all(one.gradients == 0 and one.queries <= 3 * len(y) for one in cascade.outcomes[1:])  # the model's own
        assert before == cascade.outcomes[0].queries
        assert set(cascade.matrix()) == {one.stage.title for one in cascade.outcomes}


def test_the_other_net_of_a_defended_model_is_its_own_classifier() -> None:
    net, x, y = lines()
    model = sp.defend(centred(net), lambda z: (z * 4).round() / 4, backward="straight_through")
    cascade = attacked(model, x, y, sp.Threat("Linf", 0.2), [PGD])
    run_transfer(cascade, model, cascade.subset)
    assert len(cascade.outcomes) == 3
    assert bool(cascade.broken_on_subset("transfer").any())  # type: ignore[union-attr]
    alone = attacked(centred(net), x, y, sp.Threat("Linf", 0.2), [PGD])
    run_transfer(alone, centred(net), alone.subset)  # no digits, no stages: no other net is known
    assert len(alone.outcomes) == 1


# --- convergence (C6) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "fires"), [(SHORT, True), ("pgd:loss=margin,steps=40", False)])
def test_a_search_that_is_not_over_is_noticed(spec: str, fires: bool) -> None:
    """Steps so short that forty of them do not reach the edge of the ball, against steps that do."""
    net, x, y = lines()
    model, stage = centred(net), Stage("PGD", spec, "iterative")
    cascade = attacked(model, x, y, sp.Threat("Linf", 0.2), [stage])
    rising = not_converged(cascade)
    assert len(rising) == (1 if fires else 0)
    run_longer(cascade, model, [stage], cascade.subset)
    assert any("twice the steps" in message for message in not_converged(cascade)) == fires


def test_paths_are_the_truth_of_a_linear_net() -> None:
    net, x, y = lines(8)
    model = centred(net)
    cascade = attacked(model, x, y, sp.Threat("Linf", 0.2), [Stage("PGD", SHORT, "iterative")])
    path, result = cascade.outcomes[0].path, cascade.outcomes[0].result
    assert path is not None
    assert path.rows.tolist() == cascade.subset.tolist()
    assert path.best.shape == (len(cascade.subset), len(GRID))
    assert torch.equal(path.best[:, -1], result.margin[cascade.subset].float())
    assert bool((path.best.diff(dim=1).nan_to_num(0.0) >= 0).all())
    standing = ~result.success[cascade.subset]
    assert bool(standing.any())
    assert torch.allclose(path.late[standing], torch.tensor(LATE / 40), atol=0.01)  # even progress


def test_the_longest_climb_is_the_last_that_sees_the_logits() -> None:
    assert longest(SUITES["standard"].stages).title == "APGD-DLR"  # type: ignore[union-attr]
    assert longest([Stage("FGSM", "fgsm", "single-step"), Stage("Square", "square", "query")]) is None


# --- averages (C14) -----------------------------------------------------------------------------------------------


class Shaken(nn.Module):
    """A linear net whose gradient shakes: noise along pixels that cancel in the images, so that classes stay."""

    def __init__(self, net: nn.Module, strength: float) -> None:
        super().__init__()
        self.net, self.strength = net, strength
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        noise = self.strength * torch.randn(x.shape[0], *x.shape[1:], generator=self.generator)
        shake = ((x - x.detach()) * noise).flatten(1).sum(1)
        logits: Tensor = self.net(x)
        return logits + torch.stack([shake, -shake], 1)


@pytest.mark.parametrize(("strength", "expected"), [(8.0, ["averages-too-few"]), (0.1, [])])
def test_averages_over_too_few_looks(strength: float, expected: list[str]) -> None:
    net, x, y = lines(200)
    model = centred(Shaken(net, strength))
    few, many = (Stage(f"EOT {k}", f"pgd:loss=margin,steps=2,view=eot{k}", "adaptive") for k in (10, 20))
    cascade = attacked(model, x, y, sp.Threat("Linf", 0.2), [few, many], draws=3)
    seen = {"outcomes": tuple(cascade.outcomes), "subset": cascade.subset}
    assert bool(found("averages-too-few", **seen)) == bool(expected)
    assert not found("averages-too-few", **{**seen, "outcomes": tuple(cascade.outcomes[:1])})


# --- successes shown once more (C8) -------------------------------------------------------------------------------


def test_successes_on_another_graph_than_the_pipeline() -> None:
    net, x, y = lines()
    model, other = centred(net), wrap(net, mean=0.3, std=1.0)  # the same net behind another preprocessing
    worst = attacked(model, x, y, sp.Threat("Linf", 0.2), [PGD])
    result = worst.worst(model)
    assert not found("successes-not-reproduced", confirmed=prove(model, worst.clean, result, 64).confirmed)
    (doubt,) = found("successes-not-reproduced", confirmed=prove(other, worst.clean, result, 64).confirmed)
    assert doubt.share > 0.5


@pytest.mark.parametrize(("suite", "controlled"), [("quick", False), ("standard", True)])
def test_long_suites_bring_the_control_of_averages(suite: str, controlled: bool) -> None:
    net, _, _ = lines()
    probes = Probes(
        n=1, training=(), active=False, changed=1.0, gap=1.0, certain=0.0, flat_ce=0.0, flat_margin=0.0, moved=1.0,
        filled=1.0, top=0, top_share=0.1, top_truth=0.1, passes=0,
    )  # fmt: skip
    (remedy,) = remedies(["random-outputs"], probes, wrap(net), sp.Threat("Linf", 0.2), SUITES[suite].stages)
    twice = [stage for stage in remedy.stages if stage.spec.endswith(f"view=eot{2 * COPIES}")]
    assert [(stage.min_progress, stage.full_on_subset) for stage in twice] == ([(1, True)] if controlled else [])
    assert any(stage.spec.endswith(f"view=eot{COPIES}") for stage in remedy.stages)


# --- a second look (C2, C3) ---------------------------------------------------------------------------------------


def test_a_second_look_tells_short_climbs_from_gradients_that_mislead() -> None:
    """On three digits Square finds what short climbs miss: of an honest net, and of one whose gradients are zero."""
    x, y = (part[torch.tensor([20, 29, 32])] for part in sp.load_data("mnist5k", n=40).tensors())
    honest = sp.load_model("mnist-cnn-fast")
    assert isinstance(honest.net, nn.Module)
    stages = [PGD, Stage("Square", "square:queries=1000", "query")]
    said = {}
    for name, model in (("honest", honest), ("masked", wrap(nn.Sequential(GradientKiller(), honest.net)))):
        cascade = attacked(model, x, y, sp.Threat("Linf", 0.3), stages)
        standing = cascade.standing.clone()
        before = doubts(cascade)
        run_second_look(cascade, model, cascade.subset)
        said[name] = (before, doubts(cascade), len(cascade.outcomes) - len(stages))
        assert torch.equal(cascade.standing, standing)
    accused = ["black-box-beats-white-box"]
    assert said["honest"][:2] == (accused, [])
    assert said["masked"] == (accused, accused, 0), "where no climb came close there is nothing to look for"


def doubts(cascade: Cascade) -> list[str]:
    on = OnSubset.of(cascade)
    return [code for code in COMPARISONS if found(code, on=OnSubset(None, None, on.gradient, on.query, None))]
