"""`sparring ...`: one file a command, each thin. Heavy imports stay inside the commands, so `--help` is quick."""

from sparring.cli.app import app, main

__all__ = ["app", "main"]
