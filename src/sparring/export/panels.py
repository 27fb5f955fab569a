"""From a result to the lines of its figure: which samples, and what is written beside them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.export.answers import Answers
from sparring.export.grid import Outcome, Panel
from sparring.export.tables import class_name
from sparring.result import Result
from sparring.threat import Goal

SYMBOLS = {"Linf": "L∞", "L2": "L2", "L1": "L1", "L0": "L0"}


def choose(result: Result, limit: int) -> list[int]:
    """Rows to show, in this order: those that were right and are fooled, others that were right, the rest."""
    ranks = torch.where(result.clean_correct, (~result.success).long(), 2)
    picked: list[int] = ranks.argsort(stable=True)[:limit].tolist()
    return picked


def panels(
    result: Result,
    x: Tensor,
    goal: Goal,
    rows: Sequence[int],
    *,
    clean: Answers | None = None,
    adversarial: Answers | None = None,
    classes: Sequence[str] | None = None,
    index: Tensor | None = None,
) -> list[Panel]:
    """Panels of the given rows, with the model's answers where they are known. Arguments: see `sample_rows`."""
    made = []
    norm = SYMBOLS[str(result.threat.norm)]
    for i in rows:
        number = i if index is None else int(index[i])
        heading = [f"no. {number}"]
        if goal.y is not None:
            heading.append(f"true: {class_name(int(goal.y[i]), classes)}")
        if goal.targeted and goal.t is not None:
            heading.append(f"target: {class_name(int(goal.t[i]), classes)}")
        size = float(result.threat.norm.size((result.x_adv[i] - x[i])[None]))
        before, after = (_said(answers, i, classes) for answers in (clean, adversarial))
        outcome = _outcome(result, i, clean, adversarial)
        made.append(Panel(x[i], result.x_adv[i], "\n".join(heading), before, f"{norm} {size:.3g}", after, outcome))
    return made


def _outcome(result: Result, i: int, clean: Answers | None, adversarial: Answers | None) -> Outcome:
    if bool(result.success[i]):
        return "fooled"
    if clean is None or adversarial is None:
        return "held"
    return "moved" if int(clean.prediction[i]) != int(adversarial.prediction[i]) else "held"


def _said(answers: Answers | None, i: int, classes: Sequence[str] | None) -> str:
    if answers is None:
        return ""
    confidence = float(answers.confidence[i])
    said = class_name(int(answers.prediction[i]), classes)
    return said if confidence != confidence else f"{said}\n{percent(confidence)}"


def percent(share: float) -> str:
    """A probability for a caption; never rounded up to certainty.

    >>> percent(0.99996)
    '> 99.9 %'
    """
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{share:.1%}".replace("%", " %")
