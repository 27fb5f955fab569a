"""Models that refuse: NaN for what looks perturbed. The search stays where there is an answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.refusals import WithinAnswers

GAIN = torch.tensor([5.0, 4, 3, 2, 1, 1, 1, 1])


class Refusing(nn.Module):
    """Linear in eight pixels; NaN where more than `most` of them are not one half."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        moved = ((x - 0.5).abs() > 1e-6).flatten(1).sum(1)
        gap = ((x.flatten(1) - 0.5) * GAIN).sum(1) - 1.35  # fooled above 0; at eps 0.1, the best four pixels gain 1.4
        logits = torch.stack([-gap, gap], 1)
        return torch.where((moved > self.most)[:, None], torch.nan, logits)


def images(n: int = 3) -> tuple[Tensor, Tensor]:
    return torch.full((n, 1, 2, 4), 0.5), torch.zeros(n, dtype=torch.int64)


@pytest.mark.parametrize(("most", "fooled"), [(8, True), (5, True), (4, True), (3, False)])
def test_it_finds_what_the_answers_allow_and_no_more(most: int, fooled: bool) -> None:
    found = WithinAnswers(share=1.0)(Refusing(most), *images(), sp.Threat("Linf", 0.1))
    assert found.success.tolist() == [fooled] * 3
    moved = ((found.x_adv - 0.5).abs() > 1e-6).flatten(1).sum(1)
    assert int(moved.max()) <= most


def test_climbs_stop_where_there_is_no_answer() -> None:
    found = sp.PGD(steps=20, random_start=False)(Refusing(4), *images(), sp.Threat("Linf", 0.1))
    assert not bool(found.success.any())


def test_the_audit_runs_it_where_attacks_have_met_nan() -> None:
    for most, ran in ((4, True), (8, False)):
        report = sp.audit(Refusing(most), images(24), ("Linf", 0.1), suite=["pgd:steps=5"], clean_floor=0.0)
        titles = [one.stage.title for one in report.attacks]
        assert ("Within answers" in titles) is ran, titles
        assert report.robust_accuracy == 0.0
