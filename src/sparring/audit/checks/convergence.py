"""Checks of the searches: were they over when they ended? More of the same must find no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor

from sparring.audit.cascade.adaptive import COPIES
from sparring.audit.cascade.controls import CONTROLS, DOUBLED
from sparring.audit.cascade.outcome import Outcome as Attacked
from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import LEAST, Found, Outcome, Skipped, check

STEPS_SHARE = 0.005
RESTARTS_SHARE = 0.01
COPIES_SHARE = 0.01
"share of the sanity subset that longer searches may newly break"
RISING = 0.05
"share of the whole progress in the last ten steps above which a search is not finished"
RISING_SHARE = 0.05
"share of the unbroken images above which the check reports"


@check(
    "not-converged",
    title="The searches were not over",
    means="Longer searches break more images. The figure shows what these attacks reached; longer ones would lower it.",
    remedy="Use more steps and restarts: --suite full, or a suite of your own.",
    fine=lambda seen: (
        f"Longer searches break only {count} more image{'s' if count > 1 else ''}"
        if (count := sum(len(one.broke) for one in _longer(seen)))
        else "The searches had settled when they ended"
    ),
)
def not_converged(seen: Evidence) -> Outcome:
    """Twice the steps break over 0.5 % more of the sanity subset, or five restarts over 1 % (at least 3 images); or
    over 5 % of the unbroken images (at least 3) made over 5 % of their progress on the last ten steps of each
    search."""
    found = [*_by_more(seen)]
    late = _least_late(seen)
    if late is not None:
        left = late[seen.standing[seen.subset]]
        rising = int((left > RISING).sum())
        if rising >= LEAST and rising > RISING_SHARE * len(left):
            text = (
                f"of {len(left)} unbroken images, {rising} made over {RISING:.0%} of their progress on the last ten "
                "steps of every search"
            )
            found.append(Found(text, rising / len(left)))
    watched = late is not None and bool(late.isfinite().any()) and seen.gradients
    return found or (None if watched else Skipped("no climb was watched"))


def _longer(seen: Evidence) -> Iterator[Attacked]:
    """What longer searches did."""
    return (one for one in seen.outcomes if one.place[0] == CONTROLS and one.stage.family == "iterative")


def _by_more(seen: Evidence) -> Iterator[Found]:
    """Controls that broke more than they should have."""
    for one in _longer(seen):
        share = STEPS_SHARE if one.place[1] == DOUBLED else RESTARTS_SHARE
        count = len(one.broke)
        if count >= LEAST and count > share * len(seen.subset):
            text = f"{one.stage.title}: {count} more of {len(seen.subset)} images break"
            yield Found(text, count / len(seen.subset))


def _least_late(seen: Evidence) -> Tensor | None:
    """[s] of each image, how late the climb that was over soonest still rose; None where no climb was watched."""
    lateness = []
    for one in seen.outcomes:
        if one.path is not None and one.stage.family == "iterative" and not one.stage.excluded:
            late = torch.full((len(seen.subset),), torch.nan)
            late[torch.searchsorted(seen.subset, one.path.rows)] = one.path.late.float()
            lateness.append(late)
    return reduce(torch.fmin, lateness) if lateness else None


@check(
    "averages-too-few",
    title="Gradients need more averaging",
    means="The model answers at random, and averaging gradients over twice as many passes breaks more images.",
    remedy="Average over more passes: `pgd:view=eot40`.",
)
def averages_too_few(seen: Evidence) -> Outcome:
    """Gradients averaged over 20 passes instead of 10 break over 1 % more of the sanity subset, at least 3 images."""
    few, many = (_averaged(seen.outcomes, copies) for copies in (COPIES, 2 * COPIES))
    if few is None or many is None:
        return Skipped("gradients were not averaged over two numbers of passes")
    before, after = (one.alone(seen.subset) for one in (few, many))
    drop = before.hits - after.hits
    if drop < LEAST or drop <= COPIES_SHARE * before.of:
        return None
    return Found(
        f"gradients averaged over {2 * COPIES} passes leave {after.hits} of {after.of} images, over {COPIES} passes "
        f"{before.hits}",
        drop / before.of,
    )


def _averaged(outcomes: Sequence[Attacked], copies: int) -> Attacked | None:
    """The adaptive PGD that averages so many looks."""
    alike = (one for one in outcomes if one.stage.family == "adaptive" and one.stage.spec.startswith("pgd:"))
    return next((one for one in alike if one.stage.spec.endswith(f"view=eot{copies}")), None)


@check(
    "shortcuts-missed",
    title="The shortcuts missed something",
    means="Random images were attacked again without any shortcut, and some fell that the suite had given up as too "
    "far. Others like them, not drawn, are still counted as robust.",
    remedy="Run --suite full, which gives up no image.",
)
def shortcuts_missed(seen: Evidence) -> Outcome:
    """The plain loop breaks a random image that the suite had given up."""
    receipt = seen.receipt
    if receipt is None:
        return Skipped("no receipt was asked for")
    if not receipt.missed:
        return None
    count, of = len(receipt.missed), len(receipt.rows)
    text = f"the plain loop broke {count} of {of} random images that the suite had given up"
    return Found(f"{text}; these are counted, others like them are not", count / of)
