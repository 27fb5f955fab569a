"""What people write as a claim, and what becomes of it."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from sparring.audit.api import plan_audit
from sparring.audit.inputs.claims import Claim, parse_claim
from sparring.errors import InputError


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("fgsm:0.3=0.88", Claim(0.88, 0.3, "fgsm")),
        ("fgsm:8/255=88%", Claim(0.88, 8 / 255, "fgsm")),
        ("0.3=0.88", Claim(0.88, 0.3)),
        ("0.88", Claim(0.88)),
        (0.88, Claim(0.88)),
        ("88%", Claim(0.88)),
        ("1", Claim(1.0)),
        ("pgd=0.5", Claim(0.5, None, "pgd")),
        ("pgd:steps=40,restarts=2=0.5", Claim(0.5, None, "pgd:steps=40,restarts=2")),
        ("pgd:steps=40:0.3=45.5%", Claim(0.455, 0.3, "pgd:steps=40")),
        ("clean=0.99", Claim(0.99, 0.0)),
        ("0=0.99", Claim(0.99, 0.0)),
        (" fgsm : 0.3 = 0.88 ", Claim(0.88, 0.3, "fgsm")),
    ],
)
def test_forms(text: str | float, claim: Claim) -> None:
    parsed = parse_claim(text)
    assert parsed == Claim(claim.accuracy, claim.eps, claim.attack)
    again = parse_claim(parsed.spec)
    assert (again.accuracy, again.eps or 0) == (
        pytest.approx(parsed.accuracy),
        pytest.approx(parsed.eps or 0, rel=1e-5),
    )
    assert again.attack == parsed.attack


@pytest.mark.parametrize("text", ["", "fgsm:0.3", "fgsm:0.3=much", "nosuch:0.3=0.9", "fgsm:0.3=-0.1", "101", "nan"])
def test_refusals_are_one_clear_line(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_claim(text)
    assert "\n" not in str(error.value)


def test_titles() -> None:
    assert parse_claim("fgsm:0.3=0.88").title == "FGSM"
    assert parse_claim("pgd:steps=7=0.88").title == "PGD (steps=7)"
    assert parse_claim("0.88").title is None


def test_a_claim_that_is_made_twice_is_answered_once(small_net: nn.Module, small_images: tuple[Tensor, Tensor]) -> None:
    claims = ["fgsm=0.5", "fgsm:0.05=0.5", "fgsm:0.05=50%"]
    plan = plan_audit(small_net, small_images, ("Linf", 0.05), suite=["fgsm"], claims=claims)
    assert [claim.spec for claim in plan.claims] == ["fgsm:0.05=0.5"]
