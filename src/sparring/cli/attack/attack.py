"""`sparring attack SPEC`: one attack on one model and some images, with figures for people and files for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from sparring.cli.app import ATTACK, app
from sparring.cli.attack.fitting import Fitting
from sparring.cli.attack.options import Budgets, Output, Reach
from sparring.cli.loading import LoadOptions
from sparring.cli.options import BatchSizeOption, SeedOption, takes_options


@app.command("attack", rich_help_panel=ATTACK)
@takes_options
def attack(
    spec: Annotated[
        str,
        typer.Argument(metavar="SPEC", help="The attack and its fields: pgd, pgd:steps=100,restarts=5,loss=dlr."),
    ],
    load: LoadOptions,
    reach: Reach,
    seed: SeedOption = 0,
    batch_size: BatchSizeOption = 256,
    keep: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Keep this point of an image: best (smallest success), margin (surest) or last.",
            rich_help_panel="Run",
        ),
    ] = "best",
    *,
    budgets: Budgets,
    fitting: Fitting,
    output: Output,
) -> None:
    """Run one attack and print its result.

    With --out: a table of samples (CSV), the adversarial examples (safetensors and PNGs, both checked again after
    reading them back), a picture grid and the figures as JSON.

    [dim]sparring attack pgd:steps=100 --model mnist-cnn --n 100 --eps 0.3 --out runs/pgd[/dim]

    [dim]sparring attack min-norm --model mnist-cnn --n 20 --norm L2 --passes 500[/dim]

    [dim]sparring attack pgd --model mnist-cnn --n 20 --eps 0.5 --region 8:20,8:20[/dim]

    [dim]sparring attack pgd --model mnist-cnn --n 20 --eps 0.3 --defense "jpeg:quality=75|bits:4"[/dim]

    Attacks that learn are fitted first, and then tried on any model and images:

    [dim]sparring attack uap --fit --model mnist-cnn --data mnist5k --eps 0.3 --out runs/uap[/dim]

    [dim]sparring attack uap --weights runs/uap --model mnist-cnn --n 1000 --eps 0.3[/dim]

    Exit code: 0 = done, 2 = bad input, 3 = the model raised an error.
    """
    from sparring.cli.attack.fitting import fit_and_write
    from sparring.cli.attack.perform import Run
    from sparring.cli.attack.show import print_result
    from sparring.cli.console import stderr

    log = stderr(output.quiet)
    run = Run(spec, load, reach, seed=seed, batch_size=batch_size, keep=keep, budget=budgets.budget())
    if fitting.fit:
        fit_and_write(run.chosen, run.load, reach, fitting, output, seed, log)
        return
    output.check()
    found = run.attack(log)
    saved = output.write(found, log)
    if not output.quiet:
        print_result(found.result, found.about, saved)
