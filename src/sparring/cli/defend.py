"""`sparring defend data`: which samples of a training set look poisoned, and the set without them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.app import DEFEND, app
from sparring.cli.loading import ModelOptions
from sparring.cli.options import CountOption, DataOption, JsonOption, SeedOption, takes_options

if TYPE_CHECKING:
    from sparring.data import ImageData
    from sparring.defenses.data.sanitizer import Sanitized

defend = typer.Typer(help="Defend against attacks on the training data.", no_args_is_help=True)
app.add_typer(defend, name="defend", rich_help_panel=DEFEND)


@defend.callback()
def _group() -> None:
    pass


@defend.command("data")
@takes_options
def data(
    method: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="Look for poison with knn, spectral, activation, roni or trimmed, with options: trimmed:share=0.3.",
        ),
    ] = "knn",
    data: DataOption = "mnist5k",
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Inspect this part of the data.")] = "train",
    n: CountOption = None,
    learner: Annotated[
        str, typer.Option(metavar="LEARNER", help="Train this where a net is needed and no --model is given.")
    ] = "wong",
    clean: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Trust these images. Default: the test images of the data.")
    ] = None,
    trusted: Annotated[int, typer.Option(min=10, metavar="N", help="Trust the first N of them.")] = 200,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.npz", help="Write the samples that are kept.")
    ] = None,
    json: JsonOption = None,
    *,
    model: ModelOptions,
) -> None:
    """Score every training sample and drop the suspicious ones.

    A dropped sample is suspicious, not proven poison: compare with what the method drops of clean data.

    [dim]sparring defend data --data poisoned:runs/flipped --method knn --json scores.json --out kept.npz[/dim]
    """
    from torch import nn

    from sparring.cli.console import stderr, working
    from sparring.data import load_data
    from sparring.data.registry import parse_spec
    from sparring.defenses.data import sanitizer
    from sparring.defenses.training.learners import learner as find
    from sparring.export import check_writable
    from sparring.storage import write_json

    chosen, trains = sanitizer(method), find(learner)
    for path in (json, out):
        if path is not None:
            check_writable(path)
    images = load_data(data, split, n)
    held = load_data(clean or data, "test")
    net = model.load_model().net if model.model else None
    with working(stderr(), f"{chosen.spec} on {data}"):
        found = chosen(
            images,
            learner=trains,
            net=net if isinstance(net, nn.Module) else None,
            clean=held.first(min(trusted, len(held))),
            seed=seed,
        )
    name, folder, _ = parse_spec(data)
    truth = _truth(Path(folder), len(images), found) if name == "poisoned" else None
    about = {
        "method": chosen.spec,
        "data": data,
        "split": split,
        "n": len(images),
        "seed": seed,
        "learner": trains.spec,
    }
    if json is not None:
        write_json(json, {
            **about, "dropped": found.dropped.tolist(), "keep": found.keep.tolist(), "scores": found.scores.tolist(),
            "notes": found.notes, "poison": truth,
        })  # fmt: skip
    if out is not None:
        _write(images.subset(found.keep), out)
    _print(about, found, truth)


def _truth(folder: Path, n: int, found: Sanitized) -> dict[str, Any] | None:
    """How well the method did, where a manifest says what was changed; None if that covers none or all."""
    import torch

    from sparring.data.poisoned import read_manifest
    from sparring.defenses.detect.roc import roc

    mask = torch.zeros(n, dtype=torch.bool)
    changed = torch.tensor(read_manifest(folder.expanduser())["changed"], dtype=torch.int64)
    mask[changed[changed < n]] = True
    if not 0 < int(mask.sum()) < n:
        return None
    return {
        "changed": int(mask.sum()),
        "dropped_poison": float((~found.keep[mask]).double().mean()),
        "dropped_clean": float((~found.keep[~mask]).double().mean()),
        "auroc": roc(found.scores[~mask], found.scores[mask]).area,
    }


def _write(images: ImageData, path: Path) -> None:
    import io

    import numpy as np

    from sparring.storage import write

    x, y = images.tensors()
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, x=x.mul(255).round().byte().numpy(), y=y.numpy(), classes=np.array(images.classes, dtype=np.str_)
    )
    write(path, buffer.getvalue())


def _print(about: dict[str, Any], found: Sanitized, truth: dict[str, Any] | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout

    dropped = len(found.dropped)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    rows = [
        (
            "method",
            f"{about['method']} on {about['data']} ({about['split']}), {about['n']:,} images, seed {about['seed']}",
        ),
        ("suspicious", f"{dropped:,} samples ({dropped / about['n']:.1%})"),
    ]
    if truth is not None:
        rows += [
            ("of the poison", f"{truth['dropped_poison']:.1%} of {truth['changed']:,} changed samples dropped"),
            ("of the rest", f"{truth['dropped_clean']:.1%} dropped by mistake"),
            ("area under the ROC", f"{truth['auroc']:.3f}"),
        ]
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    Stdout().print(table)
