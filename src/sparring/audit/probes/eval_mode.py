"""The twin in eval mode of a model that was left in train mode: both figures belong into the report."""

from __future__ import annotations

from copy import copy

from sparring.audit.inputs.clean import Clean
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.stage import Stage, unfit
from sparring.batches import run_batches
from sparring.model import Model
from sparring.threat import Threat

IMAGES = 100
ATTACK = Stage("PGD (margin) in eval mode", "pgd:loss=margin,steps=20", "iterative")


def measure_in_eval(
    model: Model, clean: Clean, threat: Threat, seed: int, batch_size: int
) -> tuple[tuple[Figure, Figure] | None, int]:
    """(right, standing against PGD) in eval mode, of the first images, and the passes spent; None if PGD cannot run."""
    if unfit(ATTACK, model, threat) is not None:
        return None, 0
    data = clean.x[:IMAGES], clean.y[:IMAGES]
    result = run_batches(ATTACK.attack(), in_eval_mode(model), data, threat, batch_size=batch_size, seed=seed)
    n = len(result)
    figures = Figure(int(result.clean_correct.sum()), n), Figure(int((~result.success).sum()), n)
    return figures, int(result.queries.sum() + result.gradients.sum())


def in_eval_mode(model: Model) -> Model:
    """The same model, put in eval mode while it is attacked."""
    twin = copy(model)
    twin.mode = "eval"
    inner = getattr(model, "inner", None)
    if isinstance(inner, Model):
        twin.__dict__["inner"] = in_eval_mode(inner)
    return twin
