"""`sparring attack SPEC`: one attack on one model and some images, with figures for people and files for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.app import app
from sparring.cli.options import (
    BatchSizeOption,
    CountOption,
    DataOption,
    DefenseOption,
    DeviceOption,
    JsonOption,
    MeanOption,
    ModelOption,
    OptionalEpsOption,
    OutOption,
    QuietOption,
    SeedOption,
    SplitOption,
    StdOption,
    TrustOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from sparring.threat import Goal

_HOW, _RUN, _OUT = "Threat", "Run", "Output"


@app.command("attack")
def attack(
    spec: Annotated[
        str,
        typer.Argument(metavar="SPEC", help="The attack and its fields: pgd, pgd:steps=100,restarts=5,loss=dlr."),
    ],
    model: ModelOption = "",
    weights: WeightsOption = None,
    trust: TrustOption = False,
    mean: MeanOption = None,
    std: StdOption = None,
    defense: DefenseOption = None,
    data: DataOption = "mnist5k",
    split: SplitOption = "test",
    n: CountOption = None,
    norm: Annotated[
        str | None,
        typer.Option(
            help="Linf, L2, L1 or L0. Default: Linf where the attack works under it.",
            metavar="NORM",
            rich_help_panel=_HOW,
        ),
    ] = None,
    eps: OptionalEpsOption = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Drive images to a class: its number, least-likely, second-best or next. Default: any wrong one.",
            metavar="CLASS",
            rich_help_panel=_HOW,
        ),
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(help="256: only images that survive being saved with 8 bits.", metavar="L", rich_help_panel=_HOW),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            help="Only these pixels may change: TOP:BOTTOM,LEFT:RIGHT, or a black-and-white picture, white = may.",
            metavar="PIXELS",
            rich_help_panel=_HOW,
        ),
    ] = None,
    seed: SeedOption = 0,
    batch_size: BatchSizeOption = 256,
    device: DeviceOption = None,
    keep: Annotated[
        str,
        typer.Option(
            help="The point kept: best (smallest success), margin (surest) or last.",
            metavar="HOW",
            rich_help_panel=_RUN,
        ),
    ] = "best",
    queries: Annotated[
        int | None, typer.Option(help="At most so many forward passes an image.", rich_help_panel=_RUN)
    ] = None,
    gradients: Annotated[
        int | None, typer.Option(help="At most so many backward passes an image.", rich_help_panel=_RUN)
    ] = None,
    passes: Annotated[int | None, typer.Option(help="At most so many of both.", rich_help_panel=_RUN)] = None,
    seconds: Annotated[
        float | None, typer.Option(help="At most so much time for all of it.", rich_help_panel=_RUN)
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Attack a --defense with the gradient that it happens to give, not through the ways back that its "
            "stages declare: this is how defenses were overrated.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    out: OutOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into DIR even if it holds other files.", rich_help_panel=_OUT)
    ] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run one attack, and say what it did.

    With --out: a table of samples (CSV), the adversarial examples (safetensors and PNGs, both checked again after
    reading them back), a picture grid and the figures as JSON.

    [dim]sparring attack pgd:steps=100 --model mnist-cnn --n 100 --eps 0.3 --out runs/pgd[/dim]

    [dim]sparring attack min-norm --model mnist-cnn --n 20 --norm L2 --passes 500[/dim]

    [dim]sparring attack pgd --model mnist-cnn --n 20 --eps 0.5 --region 8:20,8:20[/dim]

    [dim]sparring attack pgd --model mnist-cnn --n 20 --eps 0.3 --defense "jpeg:quality=75|bits:4"[/dim]
    """
    from rich.console import Console
    from rich.markup import escape

    from sparring.attack import attack as make
    from sparring.batches import run_batches, target_policy
    from sparring.cli.attack.progress import progress_bar
    from sparring.cli.attack.region import region_of
    from sparring.cli.attack.setup import aimable, budget_of, joined, keep_of, remembering, threat_of
    from sparring.cli.attack.show import print_result
    from sparring.cli.loading import load_subject
    from sparring.errors import InputError
    from sparring.export import ask, check_writable, open_folder, sample_rows, save_result, write_json
    from sparring.export.save import report

    log = Console(stderr=True, quiet=quiet)
    chosen = make(spec)
    threat = threat_of(chosen, norm, eps, levels)  # mistakes in it are found before anything is loaded
    limits = {"queries": queries, "gradients": gradients, "passes": passes, "seconds": seconds}
    budget, kept = budget_of(limits), keep_of(keep)
    if target is not None and "targeted" not in chosen.info.specificity:
        raise InputError(f"{chosen.info.name} cannot be aimed at a class; leave out --target")
    if out is not None:
        open_folder(out, force=force)
    if json is not None:
        check_writable(json)
    with log.status(f"loading {escape(model)} and {escape(data)}"):
        loaded, images = load_subject(
            model, weights=weights, trust=trust, device=device, data=data, split=split, n=n, mean=mean, std=std,
            defense=defense,
        )  # fmt: skip
    loaded = loaded if as_is else loaded.exposed()
    if region is not None:
        threat = threat_of(chosen, norm, eps, levels, region_of(region, images.shape))
    x, y, index = aimable(images, target, log)
    goals: list[Goal] = []
    policy = None if target is None else remembering(target_policy(target, loaded), goals)
    with progress_bar(len(x), chosen.info.name, log) as progress:
        result = run_batches(
            chosen, loaded, (x, y), threat,
            goal=policy, batch_size=batch_size, seed=seed, budget=budget, keep=kept, progress=progress,
        )  # fmt: skip
    goal = joined(goals, y)
    about: dict[str, Any] = {
        "model": model, "weights": weights and str(weights), "defense": defense, "as_is": as_is, "data": data,
        "split": images.split, "target": target, "left_out": len(images) - len(x), "keep": keep, "budget": limits,
    }  # fmt: skip
    if goals:
        wrong = ask(loaded, result.x_adv, batch_size).prediction != y
        about["misclassified"] = int((wrong & result.clean_correct).sum())
    saved = None
    if out is not None:
        with log.status(f"writing {escape(str(out))} and checking what was written"):
            saved = save_result(
                result, x, goal, out,
                model=loaded, classes=loaded.classes or images.classes, index=index, about=about,
                batch_size=batch_size, force=force,
            )  # fmt: skip
    if json is not None:
        write_json(saved.report if saved else report(result, about, sample_rows(result, goal, index=index)), json)
    if not quiet:
        print_result(result, about, saved)
