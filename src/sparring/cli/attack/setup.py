"""From the options of `sparring attack` to what the library takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast, get_args

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from sparring.attack import Attack
    from sparring.data import ImageData
    from sparring.model import Model
    from sparring.referee import Keep
    from sparring.threat import Goal, Threat


def threat_of(
    attack: Attack, norm: str | None, eps: str | None, levels: int | None, region: Tensor | None = None
) -> Threat:
    """The threat in the options; without a norm, Linf or the first that the attack works under."""
    from sparring.errors import InputError
    from sparring.norms import Linf
    from sparring.threat import Threat

    info = attack.info
    if eps is None and info.aim == "budget":
        raise InputError(f"{info.name} needs --eps, the largest perturbation allowed: --eps 0.3 or --eps 8/255")
    return Threat(norm or (Linf if Linf in info.norms else info.norms[0]), eps, levels=levels, region=region)


def surrogates_of(specs: list[str] | None) -> list[Model] | None:
    """The models that `--surrogate` names; None where there is none."""
    from sparring.zoo import load_model

    return [load_model(spec) for spec in specs] if specs else None


def keep_of(name: str) -> Keep:
    """Which point an attack keeps, by name."""
    from sparring.errors import InputError
    from sparring.referee import Keep

    for known in get_args(Keep):
        if name == known:
            return cast("Keep", known)
    raise InputError(f"--keep {name} is not known; it is one of {', '.join(get_args(Keep))}")


def aimable(images: ImageData, target: str | None, log: Console) -> tuple[Tensor, Tensor, Tensor]:
    """(x, y, numbers in the data set) without the images that are of the target class: they cannot be driven there."""
    import torch

    from sparring.errors import InputError

    x, y = images.tensors()
    if target is None or not target.isdecimal():
        return x, y, torch.arange(len(y))
    index = (y != int(target)).nonzero().squeeze(1)
    if not len(index):
        raise InputError(f"all {len(y)} images are of class {target} already; choose another --target")
    if len(index) < len(y):
        log.print(f"left out {len(y) - len(index)} of {len(y)} images: they are of class {target} already")
        return x[index], y[index], index
    return x, y, index


def remembering(policy: Callable[[Tensor, Tensor], Goal], goals: list[Goal]) -> Callable[[Tensor, Tensor], Goal]:
    """The policy, which leaves each batch's goal in `goals`."""

    def choose(x: Tensor, y: Tensor) -> Goal:
        goals.append(policy(x, y))
        return goals[-1]

    return choose


def joined(goals: list[Goal], y: Tensor) -> Goal:
    """The goal of all images from those of the batches (none = untargeted)."""
    import torch

    from sparring.threat import Targeted, Untargeted

    return Targeted(torch.cat([goal.label for goal in goals]), y) if goals else Untargeted(y)
