"""`sparring merge`: the shares of an audit that several machines have made, as one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import app
from sparring.cli.audit.run_options import RunData, RunModel
from sparring.cli.options import DeviceOption, QuietOption, TrustOption, WeightsOption


@app.command("merge")
def merge(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of the same audit; shards are brought into the first."),
    ],
    model: RunModel = "",
    weights: WeightsOption = None,
    data: RunData = "",
    trust: TrustOption = False,
    device: DeviceOption = None,
    quiet: QuietOption = False,
) -> None:
    """Bring the shards of an audit together and write its report into the first folder.

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out part1 --shard 1/2[/dim]   on one machine

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out part2 --shard 2/2[/dim]   on another

    [dim]sparring merge part1 part2[/dim]

    Exit code: 0 = done, 1 = a --require of the audit is not met, 2 = bad input, or shards are missing.
    """
    from sparring.audit.run.folder import Run
    from sparring.cli.audit.run_options import kept_options, plan_of, recorded
    from sparring.cli.audit.show import command_line, print_report
    from sparring.scale.store import Store, gather

    options = kept_options(runs[0], trust, model=model, weights=weights, data=data, device=device)
    gather(Store.read(runs[0]), [Store.read(folder) for folder in runs[1:]])
    report = Run.open(plan_of(options), runs[0], resume=True).report()
    report = command_line(report.requiring(options["require"] or ()), **{**options, **recorded(runs[0])})
    saved = report.save(runs[0])
    if not quiet:
        print_report(report.to_dict(), saved["report.html"])
    if not report.met:
        raise typer.Exit(1)
