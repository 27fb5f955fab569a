"""`save_result`: everything that one attack found, in one folder, checked again on what was read back from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring._version import __version__
from sparring.class_numbers import integers
from sparring.errors import InputError
from sparring.export.answers import Answers, ask
from sparring.export.files import clear, open_folder
from sparring.export.grid import picture_grid
from sparring.export.panels import choose, panels
from sparring.export.pngs import MANIFEST, PngCheck, can_be_pngs, eight_bit, verify_pngs, write_pngs
from sparring.export.tables import sample_rows, write_csv
from sparring.export.tensors import read_adversarials, write_adversarials
from sparring.model import Model, wrap
from sparring.result import Result
from sparring.storage import write_json
from sparring.threat import Goal, Untargeted

TABLE, TENSORS, PICTURES, GRID, REPORT = "samples.csv", "adversarials.safetensors", "png", "grid.png", "result.json"


@dataclass(frozen=True)
class Recheck:
    """The attack's successes, shown to the model again after reading them back from disk. All are counts.

    Attributes:
        of: samples that the model gets right before the attack. reported: of these, fooled as the attack says.
        exact: fooled by the pixels in the safetensors file.
        png: fooled by the 8-bit PNG, inside the threat; None where the images cannot be PNGs.
        png_outside: fooled by the PNG too, but rounding took it out of the threat.
    """

    of: int
    reported: int
    exact: int
    png: int | None
    png_outside: int | None


@dataclass(frozen=True)
class Saved:
    """What `save_result` wrote: the folder, its files, the check after reload (None without a model), the JSON."""

    folder: Path
    files: tuple[str, ...]
    recheck: Recheck | None
    report: dict[str, Any]


def save_result(
    result: Result,
    x: Tensor,
    y: Tensor | Goal,
    folder: Path | str,
    *,
    model: Model | None = None,
    classes: Sequence[str] | None = None,
    index: Tensor | None = None,
    about: Mapping[str, Any] | None = None,
    pictures: int = 12,
    batch_size: int = 256,
    force: bool = False,
) -> Saved:
    """Write `samples.csv`, `adversarials.safetensors`, `png/`, `grid.png` and, last, `result.json`.

    Args:
        x: [N, ...] the clean images. y: their classes [N], or the goal of the attack.
        model: shows the classes in tables and figure, and checks what was written; costs three passes a sample,
            which are not the attack's.
        classes: their names; None = the model's own. index: [N] the samples' numbers in their data set.
        about: plain values for the JSON, like the model's and the data's names.
        pictures: samples in the figure; 0 = no figure. batch_size: images at once.
        force: write into a folder that holds files of others.

    Raises:
        InputError: the images or labels are not those of the result. OutputPathError: the folder cannot be used.
    """
    folder = open_folder(Path(folder), force=force)
    model = None if model is None else wrap(model)
    goal = (y if isinstance(y, Goal) else Untargeted(integers(y))).map(lambda classes: classes.detach().cpu().long())
    x, index = _checked(result, x, goal, index)
    names = classes if classes is not None or model is None else model.classes
    clear(folder, (REPORT, TABLE, TENSORS, GRID, f"{PICTURES}/[0-9]*.png", f"{PICTURES}/{MANIFEST}"))

    write_adversarials(result, x, goal, folder / TENSORS, index, about)
    clean = None if model is None else ask(model, x, batch_size)
    # What is judged is what was written, not what is in memory.
    again = None if model is None else ask(model, read_adversarials(folder / TENSORS)[0]["x_adv"], batch_size)
    png = _pictures(result, x, goal, index, folder, model, batch_size) if can_be_pngs(x) else None
    rows = sample_rows(result, goal, index=index, clean=clean, adversarial=again, png=png, classes=names)
    write_csv(rows, folder / TABLE)
    files = [TABLE, TENSORS, *([PICTURES] if can_be_pngs(x) else [])]
    if pictures and len(x) and can_be_pngs(x):
        lines = panels(
            result, x, goal, choose(result, pictures), clean=clean, adversarial=again, classes=names, index=index
        )
        assert result.threat.box is not None
        picture_grid(lines, folder / GRID, title=_title(result, goal, about or {}), box=result.threat.box)
        files.append(GRID)
    recheck = None if again is None else _count(result, goal, again, png)
    content = report(result, about, rows, recheck, [*files, REPORT])
    write_json(folder / REPORT, content)
    return Saved(folder, (*files, REPORT), recheck, content)


def report(
    result: Result,
    about: Mapping[str, Any] | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    recheck: Recheck | None = None,
    files: Sequence[str] = (),
) -> dict[str, Any]:
    """The figures, how they came about, and a row a sample, as plain values."""
    return {
        "made_by": f"sparring {__version__}",
        **(about or {}),
        **result.summary(),
        "recheck": None if recheck is None else asdict(recheck),
        "files": list(files),
        "samples": result.rows() if rows is None else list(rows),
    }


def _checked(result: Result, x: Tensor, goal: Goal, index: Tensor | None) -> tuple[Tensor, Tensor]:
    """The clean images and their numbers, on the CPU, if they can be the result's."""
    n = len(result)
    if x.shape != result.x_adv.shape:
        raise InputError(f"the result is about images {tuple(result.x_adv.shape)}, but x has shape {tuple(x.shape)}")
    if len(goal) != n or (index is not None and len(index) != n):
        raise InputError(f"the result is about {n} images; give one label (and one number) for each")
    numbers = torch.arange(n) if index is None else index.detach().cpu().long()
    assert result.threat.box is not None
    return x.detach().cpu().clamp(*result.threat.box), numbers


def _pictures(
    result: Result, x: Tensor, goal: Goal, index: Tensor, folder: Path, model: Model | None, batch_size: int
) -> PngCheck | None:
    """Write the PNGs; with a model, read them back and check."""
    facts: list[dict[str, Any]] = [
        {"success": hit, "distance": size}
        for hit, size in zip(result.success.tolist(), result.distance.tolist(), strict=True)
    ]
    for key, numbers in (("label", goal.y), ("target", goal.t if goal.targeted else None)):
        if numbers is not None:
            facts = [{key: number, **fact} for number, fact in zip(numbers.tolist(), facts, strict=True)]
    assert result.threat.box is not None
    write_pngs(
        eight_bit(result.x_adv, x, result.threat), folder / PICTURES, box=result.threat.box, index=index, facts=facts
    )
    return (
        None
        if model is None
        else verify_pngs(folder / PICTURES, model, x=x, threat=result.threat, batch_size=batch_size)
    )


def _count(result: Result, goal: Goal, again: Answers, png: PngCheck | None) -> Recheck:
    right = result.clean_correct
    return Recheck(
        of=int(right.sum()),
        reported=int((result.success & right).sum()),
        exact=int((result.success & goal.hit(again.prediction) & right).sum()),
        png=None if png is None else int((png.success & right).sum()),
        png_outside=None if png is None else int((png.fooled & ~png.inside & right).sum()),
    )


def _title(result: Result, goal: Goal, about: Mapping[str, Any]) -> str:
    on = f" on {about['model']}" if about.get("model") else ""
    fooled, right = int((result.success & result.clean_correct).sum()), int(result.clean_correct.sum())
    done = "driven to their target" if goal.targeted else "fooled"
    return f"{result.attack}{on}, {result.threat}: {fooled} of {right} {done}"
