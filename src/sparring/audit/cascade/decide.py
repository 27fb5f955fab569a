"""Who decides what a search has found: the search's own look, the model itself, or fresh looks at it."""

from __future__ import annotations

from torch import Tensor

from sparring.audit.cascade.inner_tensor import judged_outside
from sparring.audit.cascade.majority_vote import judged
from sparring.model import Model
from sparring.result import Result


def decided(
    model: Model,
    result: Result,
    x: Tensor,
    y: Tensor,
    *,
    draws: int,
    seed: int,
    batch_size: int,
    elsewhere: bool = False,
    screened: bool = False,
) -> Result:
    """The result with its successes as the model itself has them.

    Args:
        x: [n, ...] the clean images. draws: fresh looks a point, for models that answer at random; 0 = none.
        elsewhere: the search looked at another model, a surrogate or an inner tensor, so its look says nothing.
        screened: looks are expensive, see `judged`.
    """
    if draws:
        return judged(model, result, x, y, draws, seed, batch_size, screened=screened)
    return judged_outside(model, result, x, y, batch_size) if elsewhere else result
