"""The command line's frame: one typer app, one place where errors become one clear line and exit code 2."""

from __future__ import annotations

import os
import sys

import typer

from sparring.errors import SparringError

app = typer.Typer(
    name="sparring",
    help="How robust is your image classifier, really? Attacks, defenses and an honest audit.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the console script: 0 = done, 1 = a requirement was not met, 2 = bad input."""
    try:
        app()
    except SparringError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `sparring attacks | head`: the reader has gone, nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def fail(message: str) -> None:
    """Print one line on stderr and leave with exit code 2."""
    print("sparring: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
