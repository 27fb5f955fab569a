"""`sparring reproduce ...`: the experiments of the source report, a command each."""

from __future__ import annotations

import typer

from sparring.cli.app import SHOW, app

reproduce = typer.Typer(help="Run an experiment of the source report, end to end.", no_args_is_help=True)
app.add_typer(reproduce, name="reproduce", rich_help_panel=SHOW)
