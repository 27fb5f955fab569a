"""`sparring audit`: how robust a classifier is, with what there is to doubt, and a verdict in one sentence."""

from __future__ import annotations

from typing import Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.audit.files import Files
from sparring.cli.audit.options import AuditOptions
from sparring.cli.audit.work import Work
from sparring.cli.options import QuietOption, takes_options


@app.command("audit", rich_help_panel=AUDIT)
@takes_options
def audit(
    options: AuditOptions,
    fail_under: Annotated[
        str | None,
        typer.Option(
            "--fail-under",
            metavar="P",
            help="Exit with code 1 if the robust accuracy on these images is below: 0.85 or 85%.",
            rich_help_panel="Judgement",
        ),
    ] = None,
    plan_only: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Run for 20 seconds, estimate time and precision for several numbers of images, and stop.",
            rich_help_panel="Judgement",
        ),
    ] = False,
    training_data: Annotated[
        str | None,
        typer.Option(
            "--training-data",
            metavar="SPEC",
            help="Also look for poison in the data that the model was trained on; the audited images are the control.",
            rich_help_panel="Judgement",
        ),
    ] = None,
    *,
    work: Work,
    files: Files,
    quiet: QuietOption = False,
) -> None:
    """Audit a classifier: attacks in a cascade, checks of the attacks themselves, and an honest verdict.

    Prints four figures with their intervals, which attack broke what, whether claims hold, and all doubts.
    With --out: report.html (one file, no network), report.json, and every other format of the report.

    [dim]sparring audit --model mnist-cnn --n 200 --eps 0.3 --suite quick --out runs/mine[/dim]

    [dim]sparring audit --model net.py:build --weights net.pt --data folder:pictures --eps 8/255 --claim pgd=0.45[/dim]

    [dim]sparring audit --model net.py:build --eps 0.3 --require "robust@0.3 >= 85%" --junit audit.xml[/dim]

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out runs/mine --workers 2[/dim] (after a crash: add --resume)

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out s3://bucket/runs/mine[/dim] (an object store)

    [dim]sparring audit --model mnist-cnn --eps 0.3 --plan[/dim] (estimate the time for 1,000 images)

    Exit code: 0 = done, 1 = below --fail-under or a --require that is not met, 2 = bad input, 3 = the model raised an
    error.
    """
    from sparring.cli.audit.perform import forecast, perform
    from sparring.cli.console import stderr

    if plan_only:
        forecast(options, files.json, quiet)
        return
    with work.kept(stderr(quiet)) as kept:
        met = perform(options, kept, files, fail_under, quiet, place=work.out)
        if training_data is not None:
            from sparring.cli.audit.training_data import inspect_training_data

            inspect_training_data(options, training_data, kept.out, quiet, place=work.out)
    if not met:
        raise typer.Exit(1)
