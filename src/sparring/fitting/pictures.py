"""Pictures of a fitted attack: its perturbation or patch, and what it does to some images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sparring.blocks.learned.attack import LearnedAttack
from sparring.blocks.learned.nets import FromCode, OneForAll, OneForClass
from sparring.blocks.learned.patch import Patch
from sparring.data.images import ImageData
from sparring.export.answers import ask
from sparring.export.grid import picture_grid
from sparring.export.panels import choose, panels
from sparring.model import Model
from sparring.storage import replacing
from sparring.threat import Threat, Untargeted

SHOWN = 12
"images in the figure"
LEAST = 112
"pixels that a side of a saved perturbation has at least: small ones are enlarged by whole pixels"


def write_pictures(
    fitted: LearnedAttack, model: Model, images: ImageData, threat: Threat, folder: Path, seed: int = 0
) -> list[str]:
    """`perturbation.png` or `patch.png`, where it is the same for all images, and `examples.png`; their names.

    Nothing is drawn of images that are neither grey nor colour.
    """
    if images.shape[0] not in (1, 3):
        return []
    names = []
    fixed = fixed_picture(fitted)
    if fixed is not None:
        name, pixels = fixed
        write_picture(pixels, folder / name)
        names.append(name)
    x, y = images.first(min(len(images), 4 * SHOWN)).tensors()
    x = model.accept(x)
    result = fitted(model, x, y, threat, seed=seed)
    goal = Untargeted(y)
    rows = choose(result, SHOWN)
    shown = panels(
        result, x.cpu(), goal, rows,
        clean=ask(model, x, 256), adversarial=ask(model, result.x_adv, 256), classes=model.classes or images.classes,
    )  # fmt: skip
    picture_grid(shown, folder / "examples.png", title=f"{fitted.info.title}, {threat}", box=model.box)
    return [*names, "examples.png"]


def fixed_picture(fitted: LearnedAttack) -> tuple[str, Tensor] | None:
    """The perturbation (of all classes side by side; mid-grey = no change) or the patch: [C, H, W] in [0, 1]."""
    subject = fitted.subject
    net: Any = fitted.fitted_net(torch.zeros(1, *subject.shape))
    low, _ = subject.box
    if isinstance(net, Patch):
        return "patch.png", (net.colours.detach().cpu() - low) / subject.width
    if isinstance(net, OneForAll | FromCode):
        changes = net(torch.zeros(1, *subject.shape), None)
    elif isinstance(net, OneForClass):
        classes = torch.arange(subject.classes)
        changes = net(torch.zeros(len(classes), *subject.shape), classes)
    else:
        return None
    peak = float(changes.abs().max()) or 1.0
    pictures = changes.detach().cpu().reshape(len(changes), *subject.picture) / (2 * peak) + 0.5
    return "perturbation.png", torch.cat(list(pictures), 2)


def write_picture(pixels: Tensor, path: Path) -> None:
    """Pixels [1 or 3, H, W] in [0, 1] as a PNG, small ones enlarged."""
    times = max(1, -(-LEAST // min(pixels.shape[1:])))
    levels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    levels = levels.repeat_interleave(times, 1).repeat_interleave(times, 2).permute(1, 2, 0).squeeze(2)
    with replacing(path) as waiting, waiting.open("wb") as file:
        Image.fromarray(levels.contiguous().numpy()).save(file, format="PNG")
