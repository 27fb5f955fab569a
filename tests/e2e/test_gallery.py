"""The gallery's members that need no training, on few images: verdicts and causes must be the known ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sparring as sp
from sparring.audit.suites.stage import Stage, Suite
from sparring.reproduce.gallery import find, naive, run
from sparring.reproduce.gallery_members import GALLERY, Member
from sparring.reproduce.gallery_models import Workshop

pytestmark = pytest.mark.long

TINY = Suite(
    "tiny",
    "for tests",
    (
        Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
        Stage("PGD-10", "pgd:steps=10", "iterative", saturating_loss=True),
        Stage("PGD-20 (margin)", "pgd:steps=20,loss=margin", "iterative"),
        Stage("Square", "square:queries=100", "query"),
    ),
    curves=(),
    transfer=True,
    receipt=False,
)
ROBUST = ("robust x 1,000", "robust, 8 bits", "robust, bfloat16")
SLOW = ("pgd", "fast", "Defense-GAN", "DiffPure", *ROBUST)
"in `make gallery` only: they need more images, or more time for each, than there is"


@pytest.mark.parametrize("member", [one for one in GALLERY if not one.trained and one.name not in SLOW], ids=str)
def test_verdict_and_cause(member: Member, tmp_path: Path) -> None:
    x, y = sp.load_data("mnist5k", n=24).tensors()
    (row,) = run([member], Workshop(tmp_path), x, y, suite=TINY)
    assert row.right, (row.status, row.cause, row.missing, row.verdict)
    if row.report is not None:
        assert row.report.passes == sum(row.report.cost.values())


def test_names_are_unique_and_the_honest_are_among_them() -> None:
    assert len({one.name for one in GALLERY}) == len(GALLERY)
    assert {one.name for one in GALLERY if one.honest} == {"plain", "pgd", "fast", *ROBUST}


def test_a_careless_claim_is_the_same_twice_for_models_that_draw(tmp_path: Path) -> None:
    (member,) = find(["random resize"])
    model, (x, y) = member.made(Workshop(tmp_path)), sp.load_data("mnist5k", n=40).tensors()
    claims = set()
    with torch.random.fork_rng():
        for seed in range(4):  # whatever others have drawn before
            torch.manual_seed(seed)
            claims.add(naive(member, model, x, y))
    assert len(claims) == 1
