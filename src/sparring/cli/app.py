"""The command line's frame: one typer app, one place where errors become one clear line and exit code 2."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from sparring._version import __version__
from sparring.errors import SparringError

# typer has brought its own copy of click since 0.16, older ones depend on it: found through what typer shows of it
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]
"an unknown option, a number that is none"

app = typer.Typer(
    name="sparring",
    help="How robust is your image classifier, really? Attacks, defenses and an honest audit.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sparring {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script: 0 = done, 1 = a requirement was not met, 2 = bad input."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except SparringError as error:
        fail(str(error))
    except CommandLineError as error:
        fail(_said(error))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:  # `sparring attacks | head`: the reader has gone, nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _said(error: Exception) -> str:
    """The one line in a command-line error; for a bare `sparring` the line is what to type."""
    line: str = error.format_message()  # type: ignore[attr-defined]
    return line if len(line) < 300 else "a command is needed; sparring --help lists them"


def fail(message: str) -> None:
    """Print one line on stderr and leave with exit code 2."""
    print("sparring: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
