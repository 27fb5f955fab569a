"""The command line's frame: one typer app, one place where errors become one clear line and an exit code.

0    done
1    a requirement was not met, and nothing else
2    bad input, or a file that cannot be written
3    the user's model raised an error
70   an error of sparring's own
130  stopped by Ctrl-C
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import Annotated, NoReturn, TextIO

import typer

from sparring._version import __version__
from sparring.cli.blame import blamed
from sparring.errors import OutOfMemory, ShapeError, SmallerBatches, SparringError

BAD_INPUT, MODEL_RAISED, OWN_ERROR, STOPPED = 2, 3, 70, 130

AUDIT = "Audit"
ATTACK = "Attack and prove"
DEFEND = "Train and defend"
LOOK_UP = "Look up"
SHOW = "Pages and experiments"
"panels of the help, each with its commands"

TRACEBACK = "--traceback"
LONE = {"--ray": "local", "--slurm": ""}
"options that may stand without a value, and the value that they have then"

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


class Stopped(Exception):
    """Ctrl-C in the middle of work that can be gone on with; the message says how."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sparring {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(TRACEBACK, help="After an error, show the full traceback. Allowed anywhere on the line."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script; the exit codes are those above."""
    for stream in (sys.stdout, sys.stderr):
        _forgive(stream)
    warnings.showwarning = _warn
    words, whole = _split(sys.argv[1:])
    try:
        code = app(with_values(words), standalone_mode=False, prog_name="sparring") or 0
        if code == STOPPED:  # typer has caught Ctrl-C
            fail("stopped", STOPPED)
        sys.stdout.flush()  # else a full disk shows when Python closes it, with a code of its own
        sys.exit(code)
    except BrokenPipeError:  # `sparring attacks | head`: the reader has gone, nothing is wrong
        _abandon_stdout()
        sys.exit(0)
    except Stopped as stop:
        fail(f"stopped: {stop}", STOPPED)
    except (KeyboardInterrupt, typer.Abort):
        fail("stopped", STOPPED)
    except Exception as error:
        if whole:
            traceback.print_exc()
        _end(error)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warnings of ours as one line, those of others as Python shows them."""
    if issubclass(category, SmallerBatches):
        print(f"sparring: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Print one line on stderr and leave."""
    print("sparring: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def _end(error: Exception) -> NoReturn:
    """One line on what went wrong, and whose fault it is."""
    if isinstance(error, CommandLineError):
        fail(_said(error))
    if isinstance(error, ShapeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # images of this shape were tried when they were loaded: it is the model's own doing
    if isinstance(error, OutOfMemory):
        fail(f"{error}; audit a smaller model or smaller images, or use another --device", MODEL_RAISED)
    if isinstance(error, SparringError):
        fail(str(error))
    found = blamed(error)
    if found is not None:
        hint = "a smaller --batch-size may help; " if "out of memory" in str(error).lower() else ""
        fail(f"the model raised {found}; {hint}{TRACEBACK} shows all of it", MODEL_RAISED)
    if isinstance(error, OSError):
        _abandon_stdout()
        where = f" {error.filename}" if error.filename else ""
        fail(f"cannot read or write{where}: {error.strerror or error}")
    line = " ".join(str(error).split())[:300]
    fail(
        f"an error of sparring's own, {type(error).__name__}: {line}; {TRACEBACK} shows where, please report it",
        OWN_ERROR,
    )


def _said(error: Exception) -> str:
    """The one line in a command-line error; for a bare `sparring` the line is what to type."""
    line: str = error.format_message()  # type: ignore[attr-defined]
    return line if len(line) < 300 else "a command is needed; sparring --help lists them"


def _split(words: list[str]) -> tuple[list[str], bool]:
    """The words without --traceback, and whether it was there; after -- nothing is an option."""
    end = words.index("--") if "--" in words else len(words)
    return [word for k, word in enumerate(words) if k >= end or word != TRACEBACK], TRACEBACK in words[:end]


def with_values(words: list[str]) -> list[str]:
    """The words with a value after each option that may stand without one.

    >>> with_values(["audit", "--ray", "--out", "runs/mine"])
    ['audit', '--ray', 'local', '--out', 'runs/mine']
    """
    whole: list[str] = []
    for k, word in enumerate(words):
        whole.append(word)
        last = k + 1 == len(words) or words[k + 1].startswith("-")
        if word in LONE and last:
            whole.append(LONE[word])
    return whole


def _forgive(stream: TextIO) -> None:
    """A letter that the terminal does not know becomes a question mark, not an error."""
    change = getattr(stream, "reconfigure", None)  # not every replacement of stdout has it
    if change is not None:
        change(errors="replace")


def _abandon_stdout() -> None:
    """Nothing more can be written there; Python must not try again when it closes it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # it is no file at all
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
