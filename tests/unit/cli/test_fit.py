"""What is shown to a model first: errors about the shape of the picture are bad input, all others the model's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sparring as sp
from sparring.cli import main
from sparring.cli.loading import check_fit
from sparring.errors import InputError, OutputError

ERRORS = [
    "KeyError('shape')",
    "ZeroDivisionError('by the size')",
    "NameError(\"name 'size' is not defined\")",
    "AttributeError(\"no attribute 'shape'\")",
    "TypeError('unsupported operand: torch.Size')",
    "OSError('no kernel size file')",
    "ConnectionError('refused')",
    "RuntimeError('no licence')",
    "ValueError('the vault is shut')",
    "AssertionError()",
    "NotImplementedError('later')",
]


@pytest.mark.parametrize("raised", ERRORS)
def test_an_error_that_has_nothing_to_do_with_shapes_is_the_models_own(
    raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = f"import sparring as sp\ndef fails(x):\n    raise {raised}\n\nmodel = sp.wrap_callable(fails, 10)\n"
    (tmp_path / "mine.py").write_text(code)
    words = ["attack", "square", "--model", f"{tmp_path / 'mine.py'}:model", "--n", "2", "--eps", "0.1"]
    monkeypatch.setattr(sys, "argv", ["sparring", *words])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 3, said
    assert f"the model raised {raised.partition('(')[0]}" in said
    assert "cannot take images" not in said
    assert said.count("\n") == 1


def scaled(x: Any) -> Any:
    """Says what NumPy says of other shapes."""
    return x.numpy().reshape(len(x), 100) @ torch.ones(100, 3).numpy()


@pytest.mark.parametrize(
    "net",
    [
        lambda x: torch.nn.functional.linear(x.flatten(1), torch.ones(3, 100)),
        lambda x: torch.nn.functional.conv2d(x, torch.ones(4, 3, 3, 3)),
        lambda x: torch.nn.functional.conv2d(x, torch.ones(4, 1, 99, 99)),
        lambda x: torch.nn.functional.interpolate(x, mode="linear", size=3),
        lambda x: torch.nn.functional.batch_norm(x, torch.zeros(3), torch.ones(3)),
        lambda x: x.view(len(x), 100),
        lambda x: x + torch.ones(3, 5, 5),
        lambda x: x[:, 2],
        lambda x: torch.cat([x, torch.ones(1, 3, 4, 4)], 1),
        scaled,
    ],
)
def test_what_libraries_say_of_other_shapes_is_bad_input(net: Callable[[Any], Any]) -> None:
    model, x = sp.wrap_callable(net, 3), torch.rand(1, 1, 28, 28)
    with pytest.raises(InputError, match=r"cannot take images of shape \(1, 28, 28\) from mine: .*; try grey"):
        check_fit(model, x, "mine", lambda: "; try grey")


def test_sklearn_that_was_fitted_to_other_pictures_is_bad_input() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    classifier = linear.LogisticRegression().fit(torch.rand(20, 64).numpy(), [0, 1] * 10)
    with pytest.raises(InputError, match="cannot take images of shape"):
        check_fit(sp.wrap_sklearn(classifier), torch.rand(1, 1, 28, 28), "mine")


def test_what_it_says_of_itself_stays() -> None:
    with pytest.raises(OutputError, match="expected numbers"):
        check_fit(sp.wrap_callable(lambda x: "shape", 3), torch.rand(1, 1, 4, 4), "mine")
