"""What explains is sized by what there is to explain; and what is known already is not asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.audit.cascade.cascade import SPARED, Cascade, subset_of
from sparring.audit.cascade.controls import NEAREST, missed_by_gradients, run_longer
from sparring.audit.cascade.curve import LEAST, attack_all, outcome_of, shorter
from sparring.audit.cascade.progress import Clock
from sparring.audit.cascade.survival import MOST, survive
from sparring.audit.checks.comparisons import noise_beats_gradient
from sparring.audit.checks.evidence import Evidence, OnSubset
from sparring.audit.checks.registry import Skipped
from sparring.audit.inputs.clean import Clean
from sparring.audit.probes.gradient_quality import (
    CHECKED,
    CHECKED_WAYS,
    FEW_DRAWS,
    FEW_LOOKS,
    FEW_WAYS,
    HALVINGS,
    LOOKS,
    WAYS,
    look_around,
)
from sparring.audit.probes.probe import Probes
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.stage import Stage

FGSM = Stage("FGSM", "fgsm", "single-step", saturating_loss=True)
PGD = Stage("PGD", "pgd:steps=20,loss=margin", "iterative")
NOISE = Stage("Random noise", "noise:draws=5", "noise", full_on_subset=False, subset_only=True)
FINE = Probes(
    n=1, training=(), active=False, changed=0.0, gap=1.0, certain=0.0, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=0, top_share=0.1, top_truth=0.1, passes=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> sp.Model:
    return sp.load_model("mnist-cnn")


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=40).tensors()


def cascade_of(
    model: sp.Model, digits: tuple[Tensor, Tensor], eps: float, stages: tuple[Stage, ...], subset: int = 20
) -> Cascade:
    x, y = digits
    with torch.no_grad(), model.guard():
        clean = Clean(x, y, model.logits(x))
    cascade = Cascade(sp.Threat("Linf", eps).within(model.box), clean, subset_of(clean, subset), 0, 64)
    return cascade.run(model, stages, clock(len(y), stages))


def clock(n: int, stages: tuple[Stage, ...] = ()) -> Clock:
    found = Clock(n, n, None)
    found.open([(stage.title, 1) for stage in stages] + [("", 1)] * 9, n, 0)
    return found


def test_noise_is_for_images_of_the_subset_that_stand(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    cascade = cascade_of(model, digits, 0.1, (FGSM, NOISE))
    fgsm, noise = cascade.outcomes
    fooled = set(fgsm.rows[fgsm.result.success].tolist())
    assert set(noise.rows.tolist()) == set(cascade.subset.tolist()) - fooled
    assert 0 < len(noise.rows) < 20
    built_in = [stage for name in ("quick", "standard") for stage in SUITES[name].stages if stage.family == "noise"]
    assert built_in
    assert all(stage.subset_only and not stage.full_on_subset for stage in built_in)


def test_where_gradients_break_all_there_is_nothing_to_compare(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    cascade = cascade_of(model, digits, 0.4, (FGSM, PGD, NOISE))
    assert not len(missed_by_gradients(cascade, cascade.subset))
    assert NOISE not in [one.stage for one in cascade.outcomes]
    outcome = noise_beats_gradient(Evidence(FINE, 10, on=OnSubset.of(cascade)))
    assert isinstance(outcome, Skipped)
    assert "missed nothing" in outcome.reason


def test_longer_searches_go_to_the_nearest(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    cascade = cascade_of(model, digits, 0.03, (PGD,), subset=38)
    standing = cascade.standing.clone()
    start = len(cascade.outcomes)
    run_longer(cascade, model, [PGD], cascade.subset)
    longer = cascade.outcomes[start]
    margin = cascade.outcomes[0].result.margin / -_clean_margin(cascade)[cascade.outcomes[0].rows]
    near = dict(zip(cascade.outcomes[0].rows.tolist(), margin.tolist(), strict=True))
    left_out = set(cascade.subset[standing[cascade.subset]].tolist()) - set(longer.rows.tolist())
    assert len(longer.rows) == NEAREST
    assert left_out
    assert max(near[i] for i in left_out) <= min(near[i] for i in longer.rows.tolist())


def _clean_margin(cascade: Cascade) -> Tensor:
    return sp.Untargeted(cascade.clean.y).margin(cascade.clean.logits)


def test_the_curve_takes_over_what_is_known(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    cascade = cascade_of(model, digits, 0.1, (FGSM, PGD))
    known = outcome_of(cascade, PGD, "", cascade.subset)
    assert known is not None
    assert outcome_of(cascade, PGD, "detour", cascade.subset) is None
    assert outcome_of(cascade, replace(PGD, spec="pgd:steps=21"), "", cascade.subset) is None
    settings = {"seed": 0, "batch_size": 64, "standing": 0}
    args = model, cascade.clean, cascade.threat, PGD, cascade.subset
    shared = attack_all(*args, clock=clock(40), known=known, **settings)  # type: ignore[arg-type]
    afresh = attack_all(*args, clock=clock(40), **settings)  # type: ignore[arg-type]
    assert all(torch.equal(a.success, b.success) for a, b in zip(shared.results, afresh.results, strict=True))
    at = shared.grid.index(0.1)
    assert int(shared.results[at].queries.sum()) == 0
    assert shared.passes == afresh.passes - int((known.queries + known.gradients).sum())


def test_below_the_audited_eps_the_curve_climbs_briefly(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    long = replace(PGD, spec="pgd:steps=40,loss=margin")
    cascade = cascade_of(model, digits, 0.1, (long,))
    trials = attack_all(
        model, cascade.clean, cascade.threat, long, cascade.subset, seed=0, batch_size=64, standing=0, clock=clock(40)
    )
    audited, below = trials.results[trials.grid.index(0.1)], trials.results[0]
    assert int(audited.gradients.max()) == 40
    assert int(below.gradients.max()) == 10
    assert shorter(sp.attack("square:queries=300"), 0.5) == sp.attack("square:queries=300")
    assert shorter(sp.attack("pgd:steps=8"), 0.5).settings()["steps"] == 8
    assert shorter(sp.attack("pgd:steps=12"), 0.5).settings()["steps"] == LEAST


def test_some_successes_tell_what_files_do_to_them(model: sp.Model) -> None:
    digits = sp.load_data("mnist5k", n=MOST + 30).tensors()
    cascade = cascade_of(model, digits, 0.3, (FGSM, PGD))
    assert int((cascade.broken_by >= 0).sum()) > MOST
    for one in survive(model, cascade.clean, cascade.worst(model), 64):
        assert one.fooled.of == one.right.of == MOST


def test_probes_stop_where_the_answer_is_clear(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits[0][:16], digits[1][:16]
    threat = sp.Threat("Linf", 0.1)
    clear = look_around(model, x, y, threat, 0)
    walks = CHECKED * (1 + 2 * (HALVINGS + 2))
    slopes = CHECKED * 2 * (2 + 2 * CHECKED_WAYS)
    assert clear.passes == 16 * (1 + FEW_LOOKS + 2 * FEW_DRAWS + 2 + 2 * FEW_WAYS + 4) + walks + slopes
    blurred = sp.wrap(lambda z: model.logits(((z * 3).round() / 3) + 0 * z), num_classes=10)
    unclear = look_around(blurred, x, y, threat, 0)
    assert unclear.unstable < 0.05, "a tenth of the way crosses no step: this is clear at once"
    assert unclear.passes == 16 * (1 + LOOKS + 2 * FEW_DRAWS + 2 + 2 * WAYS + 4) + walks
    assert unclear.constant > 0.5


def test_the_plain_loop_gives_up_nobody() -> None:
    stage = next(one for one in SUITES["standard"].stages if one.spec.startswith("apgd-square"))
    assert stage.attack().settings()["give_up"]
    assert not stage.plain().settings()["give_up"]
    assert PGD.plain() == PGD.attack()


def test_queries_are_spared_on_images_that_are_broken(model: sp.Model, digits: tuple[Tensor, Tensor]) -> None:
    square = Stage("Square", "square:queries=150", "query")
    cascade = cascade_of(model, digits, 0.05, (FGSM, PGD, square))
    *before, asked = cascade.outcomes
    broken = torch.isin(asked.rows, torch.cat([one.broke for one in before]))
    assert 0 < int(broken.sum()) < len(broken)
    assert int(asked.result.queries[broken].max()) <= SPARED
    assert int(asked.result.queries[~broken & ~asked.result.success].min()) == 151
    assert "budget-spent" not in {doubt.code for doubt in asked.result.doubts}
    by_itself = sp.attack(square.spec)(model, cascade.clean.x[asked.rows], cascade.clean.y[asked.rows], cascade.threat)
    assert torch.equal(asked.result.x_adv[~broken], by_itself.x_adv[~broken])
    claimed = cascade.run_claimed(model, square, "best", clock(40, (square,)))
    assert int(claimed.result.queries[~claimed.result.success].min()) == 151, "as somebody else ran it: in full"
