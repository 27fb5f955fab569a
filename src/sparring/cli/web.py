"""`sparring web`: a page to play on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import SHOW, app
from sparring.cli.options import takes_options


@app.command("web", rich_help_panel=SHOW)
@takes_options
def web(
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Folder of audits: those shown, and those that the page runs.")
    ] = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on this machine.")] = 7860,
    trust: Annotated[
        bool, typer.Option("--trust", help="Let the page load models that run code, such as net.py:build.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Open a page in the browser: attack a picture, run a quick audit, read and compare reports.

    Listens on this machine only and sends nothing out. Needs the extra sparring[web].

    [dim]sparring web[/dim]

    [dim]sparring web --runs runs --port 8000 --no-browser[/dim]

    Exit code: 0 = stopped, 2 = bad input.
    """
    from sparring.web.app import serve

    typer.echo(f"http://127.0.0.1:{port} (stop with Ctrl-C)")
    serve(runs, port, trust, browser)
