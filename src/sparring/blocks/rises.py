"""Better by more than rounding: what random searches accept by."""

from __future__ import annotations

import torch
from torch import Tensor

SLACK = {torch.float64: 1e-9, torch.float32: 3e-6}
"of the value: as far as it may depend on who else is in the batch; logits round by more than a small margin would"


def rises(new: Tensor, old: Tensor) -> Tensor:
    """bool: `new` is above `old` by more than rounding; never where `new` is NaN, any number where `old` is.

    Both of one shape.

    A pixel that has no effect changes a loss in its last bits, and differently in another batch: such a change must
    not be taken for progress, or the rest of the search would depend on it.
    """
    old = torch.where(old.isnan(), -torch.inf, old)  # or a search that begins at NaN would stay there
    slack = SLACK.get(new.dtype, 3e-6) * old.abs()
    return new > old + torch.where(slack.isfinite(), slack, 0)
