"""Importing the package and asking for help stay quick: nothing heavy is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "numpy",
    "matplotlib",
    "pydantic",
    "PIL",
    "scipy",
    "mlxtend",
    "transformers",
    "lightning_fabric",
    "jinja2",
    "httpx",
    "fastapi",
    "onnxruntime",
    "sklearn",
    "sqlite3",
)


def loaded_after(code: str, heavy: tuple[str, ...] = HEAVY) -> set[str]:
    """Which of the heavy modules a fresh interpreter has loaded after running `code`."""
    show = f"import sys; print(*[name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import sparring") == set()
    assert loaded_after("import sparring; dir(sparring); sparring.__version__") == set()


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
sys.argv = ["sparring", "--help"]
import sparring.cli
try:
    sparring.cli.main()
except SystemExit as end:
    assert end.code in (0, None), end.code
"""
    assert loaded_after(code) == set()


def test_no_command_loads_anything_heavy_before_it_runs() -> None:
    code = """
import importlib, pkgutil, sparring.cli
for module in pkgutil.walk_packages(sparring.cli.__path__, "sparring.cli."):
    importlib.import_module(module.name)
"""
    assert loaded_after(code) == set()


def test_a_name_loads_what_it_needs_and_no_plots() -> None:
    loaded = loaded_after("import sparring; sparring.PGD")
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "scipy", "mlxtend", "transformers", "PIL", "jinja2"}


def test_every_public_name_is_there() -> None:
    import sparring

    for name in sparring.__all__:
        assert getattr(sparring, name) is not None
    with pytest.raises(AttributeError, match="sparring has no 'pdg'"):
        sparring.pdg  # noqa: B018
