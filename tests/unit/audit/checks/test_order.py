"""The order of the checks is the same in every process, whatever was imported first: reports list them in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRINT = "from sparring.audit.checks.run import CHECKS; print(*CHECKS)"


@pytest.mark.long
@pytest.mark.parametrize("first", ["comparisons", "successes", "gradients"])
def test_the_order_does_not_depend_on_imports(first: str) -> None:
    programs = (PRINT, f"import sparring.audit.checks.{first}; {PRINT}")
    one, other = (subprocess.run([sys.executable, "-c", text], capture_output=True, check=True) for text in programs)
    assert one.stdout == other.stdout
