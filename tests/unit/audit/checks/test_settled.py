"""Signs accuse only where attacks that they do not stop find more; and the comparisons, attack by attack."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparring.audit.checks.comparisons import climbs_go_astray, single_step_beats_iterative
from sparring.audit.checks.evidence import Evidence, OnSubset
from sparring.audit.checks.registry import Found, Skipped
from sparring.audit.checks.settled import deceived, masks, settled
from sparring.audit.checks.verdict import Facts, judge
from sparring.audit.inputs.claims import Checked, Claim
from sparring.audit.probes.probe import Probes
from sparring.audit.statistics.proportion import Figure
from sparring.result import Doubt

N = 100
PLAIN = Probes(
    n=N, training=(), active=False, changed=0.0, gap=8.0, certain=0.1, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=1, top_share=0.1, top_truth=0.1, passes=0,
)  # fmt: skip


def first(count: int) -> Tensor:
    return torch.arange(N) < count


def seen(probes: Probes = PLAIN, **on: Tensor) -> Evidence:
    return Evidence(probes, 10, on=OnSubset(**on), subset=torch.arange(N))


def test_a_saturated_loss_is_a_fact_where_other_losses_find_all() -> None:
    codes = frozenset({"loss-saturation", "budget-not-used"})
    same = seen(gradient=first(15), query=first(12), blind=first(3))
    assert settled(same, codes) == codes
    assert deceived(same) == Figure(12, N)
    assert settled(same, frozenset({"misaligned-gradients"})) == {"misaligned-gradients"}
    beaten = seen(gradient=first(15), query=first(30), blind=first(3))
    assert settled(beaten, codes) == frozenset()
    assert deceived(seen(gradient=first(5), query=first(3), blind=first(3))) is None, "below the b rule"


@pytest.mark.parametrize(("rescued", "fine"), [(0.9, True), (0.1, False), (None, False)])
def test_rounding_is_a_fact_where_gradients_past_it_match_the_model(rescued: float | None, fine: bool) -> None:
    codes = frozenset({"piecewise-constant", "zero-gradients", "black-box-beats-white-box"})
    known = seen(replace(PLAIN, rescued=rescued), gradient=first(0), adaptive=first(15), query=first(12))
    assert (settled(known, codes) == codes) is fine
    assert masks(seen(gradient=first(0), adaptive=first(60), query=first(12)))
    assert not masks(seen(gradient=first(0), adaptive=first(40), query=first(12)))
    assert not masks(seen(replace(PLAIN, filed=True), gradient=first(0), adaptive=first(60), query=first(12)))
    without = seen(replace(PLAIN, rescued=rescued), gradient=first(0), query=first(12))
    assert settled(without, codes) == frozenset()


def facts(claimed: float | None, hits: int, calm: bool, misled: Figure | None = None) -> Facts:
    robust = Figure(hits, N)
    claims = [] if claimed is None else [Checked(Claim(claimed, 0.3), 0.3, robust)]
    doubts = (Doubt("loss-saturation", "seen", 1.0),)
    known = frozenset({"loss-saturation"}) if calm else frozenset[str]()
    return Facts("Linf 0.3", Figure(N, N), robust, claims, doubts, settled=known, deceived=misled)


def test_a_settled_sign_explains_a_claim_that_is_too_high_and_accuses_nobody_else() -> None:
    assert judge(facts(0.85, 85, calm=True)).status == "claim-holds"
    assert judge(facts(0.85, 85, calm=True)).facts == {"loss-saturation"}
    assert judge(facts(0.85, 85, calm=False)).status == "inconclusive"
    assert judge(facts(1.0, 0, calm=True)).cause == "loss-saturation"
    assert judge(facts(None, 85, calm=True)).status == "no-claim"
    assert judge(facts(None, 0, calm=False)).status == "gradient-masking"


def test_what_a_saturated_loss_hides_from_others_is_told_and_accuses_nobody() -> None:
    misled = judge(facts(None, 0, calm=True, misled=Figure(95, N)))
    assert misled.status == "no-claim"
    assert "climb the cross-entropy alone miss 95 of 100 images that others break" in misled.text
    assert "alone miss" not in judge(facts(1.0, 0, calm=True, misled=Figure(95, N))).text, "the claim says it all"


def test_hidden_gradients_accuse_where_most_attacks_would_be_deceived() -> None:
    calm = facts(None, 0, calm=True)
    verdict = judge(replace(calm, masks=True))
    assert (verdict.status, verdict.cause) == ("gradient-masking", "loss-saturation")
    assert "Attacks that report more are deceived" in verdict.text
    assert judge(calm).status == "no-claim"


def test_a_masked_figure_is_never_given_without_a_word() -> None:
    for verdict in (
        judge(facts(0.99, 60, calm=False)),
        judge(facts(0.6, 60, calm=False)),
        judge(facts(None, 60, False)),
    ):
        assert "may be far lower" in verdict.text


def test_a_figure_that_attacks_past_the_sign_agree_on_is_not_called_far_from_the_truth() -> None:
    verdict = judge(facts(0.9, 40, calm=True, misled=Figure(40, N)))
    assert verdict.status == "gradient-masking"
    assert "far lower" not in verdict.text


def test_one_step_against_each_climb() -> None:
    pooled = seen(single=first(20), iterative=first(20))
    assert single_step_beats_iterative(pooled) is None
    lame = replace(pooled, climbs=(("PGD-20", first(0)), ("APGD-CE", first(20))))
    found = single_step_beats_iterative(lame)
    assert isinstance(found, list)
    assert [one.message for one in found] == ["one step breaks 20 of 100 images that PGD-20 does not"]
    both = replace(pooled, climbs=(("PGD-20", torch.arange(N) >= 16),))  # each finds what the other misses
    assert single_step_beats_iterative(both) is None


def test_climbs_that_lose_what_one_step_finds() -> None:
    assert isinstance(climbs_go_astray(seen()), Skipped)
    assert climbs_go_astray(seen(replace(PLAIN, stepped=12, overtaken=2))) is None
    assert isinstance(climbs_go_astray(seen(replace(PLAIN, stepped=12, overtaken=3))), Found)
