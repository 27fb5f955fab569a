"""`sparring ...`: one file a command, each thin. Heavy imports stay inside the commands, so `--help` is quick.

The order of the imports is the order of the commands in the help.
"""

# isort: off
from sparring.cli import (
    audit,
    report,
    compare,
    attack,
    reproduce,
    reproduce_distillation,
    reproduce_physical,
    train,
    attacks,
    models,
    data,
)

# isort: on
from sparring.cli.app import app, main

__all__ = [
    "app",
    "attack",
    "attacks",
    "audit",
    "compare",
    "data",
    "main",
    "models",
    "report",
    "reproduce",
    "reproduce_distillation",
    "reproduce_physical",
    "train",
]
