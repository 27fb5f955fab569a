"""What the attacker may do (`Threat`) and what he wants (`Untargeted`, `Targeted`).

`goal.margin(logits) > 0` <=> fooled <=> the arg max says so: the one definition of success in this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sparring import norms
from sparring.ball import Ball
from sparring.class_numbers import integers
from sparring.errors import InputError

Box = tuple[float, float]


def parse_eps(text: str | float | None) -> float | None:
    """A radius as people write it: 0.3, "8/255", None.

    >>> parse_eps("8/255"), parse_eps("0.5/255")
    (0.03137254901960784, 0.00196078431372549)
    """
    if text is None:
        return None
    if isinstance(text, str):
        if not NUMBER.fullmatch(plain := text.replace(" ", "")):
            raise InputError(f"eps {_short(text)} is not a number; write it like 0.3 or 8/255")
        above, _, below = plain.partition("/")
        try:
            return float(Fraction(above) / Fraction(below or 1))
        except (ValueError, ZeroDivisionError, OverflowError):
            raise InputError(f"eps {_short(text)} is not a number that fits; write it like 0.3 or 8/255") from None
    count = text.numel() if isinstance(text, Tensor) else int(np.size(text))
    each = "" if count < 2 else f"; {count} radii were given: call it once for each, on the images that it is for"
    wanted = InputError(f"eps is {_short(text)}; it must be one number, like 0.3 or '8/255'{each}")
    if isinstance(text, bool) or not isinstance(text, Real | Tensor | np.ndarray):
        raise wanted
    try:
        return float(text)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise wanted from None


def settled_box(box: Any) -> Box:
    """(low, high) as two floats.

    Raises:
        InputError: it is not two numbers with low < high; a box for each channel has a hint.
    """
    try:
        first, second = box
        low, high = float(first), float(second)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"box is {_short(box)}; it must be two numbers, (low, high), for all channels. Where channels differ, let "
            "pixels go from 0 to 1 and give the rest as mean= and std=, a number a channel: wrap(net, mean=, std=)"
        ) from None
    if not low < high or not np.isfinite([low, high]).all():
        raise InputError(f"box is {_short(box)}; it must be (low, high), finite, with low < high")
    return low, high


def eps_text(eps: float) -> str:
    """A radius as people write it: in 255ths where it is one, as most papers say it, else with four digits.

    >>> eps_text(8 / 255), eps_text(0.3), eps_text(0.5 / 255), eps_text(0.123456)
    ('8/255', '0.3', '0.5/255', '0.1235')
    """
    short, halves = f"{eps:.4g}", 510 * eps
    simple = abs(float(Fraction(eps).limit_denominator(16)) - eps) < 1e-9 if eps < 1e6 else True  # 1/3 is no 85/255
    if float(short) != eps and not simple and 0 < halves < 1e6 and abs(halves - round(halves)) < 1e-6 * halves:
        return f"{round(halves) / 2:g}/255"
    return short


NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})(e[+-]?\d{1,3})?(/\d{1,40})?", re.IGNORECASE)
"a decimal number, or a fraction; of a length that can be worked out at once"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


@dataclass(frozen=True, init=False, eq=False)
class Threat:
    """The perturbations that count: ||x' - x|| <= eps inside the box, maybe on a grid, maybe in one region only.

    Args:
        norm: "Linf", "L2", "L1", "L0" or one of `sparring.norms`.
        eps: the radius, a number or a fraction as text; None = none: the smallest perturbation is wanted.
        box: (low, high) of a valid pixel; None = the model's.
        levels: 256 = images that survive being saved with 8 bits: only such points are ever shown to the model.
        region: bool tensor, True = this pixel may change: [H, W], [C, H, W], or one for each image [B, C, H, W];
            None = all may.

    >>> Threat("linf", "8/255")
    Threat(norm=Linf, eps=0.03137254901960784, box=None, levels=None, region=None)
    """

    norm: norms.Norm
    eps: float | None
    box: Box | None
    levels: int | None
    region: Tensor | None

    def __init__(
        self,
        norm: norms.Norm | str | float,
        eps: float | str | None = None,
        box: Box | None = None,
        levels: int | None = None,
        region: Tensor | None = None,
    ) -> None:
        radius = parse_eps(eps)
        if radius is not None and not 0 <= radius < float("inf"):
            raise InputError(f"eps is {eps}; it must be a finite number >= 0 (None = the smallest perturbation)")
        if levels is not None and levels < 2:
            raise InputError(f"levels is {levels}; it must be at least 2 (256 for 8-bit images)")
        object.__setattr__(self, "norm", norms.norm(norm))
        object.__setattr__(self, "eps", radius)
        object.__setattr__(self, "box", None if box is None else settled_box(box))
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "region", None if region is None else _mask(region))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Threat) or hash(self) != hash(other):
            return False
        mine, yours = self.region, other.region
        return mine is yours or (mine is not None and yours is not None and torch.equal(mine, yours))

    def __hash__(self) -> int:
        return hash((self.norm, self.eps, self.box, self.levels, self.region is None))

    def mask(self, x: Tensor) -> Tensor | None:
        """The region spread over images `x` [B, ...], on their device; None where every pixel may change."""
        if self.region is None:
            return None
        try:
            return self.region.to(x.device).expand(x.shape)
        except RuntimeError:
            raise InputError(
                f"the region has shape {tuple(self.region.shape)}, the images {tuple(x.shape)}; give the shape of one "
                "image, its height and width, or one region for each image"
            ) from None

    def reach(self, pixels: int) -> float:
        """The distance of two opposite corners of the box, settled, for images of so many numbers."""
        assert self.box is not None
        across = torch.full((1, pixels), self.box[1] - self.box[0], dtype=torch.float64)
        return float(self.norm.size(across))

    def refuse_unreachable(self, pixels: int, reach: float | None = None) -> None:
        """Refuse a radius that no image can use up: whatever is measured with it says nothing about that radius.

        Args:
            pixels: numbers in an image. reach: the largest distance from an image to a corner of the box; None = from
                one corner to the opposite one. The threat's box must be settled, see `within`.

        Raises:
            InputError: with the likely cause.
        """
        assert self.box is not None
        if self.eps is None:
            return
        low, high = self.box
        most = self.reach(pixels)
        if reach is not None:
            most = min(reach, most)
        if self.eps > most * (1 + 1e-5):
            scaled = self.eps * (high - low) / 255
            fits = self.norm is not norms.L0 and high - low <= 2 and scaled <= most / 2
            hint = f'; on the scale 0 to 255 write eps="{self.eps:g}/255"' if fits else ""
            raise InputError(
                f"eps {self.eps:g} is more than any image can use: inside the box {self.box} none can be moved further "
                f"than {self.norm} {most:.4g}{hint}"
            )
        if self.norm is norms.L0 and 0 < self.eps < 1:
            raise InputError(
                f"eps {self.eps:g} lets no pixel change: under L0 it is a number of pixels, of {pixels} in an image"
            )

    def rows(self, at: slice | Tensor) -> Threat:
        """The threat for some of the images that it was made for: the same, unless each has a region of its own."""
        if self.region is None or self.region.dim() < 4:
            return self
        return replace(self, region=self.region[at])

    def within(self, box: Box) -> Threat:
        """This threat with its box settled: its own, else the model's."""
        if self.box is None:
            return replace(self, box=box)
        if self.box[0] < box[0] or self.box[1] > box[1]:
            raise InputError(f"the threat's box {self.box} is not inside the model's box {box}; give both the same")
        return self

    def ball(self, x: Tensor) -> Ball:
        """The points around each image that this threat allows: within eps (anywhere in the box without one), on the
        grid of its levels, changed only in its region.

        Args:
            x: [B, ...] clean images. The ball has their type and device.

        Raises:
            InputError: the threat has no box yet, or its region does not fit the images.

        >>> Threat("Linf", eps=0.25, box=(0, 1)).ball(torch.tensor([[0.5, 0.9]])).contains(torch.tensor([[0.3, 1.0]]))
        tensor([True])
        """
        if self.box is None:
            raise InputError("the threat has no box; write Threat('Linf', 0.3, box=(0, 1)), or use within(box)")
        eps = torch.full((len(x),), float("inf") if self.eps is None else self.eps, dtype=x.dtype, device=x.device)
        return Ball(x, self.norm, eps, self.box, self.levels, self.mask(x))

    def __str__(self) -> str:
        return f"{self.norm}" if self.eps is None else f"{self.norm} {eps_text(self.eps)}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        plain: dict[str, object] = {"norm": str(self.norm), "eps": self.eps, "box": self.box, "levels": self.levels}
        if self.region is not None:
            plain["region"] = {"shape": list(self.region.shape), "pixels": int(self.region.sum())}
        return plain


