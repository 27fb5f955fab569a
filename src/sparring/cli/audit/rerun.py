"""`sparring rerun`: an audit once more, with the settings that it was made with, held against the first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.audit.options import InsteadOptions
from sparring.cli.options import ForceOption, OutOption, QuietOption, WorkersOption, takes_options


@app.command("rerun", rich_help_panel=AUDIT)
@takes_options
def rerun(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished audit.")],
    instead: InsteadOptions,
    out: OutOption = None,
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Try the adversarial examples of RUN first.", rich_help_panel="Judgement"),
    ] = False,
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Exit with code 1 if it is worse than RUN by more than chance explains.",
            rich_help_panel="Judgement",
        ),
    ] = False,
    workers: WorkersOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Repeat an audit, for instance after the model has changed, and compare the two.

    [dim]sparring rerun runs/before --model net.py:build --out runs/after --fail-on-regression[/dim]

    Exit code: 0 = done, 1 = worse and --fail-on-regression, 2 = bad input, 3 = the model raised an error.
    """
    import tempfile
    from contextlib import ExitStack
    from dataclasses import replace

    from sparring.audit.report import document as doc
    from sparring.cli.audit.compare import held
    from sparring.cli.audit.files import Files
    from sparring.cli.audit.perform import perform
    from sparring.cli.audit.work import Work
    from sparring.cli.console import stderr
    from sparring.scale.remote import brought

    with ExitStack() as folders:
        before = folders.enter_context(brought(run))
        doc.read(before)  # it must be finished, else there is nothing to compare with
        options = instead.of(before)
        if replay:
            options = replace(options, settings=replace(options.settings, replay=before))
        work = Work(out=out, workers=workers, force=force)
        place = folders.enter_context(work.kept(stderr(quiet)))
        home = place.out or Path(folders.enter_context(tempfile.TemporaryDirectory()))
        files = Files(json=home / doc.FILE if out is None else None)
        # A requirement that is not met is in the report; the comparison still counts.
        perform(options, place, files, quiet=quiet, place=out)
        worse = held(before, home, quiet=quiet)
    if fail_on_regression and worse:
        raise typer.Exit(1)
