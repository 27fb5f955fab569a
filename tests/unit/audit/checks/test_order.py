"""Checks are listed and run in the order of their themes, whichever module was imported first."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import importlib, sys
importlib.import_module("sparring.audit.checks." + sys.argv[1])
import sparring.audit.checks.run as run
print(list(run.CHECKS))
"""


def test_the_order_does_not_depend_on_imports() -> None:
    said = {
        subprocess.run([sys.executable, "-c", CODE, first], capture_output=True, text=True, check=True).stdout
        for first in ("claims", "comparisons", "certificates")
    }
    assert len(said) == 1
    assert "certificate-broken" in said.pop()
