"""The frame of the command line: exit codes, one line for an error, streams that break, Ctrl-C."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from sparring.cli.app import Stopped, app, main
from sparring.cli.blame import blamed
from sparring.errors import InputError

frame = importlib.import_module("sparring.cli.app")
"the module: sparring.cli has the app of that name, too"


def left(monkeypatch: pytest.MonkeyPatch, error: BaseException, *words: str) -> int:
    """The exit code of a command that raises `error`."""

    space: dict[str, Any] = {"error": error}
    exec(compile("def call(*_, **__): raise error", "<not a user's file>", "exec"), space)
    monkeypatch.setattr(frame, "app", space["call"])
    monkeypatch.setattr(sys, "argv", ["sparring", "x", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("no such\n  model"), 2, "sparring: no such model\n"),
        (typer.BadParameter("eps is no number"), 2, "eps is no number"),
        (OSError(28, "No space left on device", "a [/b].json"), 2, "a [/b].json: No space left on device"),
        (Stopped("go on with --resume"), 130, "sparring: stopped: go on with --resume"),
        (KeyboardInterrupt(), 130, "sparring: stopped"),
        (RuntimeError("ours"), 70, "an error of sparring's own, RuntimeError: ours; --traceback shows where"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(frame, "_abandon_stdout", lambda: None)  # pytest needs it
    assert left(monkeypatch, error) == code
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") <= 1
    assert "Traceback" not in said


def test_the_traceback_is_shown_on_demand_wherever_the_word_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left(monkeypatch, RuntimeError("ours"), "--traceback") == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert frame._split(["audit", "--traceback", "-q"]) == (["audit", "-q"], True)
    assert frame._split(["attack", "--", "--traceback"]) == (["attack", "--", "--traceback"], False)


# --- whose error is it? -------------------------------------------------------------------------------------------

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(784, 10)
    def forward(self, x):
        if len(x) > 3:
            return self.inner(x)
        return self.inner(x.flatten(1))

def build():
    return Net()

def library():
    class Wrong(nn.Sequential):
        pass
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Dropout(0.0))
"""


def sparring(folder: Path, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sparring", *words],
        **{"capture_output": True, "text": True, "cwd": folder, **options},  # type: ignore[call-overload,no-any-return]
    )


def test_the_models_error_is_one_line_with_its_own_last_frame_and_code_3(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    about = ("attack", "fgsm", "--model", "nets.py:build", "--n", "8", "--eps", "0.1", "-q")
    done = sparring(tmp_path, *about)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "the model raised RuntimeError: mat1 and mat2 shapes cannot be multiplied" in done.stderr
    assert "nets.py:11, in forward: return self.inner(x))" in done.stderr
    whole = sparring(tmp_path, *about, "--traceback")
    assert whole.returncode == 3
    assert "Traceback" in whole.stderr


def test_nobody_is_blamed_for_our_own_errors() -> None:
    from sparring.cli.attack.region import region_of

    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError("here")
    assert blamed(raised.value) is None, "no frame of the package at all"
    with pytest.raises(ValueError, match="not enough values") as raised_inside:
        region_of("1:2,1:2", (1, 2))  # type: ignore[arg-type]
    assert blamed(raised_inside.value) is None, "the package's own code is the innermost"


def test_a_library_is_blamed_only_where_the_model_was_called() -> None:
    import torch
    from torch import nn

    import sparring as sp

    model = sp.wrap(nn.Linear(3, 2))
    with pytest.raises(sp.errors.ShapeError) as raised:
        model.raw(torch.zeros(2, 5))
    cause = raised.value.__cause__
    assert cause is not None
    found = blamed(cause)
    assert found is not None
    assert found.frame is None
    assert "mat1 and mat2" in str(found)


# --- streams ------------------------------------------------------------------------------------------------------


def test_python_dash_m(tmp_path: Path) -> None:
    done = sparring(tmp_path, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("sparring ")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = sparring(tmp_path, "models", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "sparring: cannot read or write: No space left on device\n"


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_terminal_does_not_know(tmp_path: Path, encoding: str) -> None:
    done = sparring(tmp_path, "attacks", "pgd", env={**os.environ, "PYTHONIOENCODING": encoding}, errors="replace")
    assert done.returncode == 0, done.stderr
    assert "pgd" in done.stdout


@pytest.mark.long
def test_square_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    done = sparring(tmp_path, "attack", "fgsm", "--model", "mnist-cnn", "--n", "4", "--eps", "0.1", "--out", "run [/b]")
    assert done.returncode == 0, done.stderr
    assert "wrote run [/b]: " in done.stdout


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    inner = getattr(group, "commands", None)
    if not inner:
        return [(path, group)]
    return [found for name, one in inner.items() for found in commands(one, (*path, name))]


FOUND = commands(typer.main.get_command(app))


def test_all_commands_are_there() -> None:
    known = {" ".join(path) for path, _ in FOUND}
    assert known >= {
        "audit", "report", "compare", "crosscheck", "verify", "merge", "rerun", "attack", "attacks", "train", "models",
        "data", "generate train", "generate sample", "generate quality", "generate project", "generate autoencoders",
        "reproduce fgsm-imagenet", "reproduce defense-gan", "reproduce distillation", "reproduce gallery",
        "reproduce gan", "reproduce dcgan", "reproduce wgan", "reproduce physical",
    }  # fmt: skip


@pytest.mark.parametrize(("path", "command"), FOUND, ids=[" ".join(path) for path, _ in FOUND])
def test_every_option_has_a_help_that_is_a_sentence(path: tuple[str, ...], command: Any) -> None:
    assert command.help
    for one in command.params:
        if getattr(one, "hidden", False) or one.param_type_name == "argument":
            continue
        said = one.help or ""
        assert said[:1].isupper(), f"{one.name}: {said!r}"
        assert len(said.split()) >= 3, f"{one.name}: {said!r} says too little"
