"""`sparring merge`: the shares of an audit that several machines have made, as one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.audit.options import InsteadOptions
from sparring.cli.options import QuietOption, takes_options


@app.command("merge", rich_help_panel=AUDIT)
@takes_options
def merge(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of the same audit; the first receives all shards."),
    ],
    instead: InsteadOptions,
    quiet: QuietOption = False,
) -> None:
    """Join the shards of an audit and write its report into the first folder.

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out part1 --shard 1/2[/dim]   on one machine

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out part2 --shard 2/2[/dim]   on another

    [dim]sparring merge part1 part2[/dim]

    Exit code: 0 = done, 1 = a --require of the audit is not met, 2 = bad input, or shards are missing.
    """
    from sparring.audit.api import requirements_of
    from sparring.audit.run.folder import Run
    from sparring.cli.audit.options import AuditOptions, recorded
    from sparring.cli.audit.show import print_report, shown
    from sparring.cli.console import note, stderr
    from sparring.cli.options import built
    from sparring.scale.remote import brought, mirrored
    from sparring.scale.store import Store, gather

    log = stderr(quiet)
    with mirrored(runs[0], lambda line: note(log, line)) as home:
        options = instead.of(home)
        for one in runs[1:]:
            with brought(one) as other:
                gather(Store.read(home), [Store.read(other)])
        plan = options.plan()
        report = Run.open(plan, home, resume=True).report()
        report = report.requiring(requirements_of(options.settings, plan.threat))
        report = built(AuditOptions, recorded(home)).on(report)
        saved = report.save(home)
    if not quiet:
        print_report(report.to_dict(), shown(saved["report.html"], home, runs[0]))
    if not report.met:
        raise typer.Exit(1)
