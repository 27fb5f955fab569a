"""`minimum_norm`: how far is the nearest mistake of each image? One call, one budget, the best of several attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from sparring.attack import Attack
from sparring.attacks.decision.min_norm_decision import DecisionMinimumNorm
from sparring.attacks.gradient.min_norm import PASSES, MinimumNorm
from sparring.attacks.score.min_norm_score import ScoreMinimumNorm
from sparring.budget import Budget
from sparring.class_numbers import integers
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.norms import Norm
from sparring.result import Result, concat
from sparring.threat import Goal, Threat, Untargeted

SEES: dict[str, Attack] = {
    "gradient": MinimumNorm(),
    "score": ScoreMinimumNorm(),
    "decision": DecisionMinimumNorm(),
}
"""What looks for the minimum, by what it may see of the model."""


def minimum_norm(
    model: Model | Callable[..., Any],
    x: Tensor,
    y: Tensor | Goal,
    norm: Norm | str | float = "L2",
    *,
    budget: Budget | None = None,
    seed: int = 0,
    levels: int | None = None,
    region: Tensor | None = None,
    sees: Literal["gradient", "score", "decision"] = "gradient",
    batch_size: int = 256,
) -> Result:
    """The smallest perturbation that fools the model, image by image, as far as the budget lets it be found.

    Args:
        model: a `Model`, or a net that takes pixels in [0, 1]. x: [N, ...]. y: [N] classes, or a goal.
        norm: L0, L1, L2 or Linf. budget: for each image; None = 2,000 passes. seed: of the random starts.
        levels, region: as in `Threat`.
        sees: "score" = by attacks that see no gradients, "decision" = by attacks that see predicted classes alone.
        batch_size: images at once; it changes nothing else.

    Returns:
        `Result`: `distance` [N], 0 where the model is wrong anyway, inf where nothing was found; `x_adv`; `curve(...)`.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.6, 0.4]]), torch.tensor([0])
    >>> found = [sp.minimum_norm(net, x, y, norm, budget=sp.Budget(passes=600)) for norm in ("L0", "L1", "L2", "Linf")]
    >>> [round(float(one.distance), 2) for one in found]
    [1.0, 0.2, 0.14, 0.1]
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    if sees not in SEES:
        raise InputError(f"sees is {sees!r}; it must be {' or '.join(map(repr, SEES))}")
    model = wrap(model)
    limit = budget or Budget(passes=PASSES)
    threat = Threat(norm, None, levels=levels, region=region)
    goal = y if isinstance(y, Goal) else Untargeted(integers(y))
    attack = SEES[sees]
    starts = range(0, max(len(x), 1), batch_size)
    results = []
    for start in starts:
        rows = slice(start, start + batch_size)
        part = goal.map(lambda classes, rows=rows: classes[rows] if classes.dim() else classes)  # type: ignore[misc]
        results.append(attack(model, x[rows], part, threat.rows(rows), seed=seed, budget=limit))
    return concat(results)