def _mask(region: Tensor) -> Tensor:
    region = torch.as_tensor(region)
    if region.dtype != torch.bool:
        if not bool(((region == 0) | (region == 1)).all()):
            raise InputError("a region says for each pixel whether it may change: True or False, or 1 or 0")
        region = region.bool()
    if not bool(region.any()):
        raise InputError("the region is empty: no pixel may change; mark with True those that may")
    return region


class Goal:
    """What counts as fooled, for each sample: see `Untargeted` and `Targeted`.

    Attributes:
        y: [B] int64, the true classes, or None where a targeted goal does not know them.
        t: [B] int64, the wanted classes. For an untargeted goal: None, or the class that a loss may push up,
            which steers the search and is never judged.
    """

    y: Tensor | None
    t: Tensor | None
    targeted = False

    @property
    def label(self) -> Tensor:
        """[B] the class that success is about: y, or t when targeted."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.label)

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same goal with `change` applied to its tensors."""
        goal = copy(self)
        goal.y = None if self.y is None else change(self.y)
        goal.t = None if self.t is None else change(self.t)
        return goal

    def aim(self, t: Tensor) -> Self:
        """The same goal, untargeted, with the class [B] that losses may push up."""
        goal = copy(self)
        goal.t = t
        return goal

    def __getitem__(self, rows: Tensor) -> Self:
        return self.map(lambda classes: classes[rows])

    def read(self, outputs: Tensor) -> Tensor:
        """What the model says about these samples, as logits [B, K]; other than themselves only for `OutputGoal`."""
        return outputs

    def margin(self, logits: Tensor) -> Tensor:
        """[B, K] -> [B]: positive <=> fooled. Differentiable; shifting all logits changes nothing."""
        raise NotImplementedError

    def hit(self, prediction: Tensor) -> Tensor:
        """Predicted classes [B] -> bool [B]: fooled, for models that only say the class."""
        raise NotImplementedError

    def correct(self, prediction: Tensor) -> Tensor:
        """Predicted classes of the clean images [B] -> bool [B]: the model starts out right."""
        return ~self.hit(prediction) if self.y is None else prediction == self.y


