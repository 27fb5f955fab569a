"""Label flips that hurt a linear learner most: ALFA for several classes (Xiao, Xiao & Eckert 2012).

The learner is fitted to the flipped labels, then the labels are flipped anew so that they suit the fitted learner and
not the clean one:

    gain_i(c) = [l'(y_i) - l0(y_i)] - [l'(c) - l0(c)]       the C samples with the largest gain > 0 get their best c

where l0 and l' are the losses under the clean and the poisoned learner. This is the optimum of the paper's linear
programme, without a solver. The fixed point depends on the start, so there are several.

Paper: "Adversarial label flips attack on support vector machines", doi:10.3233/978-1-61499-098-7-870. Differs from it:
any number of classes; several starts, among them whole classes that change places; kept are the labels that cost the
refitted learner most accuracy on the clean labels. Fails where the budget is a handful of samples of a large, well
separated set: then no flip moves the learner.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.poisoning.linear import Linear, losses

ROUNDS = 6


@dataclass(frozen=True)
class Flips:
    """Labels after an attack.

    Attributes:
        labels: int64 [N]. error: the share of the clean labels that the surrogate misses after training on them.
        start: the name of the start that led here.
    """

    labels: Tensor
    error: float
    start: str


def alfa(x: Tensor, y: Tensor, budget: int, learner: Linear, seed: int, rounds: int = ROUNDS) -> Flips:
    """The worst labels found with at most `budget` of them changed.

    Args:
        x: features [N, d], float64; y: labels [N]. learner: the surrogate. seed: of the random start.
    """
    clean = learner.fit(x, y)
    before = losses(learner.logits(clean, x), learner.kind)
    best = Flips(y, _error(learner, clean, x, y), "clean")
    if not budget:
        return best
    for name, labels in _starts(y, before, budget, learner.classes, seed).items():
        weights = clean
        for _ in range(rounds):
            weights = learner.fit(x, labels, weights)
            found = _error(learner, weights, x, y)
            if found > best.error:
                best = Flips(labels, found, name)
            after = flip(y, before, losses(learner.logits(weights, x), learner.kind), budget)
            if torch.equal(after, labels):
                break
            labels = after
    return best


def flip(y: Tensor, before: Tensor, after: Tensor, budget: int) -> Tensor:
    """The labels that suit the poisoned learner and not the clean one, at most `budget` of them changed.

    Args:
        before, after: the losses of each sample under each label, [N, K], by the clean and the poisoned learner.
    """
    rows = torch.arange(len(y))
    gains = (after[rows, y] - before[rows, y])[:, None] - (after - before)
    gains[rows, y] = -torch.inf
    gain, label = gains.max(1)
    chosen = gain.argsort(descending=True, stable=True)[:budget]
    chosen = chosen[gain[chosen] > 0]
    flipped = y.clone()
    flipped[chosen] = label[chosen]
    return flipped


def _starts(y: Tensor, before: Tensor, budget: int, classes: int, seed: int) -> dict[str, Tensor]:
    """Labels to begin with, by name; each changes `budget` of them if there are as many."""
    rows = torch.arange(len(y))
    hidden = before.clone()
    hidden[rows, y] = torch.inf
    nearest = hidden.argmin(1)
    hidden[rows, y] = -torch.inf
    furthest, loss = hidden.argmax(1), hidden.max(1).values
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(y), generator=generator)[:budget]
    shift = torch.randint(1, classes, (len(y),), generator=generator)
    made = {
        "random": _with(y, drawn, ((y + shift) % classes)[drawn]),
        "furthest": _with(y, (top := loss.argsort(descending=True)[:budget]), furthest[top]),
    }
    order = torch.rand(len(y), generator=generator)  # at random: what is chosen by its looks can be told apart
    for name, other in (("nearest class", nearest), ("furthest class", furthest)):
        for majority in (0.52, 0.6):
            made[f"{name}, {majority:.0%}"] = _class_by_class(y, other, order, budget, majority)
    return made


def _with(y: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    changed = y.clone()
    changed[rows] = labels
    return changed


def _class_by_class(y: Tensor, other: Tensor, order: Tensor, budget: int, majority: float) -> Tensor:
    """Relabel a majority of one class after the other, all of a class to the same one, until the budget is spent.

    The small classes come first, since they cost least; within a class, the samples with the smallest `order` [N].
    """
    changed = y.clone()
    for label in y.bincount().argsort(stable=True).tolist():
        rows = (y == label).nonzero().flatten()
        if not len(rows) or budget <= 0:
            continue
        wanted = int(other[rows].mode().values)
        count = min(budget, int(majority * len(rows)) + 1, len(rows))
        chosen = rows[order[rows].argsort(stable=True)[:count]]
        changed[chosen] = wanted
        budget -= count
    return changed


def _error(learner: Linear, weights: Tensor, x: Tensor, y: Tensor) -> float:
    return float((learner.logits(weights, x).argmax(1) != y).double().mean())
