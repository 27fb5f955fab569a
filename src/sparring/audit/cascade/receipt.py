"""The receipt: random images attacked again by the plain loop, so that every shortcut of the audit is accounted for.

The plain loop runs every attack of the suite on every one of these images from start to end: all steps, all restarts,
all targets, whether the image has been broken or is far from it. Only a pass that the attack itself asks for is
counted. What it breaks counts in the audit too, and what it breaks alone is said.

It may cost a share of what the attacks on the same shard have cost (`controls.allowance`), so there may be fewer images
than were drawn. How many is known before it starts, from the settings of the attacks alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import Cascade, watched
from sparring.audit.cascade.outcome import LADDER, STANDING
from sparring.audit.cascade.progress import Clock, Tell
from sparring.audit.suites.stage import Stage
from sparring.batches import run_batches
from sparring.model import Model
from sparring.result import Result, worst_case
from sparring.seeds import torch_seed

if TYPE_CHECKING:
    from sparring.audit.inputs.clean import Clean

SHARE, LEAST = 0.02, 20
RECEIPT = 4
"first number of the `place` of its outcome"
PLAIN = Stage("Plain loop (receipt)", "receipt", "iterative", full_on_subset=False, excluded=True)


@dataclass(frozen=True)
class Receipt:
    """What the comparison says.

    Attributes:
        rows: numbers of the images. equal: of them, how many have the same verdict both ways.
        plain, fast: forward plus backward passes that the plain loop and the audit's cascade took for these images;
            controls on images that were broken already are not the cascade's.
        missed: images that the plain loop alone broke. lost: images that only the cascade broke.
    """

    rows: tuple[int, ...]
    equal: int
    plain: int
    fast: int
    missed: tuple[int, ...]
    lost: tuple[int, ...]

    @property
    def times(self) -> float:
        """How many times fewer passes."""
        return self.plain / max(self.fast, 1)

    def __str__(self) -> str:
        return f"{self.times:.1f} times fewer passes, {self.equal} of {len(self.rows)} verdicts equal"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "said": str(self),
            "images": list(self.rows),
            "verdicts_equal": self.equal,
            "plain_passes": self.plain,
            "fast_passes": self.fast,
            "times_fewer": self.times,
            "broken_by_the_plain_loop_alone": list(self.missed),
            "broken_by_the_cascade_alone": list(self.lost),
        }


def lots(clean: Clean, seed: int) -> Tensor:
    """[r] numbers of the images to run again, in order: 2 %, at least 20, of those that the model gets right."""
    right = clean.correct.nonzero().squeeze(1)
    count = max(LEAST, round(SHARE * len(clean.correct)))
    order = torch.randperm(len(right), generator=torch.Generator().manual_seed(torch_seed(seed)))
    return right[order[:count]].sort().values


def affordable(stages: Sequence[Stage], rows: Tensor, classes: int, passes: int, seed: int) -> Tensor:
    """Of `rows` [r], as many random ones as the plain loop of `stages` can do for so many passes, in order."""
    prices = [stage.most_passes(classes) for stage in stages if not stage.excluded]
    each = sum(price + price // 8 + 3 for price in prices)  # clean looks and restarts come on top
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(torch_seed(seed)))
    return rows[order[: passes // max(each, 1)]].sort().values


def run_plainly(
    cascade: Cascade, model: Model, stages: Sequence[Stage], rows: Tensor, clock: Clock | None = None
) -> None:
    """Every stage in full on the images `rows` [r] (numbers) of a cascade that is over; it learns what they break."""
    stages = [stage for stage in stages if not stage.excluded]
    with watched(clock, cascade, len(rows) * len(stages)) as tell:
        if len(rows) and stages:
            _run(cascade, model, stages, rows, tell)


def _run(cascade: Cascade, model: Model, stages: Sequence[Stage], rows: Tensor, tell: Tell) -> None:
    data, known = (cascade.clean.x[rows], cascade.clean.y[rows]), {"seed": cascade.seed, "keep": "margin"}
    size = cascade.batch_size
    results = [
        run_batches(one.plain(), model, data, cascade.threat, batch_size=size, progress=tell, **known)  # type: ignore[arg-type]
        for one in stages
    ]
    cascade.add(PLAIN, rows, replace(worst_case(*results), attack=PLAIN.title, doubts=()), (RECEIPT, 0))


def receipt_of(cascade: Cascade, stages: Sequence[Stage]) -> Receipt | None:
    """What the plain loop of `stages` found beside what these had found; None where it did not run."""
    number = next((k for k, one in enumerate(cascade.outcomes) if one.place[0] == RECEIPT), None)
    if number is None:
        return None
    outcome = cascade.outcomes[number]
    rows, plain = outcome.rows, outcome.result
    suite = {(LADDER, k) for k in range(len(stages))}  # by place: a replay is called by its folder, or by what is in it
    ladder = [k for k, one in enumerate(cascade.outcomes) if one.place in suite]
    fast = torch.isin(cascade.broken_by[rows], torch.tensor(ladder))
    spent = sum(_spent(cascade, k, rows) for k in ladder)
    return Receipt(
        tuple(rows.tolist()),
        len(rows) - len(outcome.broke) - int((fast & ~plain.success).sum()),
        _passes(plain),
        spent,
        tuple(outcome.broke.tolist()),
        tuple(rows[fast & ~plain.success].tolist()),
    )


def _spent(cascade: Cascade, number: int, rows: Tensor) -> int:
    """Passes of an outcome for those of `rows` that still stood."""
    outcome = cascade.outcomes[number]
    by = cascade.broken_by[outcome.rows]
    mine = torch.isin(outcome.rows, rows) & ((by == STANDING) | (by >= number))
    return int((outcome.result.queries + outcome.result.gradients)[mine].sum())


def _passes(result: Result) -> int:
    return int(result.queries.sum() + result.gradients.sum())
