"""The forecast of an audit of a model too expensive for searches."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from sparring.audit.api import plan_audit
from sparring.audit.run.expensive import ANSWERS, PASSES, costs, said
from sparring.audit.run.forecast import forecast
from sparring.audit.run.plan import Plan
from sparring.defenses import defend
from sparring.preprocess import Stage


class Slow:
    """Ten milliseconds a batch, and a quick one in its place."""

    backward, random = "exact", False

    def __call__(self, x: Tensor) -> Tensor:
        time.sleep(0.01)
        return x

    def surrogate(self) -> Stage:
        """At once."""
        return Stage(lambda x: x, "exact", name="quick one")


@pytest.fixture
def plan() -> Plan:
    model = defend(nn.Linear(2, 2), Stage(Slow(), "exact", name="slow"))
    return plan_audit(model, (torch.rand(8, 2), torch.zeros(8, dtype=torch.int64)), ("Linf", 0.1))


def test_it_follows_from_what_an_answer_takes(plan: Plan) -> None:
    one = costs(plan)
    assert 0.01 / 8 <= one.answer < 0.1
    assert one.step < one.answer
    assert one.last >= 20 * 2 * 0.01 / 8 / 2, "the steps of a climb on the model itself, whose gradient is exact"
    found = forecast(plan)
    assert found.per_pass * (ANSWERS + PASSES) >= ANSWERS * 0.01 / 8
    assert found.offers[-1].images == 8
    assert found.tried == 0


def test_it_names_the_surrogate(plan: Plan) -> None:
    assert "attacks search on a surrogate, quick one" in said(plan)
    assert "8 images: about" in said(plan)
    assert "for each that is left to a climb on the model itself" in said(plan)


def test_without_a_gradient_of_its_own_there_is_no_last_climb() -> None:
    model = defend(nn.Linear(2, 2), Stage(Slow(), "straight_through", name="slow"))
    plan = plan_audit(model, (torch.rand(8, 2), torch.zeros(8, dtype=torch.int64)), ("Linf", 0.1))
    assert costs(plan).last == 0
    assert "left to a climb" not in said(plan)
