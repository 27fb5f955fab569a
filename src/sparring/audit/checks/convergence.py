"""C6 and C14: were the searches over when they ended? Pure functions of numbers; more of the same must find no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor

from sparring.audit.cascade.adaptive import COPIES
from sparring.audit.cascade.controls import CONTROLS, DOUBLED
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.checks.comparisons import LEAST
from sparring.result import Doubt

STEPS_SHARE, RESTARTS_SHARE, COPIES_SHARE = 0.005, 0.01, 0.01
"of the sanity subset: more than this must not fall to more of the same"
RISING, RISING_SHARE = 0.05, 0.05
"of its whole rise in the last ten looks: a search is not over; of the images that stand: so many must not be like that"


def converged(outcomes: Sequence[Outcome], subset: Tensor, standing: Tensor) -> Iterable[Doubt]:
    """C6. Twice the steps, or five restarts, break more; or every climb was still rising when it ended.

    Args:
        subset: [s] numbers of the sanity subset. standing: [N] bool, images that nothing has broken.
    """
    for one in outcomes:
        if one.place[0] == CONTROLS and one.stage.family == "iterative":
            share = STEPS_SHARE if one.place[1] == DOUBLED else RESTARTS_SHARE
            count = len(one.broke)
            if count >= LEAST and count > share * len(subset):
                text = f"{one.stage.title}: {count} more of {len(subset)} images break"
                yield Doubt("not-converged", text, count / len(subset))
    late = _least_late(outcomes, subset)
    if late is not None:
        left = late[standing[subset]]
        rising = int((left > RISING).sum())
        if rising >= LEAST and rising > RISING_SHARE * len(left):
            text = (
                f"of {len(left)} images that stand, {rising} were still being brought nearer when the longest climb "
                f"ended: over {RISING:.0%} of its progress fell on its last ten looks"
            )
            yield Doubt("not-converged", text, rising / len(left))


def _least_late(outcomes: Sequence[Outcome], subset: Tensor) -> Tensor | None:
    """[s] of each image, how late the climb that was over soonest still rose; None where no climb was watched."""
    seen = []
    for one in outcomes:
        if one.path is not None and one.stage.family == "iterative" and not one.stage.claimed:
            late = torch.full((len(subset),), torch.nan)
            late[torch.searchsorted(subset, one.path.rows)] = one.path.late.float()
            seen.append(late)
    return reduce(torch.fmin, seen) if seen else None


def averaged_enough(outcomes: Sequence[Outcome], subset: Tensor) -> Iterable[Doubt]:
    """C14: gradients averaged over twice the copies break over 1 % more of the subset, at least 3 images."""
    few, many = (_eot(outcomes, copies) for copies in (COPIES, 2 * COPIES))
    if few is None or many is None:
        return
    before, after = (one.alone(subset) for one in (few, many))
    drop = before.hits - after.hits
    if drop >= LEAST and drop > COPIES_SHARE * before.of:
        yield Doubt(
            "averages-too-few",
            f"gradients averaged over {2 * COPIES} looks leave {after.hits} of {after.of} images, over {COPIES} looks "
            f"{before.hits}",
            drop / before.of,
        )


def _eot(outcomes: Sequence[Outcome], copies: int) -> Outcome | None:
    """The adaptive PGD that averages so many looks."""
    alike = (one for one in outcomes if one.stage.family == "adaptive" and one.stage.spec.startswith("pgd:"))
    return next((one for one in alike if one.stage.spec.endswith(f"view=eot{copies}")), None)
