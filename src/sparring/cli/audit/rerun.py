"""`sparring rerun`: an audit once more, with the settings that it was made with, held against the first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import app
from sparring.cli.audit.run_options import RunData, RunModel
from sparring.cli.options import DeviceOption, ForceOption, OutOption, QuietOption, TrustOption, WeightsOption


@app.command("rerun")
def rerun(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished audit.")],
    out: OutOption = None,
    model: RunModel = "",
    weights: WeightsOption = None,
    data: RunData = "",
    trust: TrustOption = False,
    device: DeviceOption = None,
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Try the adversarial examples of RUN first.", rich_help_panel="Judgement"),
    ] = False,
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Exit code 1 if it is worse than RUN by more than chance explains.",
            rich_help_panel="Judgement",
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, metavar="N", help="Processes, with one thread each.", rich_help_panel="Long runs"
        ),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Audit again, for instance after the model has changed, and compare with what was found before.

    [dim]sparring rerun runs/before --weights new.pt --out runs/after --fail-on-regression[/dim]

    Exit code: 0 = done, 1 = worse and --fail-on-regression, 2 = bad input.
    """
    import tempfile
    from contextlib import suppress

    from sparring.audit.report import document as doc
    from sparring.cli.audit.audit import audit
    from sparring.cli.audit.compare import compare
    from sparring.cli.audit.run_options import kept_options

    doc.read(run)  # it must be finished, else there is nothing to compare with
    options = kept_options(run, trust, model=model, weights=weights, data=data, device=device)
    if replay:
        options["replay"] = run
    with tempfile.TemporaryDirectory() as spare:
        home = Path(spare) if out is None else out
        json = home / doc.FILE if out is None else None
        with suppress(typer.Exit):  # a requirement is not met: the table says so, and the comparison still counts
            audit(**options, out=out, json=json, workers=workers, force=force, quiet=quiet)
        compare(run, home, fail_on_regression=fail_on_regression, quiet=quiet)
