"""The security curve: how much survives at each eps, on a subset, by one attack run afresh at each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.attack import Attack, build
from sparring.audit.cascade.cascade import Cascade, chosen
from sparring.audit.cascade.decide import decided
from sparring.audit.cascade.majority_vote import keep_for
from sparring.audit.cascade.outcome import LADDER
from sparring.audit.cascade.progress import Clock
from sparring.audit.inputs.clean import Clean
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.stage import Stage
from sparring.batches import run_batches
from sparring.model import Model
from sparring.result import Result
from sparring.threat import Threat

SHORT = 0.25
"of the steps, below the audited eps"
LEAST = 10
"steps of a short climb"
FACTORS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"of the audited eps"


@dataclass(frozen=True)
class Point:
    """One eps of the curve.

    Attributes:
        raw: what survives this attack. envelope: what survives everything that was tried at this eps or below.
        certified: what is proved; None = nobody asked.
    """

    eps: float
    raw: Figure
    envelope: Figure
    certified: Figure | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        proved = {} if self.certified is None else {"certified": self.certified.to_dict()}
        return {"eps": self.eps, "raw": self.raw.to_dict(), "envelope": self.envelope.to_dict(), **proved}


@dataclass(frozen=True)
class Curve:
    """Robust accuracy over eps, of `n` images: the sanity subset, and `wrong` ones in the proportion of all images.

    The wrong ones are broken at any eps, so nobody attacks them: it is enough to count them.

    Attributes:
        attack: the spec of the attack that drew it. points: by eps, from 0; the last is `large`.
        rows: numbers of the sanity subset. large: an eps at which anything should fall.
        whole_box: it allows any image, not only a grey one. passes: forward plus backward passes.
        nearest: of each image in `rows`, the smallest success at any radius; inf = none.
    """

    attack: str
    n: int
    points: tuple[Point, ...]
    large: float
    whole_box: bool
    passes: int
    nearest: tuple[float, ...] = ()
    rows: tuple[int, ...] = ()
    wrong: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "attack": self.attack,
            "n": self.n,
            "images": list(self.rows),
            "wrong": self.wrong,
            "large_eps": self.large,
            "whole_box": self.whole_box,
            "points": [point.to_dict() for point in self.points],
            "nearest": list(self.nearest),
        }


def epsilons(threat: Threat, model: Model, clean: Clean) -> tuple[list[float], bool]:
    """The radii of the curve, 0 left out, and whether the last one allows any image."""
    assert threat.eps is not None
    grid = [threat.eps * factor for factor in FACTORS]
    grey = full_size(threat, model.box, clean.x, 0.5)
    whole_box = grey <= grid[-1] or str(threat.norm) == "L0"
    large = full_size(threat, model.box, clean.x, 1.0) if whole_box else grey
    return [eps for eps in grid if eps < large] + [large], whole_box


@dataclass(frozen=True)
class Trials:
    """The attacks behind a curve: one result for the images `rows` [n] (numbers) at each radius of `grid`.

    `all_right`: they are of the sanity subset; else they are the first images, wrong ones too (runs of version 0.1).
    """

    stage: Stage
    rows: Tensor
    grid: tuple[float, ...]
    whole_box: bool
    results: tuple[Result, ...]
    all_right: bool = True

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def passes(self) -> int:
        return sum(int(result.queries.sum() + result.gradients.sum()) for result in self.results)


def attack_all(
    model: Model,
    clean: Clean,
    threat: Threat,
    stage: Stage,
    rows: Tensor,
    *,
    seed: int,
    batch_size: int,
    standing: int,
    clock: Clock,
    draws: int = 0,
    known: Result | None = None,
    judge: Model | None = None,
) -> Trials:
    """Run the stage on the images `rows` [n] (numbers), afresh at each eps.

    Below the audited eps, where a climb is easier, it takes fewer steps (`SHORT`).

    Args:
        standing: for the progress. draws: fresh looks that decide success, see `redraw`.
        known: what the stage did on these images at the audited eps, where it has run there already.
        judge: the model itself, where `model` is a surrogate of it; None = `model`.
    """
    grid, whole_box = epsilons(threat, model, clean)
    results: list[Result] = []
    clock.start(len(rows) * len(grid), standing)
    assert threat.eps is not None
    data = clean.x[rows], clean.y[rows]
    for eps in grid:
        if eps == threat.eps and known is not None:
            none = torch.zeros_like(known.queries)
            results.append(replace(known, queries=none, gradients=none, trace=None))
        else:
            attack = shorter(stage.attack(), SHORT) if eps < threat.eps else stage.attack()
            harder, keep = replace(threat, eps=eps), keep_for(attack) if draws or judge else "best"
            found = run_batches(attack, model, data, harder, batch_size=batch_size, seed=seed, keep=keep)
            results.append(
                decided(
                    judge or model,
                    found,
                    *data,
                    draws=draws,
                    seed=seed,
                    batch_size=batch_size,
                    elsewhere=judge is not None,
                    screened=judge is not None,
                )
            )
        clock.tell(len(rows) * len(results), standing)
    return Trials(stage, rows, tuple(grid), whole_box, tuple(results))


def outcome_of(cascade: Cascade, stage: Stage, wrapper: str, rows: Tensor) -> Result | None:
    """What the same attack, looking at the model in the same way, has done in full on `rows` [n]; None = nothing."""
    for one in cascade.outcomes:
        same = one.stage.spec == stage.spec and one.stage.wrapper == wrapper and not one.stage.precision
        if same and one.stage.full_on_subset and one.place[0] == LADDER and bool(torch.isin(rows, one.rows).all()):
            places = {number: place for place, number in enumerate(one.rows.tolist())}
            return chosen(one.result, torch.tensor([places[number] for number in rows.tolist()], dtype=torch.int64))
    return None


def shorter(attack: Attack, share: float) -> Attack:
    """The same climb with a share of its steps, at least 10; attacks without steps, or with fewer, are as they are."""
    settings = attack.settings()
    steps = int(settings.get("steps") or 0)
    return attack if steps <= LEAST else build(attack.info, {**settings, "steps": max(LEAST, int(share * steps))})


def draw(trials: Trials, clean: Clean, worst: Result, radius: Tensor | None = None) -> Curve:
    """The curve; `worst` (of all images, at the audited eps) sharpens its envelope. `radius`: [N] proved, see
    `Certificate`."""
    rows, right = trials.rows, int(clean.correct.sum())
    wrong = round(trials.n * (len(clean) - right) / right) if trials.all_right else 0
    n = trials.n + wrong
    nearest = torch.where(worst.success[rows], worst.distance[rows].double(), torch.inf)
    for result in trials.results:
        nearest = torch.minimum(nearest, result.distance.double())
    start = Figure(int(clean.correct[rows].sum()), n)
    points = [Point(0.0, start, start, None if radius is None else start)]
    for eps, result in zip(trials.grid, trials.results, strict=True):
        survivors = int((nearest > eps * (1 + 1e-5)).sum())
        proved = None if radius is None else Figure(int((radius[rows] >= eps).sum()), n)
        points.append(Point(eps, Figure(int((~result.success).sum()), n), Figure(survivors, n), proved))
    found, numbers = tuple(nearest.tolist()), tuple(rows.tolist())
    whole = trials.grid[-1], trials.whole_box, trials.passes
    return Curve(trials.stage.spec, n, tuple(points), *whole, found, numbers, wrong)


def full_size(threat: Threat, box: tuple[float, float], x: Tensor, share: float) -> float:
    """The size, in the threat's norm, of moving every pixel by `share` of the box: 0.5 reaches a grey image."""
    return float(threat.norm.size(torch.full_like(x[:1], share * (box[1] - box[0])))[0])
