"""`sparring ...`: one file a command, each thin. Heavy imports stay inside the commands, so `--help` is quick.

The order of the imports is the order of the commands in the help.
"""

# isort: off
import sparring.cli.audit.audit
import sparring.cli.audit.report
import sparring.cli.audit.compare
import sparring.cli.audit.verify
import sparring.cli.audit.rerun
import sparring.cli.audit.merge
import sparring.cli.audit.bundle
import sparring.cli.attack.attack
import sparring.cli.crosscheck
import sparring.cli.certify
import sparring.cli.poison
import sparring.cli.train.train
import sparring.cli.generate.train
import sparring.cli.generate.sample
import sparring.cli.generate.autoencoders
import sparring.cli.generate.project
import sparring.cli.defend
import sparring.cli.attack.attacks
import sparring.cli.checks
import sparring.cli.models
import sparring.cli.data
import sparring.cli.web
import sparring.cli.serve
import sparring.cli.reproduce.fgsm_imagenet
import sparring.cli.reproduce.distillation
import sparring.cli.reproduce.gallery
import sparring.cli.reproduce.defense_gan
import sparring.cli.reproduce.generators
import sparring.cli.reproduce.physical
import sparring.cli.reproduce.poisoning  # noqa: F401

# isort: on
from sparring.cli.app import app, main

__all__ = ["app", "main"]
