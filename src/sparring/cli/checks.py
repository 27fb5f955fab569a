"""`sparring checks`: what every audit looks for, and from where on it is a doubt."""

from __future__ import annotations

from typing import Annotated

import typer

from sparring.cli.app import LOOK_UP, app
from sparring.cli.options import PluginOption, run_plugins


@app.command("checks", rich_help_panel=LOOK_UP)
def checks(
    plugin: PluginOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the checks of an audit with their criteria; those that can explain a false robustness are severe."""
    import sparring.audit.checks.run  # noqa: F401  (fills the register)
    from sparring.audit.checks.registry import CHECKS
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table

    run_plugins(plugin)
    if json:
        from json import dumps

        known = [
            {"code": one.code, "title": one.title, "severe": one.severe, "criterion": one.criterion,
             "means": one.means, "remedy": one.remedy}
            for one in CHECKS.values()
        ]  # fmt: skip
        typer.echo(dumps(known, indent=1))
        return
    rows = table("check", "criterion", "severe", left=("criterion", "severe"), whole=("check",))
    for one in CHECKS.values():
        rows.add_row(one.code, one.criterion or one.title, "yes" if one.severe else "")
    Stdout().print(rows)
