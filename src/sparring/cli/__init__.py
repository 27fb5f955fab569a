"""`sparring ...`: one file a command, each thin. Heavy imports stay inside the commands, so `--help` is quick.

The order of the imports is the order of the commands in the help.
"""

# isort: off
from sparring.cli import (
    audit,
    report,
    compare,
    crosscheck,
    verify,
    merge,
    rerun,
    attack,
    reproduce,
    reproduce_defense_gan,
    reproduce_distillation,
    reproduce_gallery,
    reproduce_generators,
    reproduce_physical,
    train,
    generate,
    generate_autoencoders,
    generate_project,
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
    "crosscheck",
    "data",
    "generate",
    "generate_autoencoders",
    "generate_project",
    "main",
    "merge",
    "models",
    "report",
    "reproduce",
    "reproduce_defense_gan",
    "reproduce_distillation",
    "reproduce_gallery",
    "reproduce_generators",
    "reproduce_physical",
    "rerun",
    "train",
    "verify",
]
