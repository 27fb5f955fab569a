"""What the three backdoor attacks share: which samples get the trigger, and the class that it shall mean."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import InputError
from sparring.poisoning.base import Change, View
from sparring.poisoning.triggers import Trigger


def plant(view: View, trigger: Trigger, aim: int) -> Change:
    """Stamp the trigger on random samples of the other classes, and label them `aim`.

    Raises:
        InputError: no such class, or too few images of other classes.
    """
    rows = view.draw(view.budget, others(view, aim))
    x, _ = view.data.subset(rows).tensors()
    return Change(rows, trigger(x), torch.full((len(rows),), aim), trigger, aim=aim)


def others(view: View, aim: int) -> Tensor:
    """The samples of other classes than `aim`, int64 [N].

    Raises:
        InputError: no such class, or fewer than the budget.
    """
    if not 0 <= aim < len(view.data.classes):
        raise InputError(f"target={aim}; the classes are 0 to {len(view.data.classes) - 1}")
    found: Tensor = (view.data.labels != aim).nonzero().flatten()
    if len(found) < view.budget:
        raise InputError(
            f"there are {len(found)} images of other classes than {aim}, fewer than the {view.budget} to poison"
        )
    return found


def split_off(rows: Tensor, rest: Tensor, count: int, seed: int) -> Tensor:
    """`count` samples of `rest` that are not among `rows`, at random."""
    left = rest[~torch.isin(rest, rows)]
    generator = torch.Generator().manual_seed(seed)
    return left[torch.randperm(len(left), generator=generator)[:count]]
