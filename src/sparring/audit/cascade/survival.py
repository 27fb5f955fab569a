"""Which adversarial images are still adversarial after what happens to pictures on their way: saved, sent, resized.

Each treatment is applied to the clean images too: where the model fails on those as well, what "still fools" is the
treatment. The perturbation may leave the ball on the way; what counts is what the model says in the end.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.audit.inputs.clean import Clean
from sparring.audit.statistics.proportion import Figure
from sparring.export.answers import ask
from sparring.export.pngs import can_be_pngs, eight_bit
from sparring.model import Model
from sparring.result import Result

QUALITY = 75
"of JPEG: what most programs save with"
SHRINK = 7 / 8
"of height and width, before they are brought back"

MOST = 100
"successes of a shard that are treated: a share needs no more"

Change = Callable[[Tensor], Tensor]
Treatment = Callable[[Tensor, Tensor], Tensor]
"(images [b, ...], the clean images behind them) -> what becomes of the former"


@dataclass(frozen=True)
class Survival:
    """What became of the successes under one treatment.

    Attributes:
        treatment: what was done. fooled: successes that fool the model still. right: the same images, clean, given the
            same treatment: those that the model still gets right.
    """

    treatment: str
    fooled: Figure
    right: Figure

    @property
    def passes(self) -> int:
        """Forward passes that it took to find out."""
        return self.fooled.of + self.right.of

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"treatment": self.treatment, "fooled": self.fooled.to_dict(), "clean_right": self.right.to_dict()}


def together(parts: Sequence[tuple[Survival, ...]]) -> tuple[Survival, ...]:
    """The same treatments on several lots of images, counted together."""
    found: dict[str, Survival] = {}
    for one in (one for part in parts for one in part):
        before = found.get(one.treatment, Survival(one.treatment, Figure(0, 0), Figure(0, 0)))
        found[one.treatment] = Survival(one.treatment, before.fooled + one.fooled, before.right + one.right)
    return tuple(found.values())


def survive(model: Model, clean: Clean, worst: Result, batch_size: int) -> tuple[Survival, ...]:
    """Treat successes of attacks, and the clean images behind them, and show both to the model."""
    hit = (worst.success & worst.clean_correct).nonzero().squeeze(1)
    if not len(hit):
        return ()
    hit = hit[torch.arange(min(MOST, len(hit))) * len(hit) // min(MOST, len(hit))]
    found = []
    for name, treat in _treatments(worst, clean.x):
        fooled = right = 0
        for rows in torch.split(hit, batch_size):
            x = clean.x[rows]
            after = ask(model, treat(worst.x_adv[rows], x), batch_size).prediction
            before = ask(model, treat(x, x), batch_size).prediction
            fooled += int((after != clean.y[rows]).sum())
            right += int((before == clean.y[rows]).sum())
        found.append(Survival(name, Figure(fooled, len(hit)), Figure(right, len(hit))))
    return tuple(found)


def _treatments(worst: Result, x: Tensor) -> Iterator[tuple[str, Treatment]]:
    box = worst.threat.box
    assert box is not None
    low, high = box

    def in_unit(change: Change) -> Treatment:
        return lambda z, _: low + (high - low) * change((z.float() - low) / (high - low)).to(z.dtype)

    yield "8-bit PNG", lambda z, clean: eight_bit(z, clean, worst.threat)
    if can_be_pngs(x):
        yield f"JPEG, quality {QUALITY}", in_unit(_jpeg)
        yield "resized to 7/8 and back", in_unit(_resized)


def _jpeg(unit: Tensor) -> Tensor:
    """Through the encoder and back; colours at half resolution, as usual."""
    import numpy as np
    from PIL import Image

    out = []
    for image in (unit * 255).round().clamp(0, 255).to(torch.uint8):
        grid = image[0] if len(image) == 1 else image.permute(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(grid.contiguous().numpy()).save(file, format="JPEG", quality=QUALITY)
        back = torch.from_numpy(np.array(Image.open(file)))
        out.append(back[None] if len(image) == 1 else back.permute(2, 0, 1))
    return torch.stack(out).to(unit.dtype) / 255


def _resized(unit: Tensor) -> Tensor:
    size = unit.shape[-2:]
    small = [max(1, round(SHRINK * side)) for side in size]
    for shape in (small, list(size)):
        unit = F.interpolate(unit, size=shape, mode="bilinear", align_corners=False, antialias=True)
    return unit.clamp(0, 1)