def best_other(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """(logit of `label`, largest logit of the others), each [B]."""
    own = logits.gather(1, label[:, None]).squeeze(1)
    rest = logits.scatter(1, label[:, None], float("-inf"))  # masking by a product fails on negative logits
    return own, rest.amax(1)


def _as_predicted(gap: Tensor, logits: Tensor, goal: Goal) -> Tensor:
    """Break exact ties the way the arg max does, so that margin > 0 <=> hit."""
    tie = gap == 0
    if not bool(tie.any()):
        return gap
    return torch.where(tie & goal.hit(logits.argmax(1)), gap + torch.finfo(torch.float32).tiny, gap)


class Untargeted(Goal):
    """Any class but the true one. This is what a plain tensor of labels means.

    >>> Untargeted(torch.tensor([0])).margin(torch.tensor([[1.0, 3.0]]))
    tensor([2.])
    """

    def __init__(self, y: Tensor, t: Tensor | None = None) -> None:
        self.y, self.t = y, t

    @property
    def label(self) -> Tensor:
        assert self.y is not None
        return self.y

    def margin(self, logits: Tensor) -> Tensor:
        own, other = best_other(logits, self.label)
        return _as_predicted(other - own, logits, self)

    def hit(self, prediction: Tensor) -> Tensor:
        return prediction != self.label


class Targeted(Goal):
    """Exactly the class `t`, a tensor [B] or one number for all. With `y`, clean accuracy is about y.

    >>> Targeted(torch.tensor([0])).margin(torch.tensor([[1.0, 3.0]]))
    tensor([-2.])
    """

    targeted = True

    def __init__(self, t: Tensor | int, y: Tensor | None = None) -> None:
        self.t, self.y = integers(t, "target classes"), y

    @property
    def label(self) -> Tensor:
        assert self.t is not None
        return self.t

    def margin(self, logits: Tensor) -> Tensor:
        own, other = best_other(logits, self.label)
        return _as_predicted(own - other, logits, self)

    def hit(self, prediction: Tensor) -> Tensor:
        return prediction == self.label


Measure = Callable[[Tensor, Tensor], Tensor]
"(outputs [B, ...], y [B, ...]) -> [B]"


class OutputGoal(Untargeted):
    """Fooled as a function of the outputs says: for heads that do not give one class, see `wrap(..., success=)`.

    Attacks see two logits, 0 for "as it should be" and the measure of success for "fooled"; y is 0 for all.

    Attributes:
        truth: [B, ...] what belongs to the samples, handed to the functions.
    """

    def __init__(self, truth: Tensor, success: Measure, loss: Measure | None = None) -> None:
        super().__init__(torch.zeros(len(truth), dtype=torch.int64, device=truth.device))
        self.truth, self.success, self.loss = truth, success, loss

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        goal = super().map(change)
        goal.truth = change(self.truth)
        return goal

    def read(self, outputs: Tensor) -> Tensor:
        """Two logits a sample. With a loss, its gradient takes the place of that of the measure of success."""
        value = _measured("success", self.success, outputs, self.truth)
        if self.loss is not None and outputs.requires_grad:
            rise = _measured("loss", self.loss, outputs, self.truth)
            value = value.detach() + (rise - rise.detach())
        return torch.stack([torch.zeros_like(value), value], 1)


def _measured(what: str, measure: Measure, outputs: Tensor, truth: Tensor) -> Tensor:
    found = measure(outputs, truth)
    if not isinstance(found, Tensor) or found.shape != (len(outputs),):
        seen = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{what}(outputs, y) gave {seen}; one number a sample is needed, shape ({len(outputs)},)")
    return found if found.is_floating_point() else found.to(outputs.dtype) - 0.5
