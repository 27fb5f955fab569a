"""Where memory runs out, the work goes on in smaller batches, with the same result; or ends in one line."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.batches import out_of_memory, run_batches, while_it_fits
from sparring.errors import OutOfMemory, SmallerBatches
from sparring.result import PER_SAMPLE


class Hungry(nn.Module):
    """A linear net that takes so many images at once and no more, or so many when gradients are wanted."""

    def __init__(self, most: int, with_gradients: int | None = None) -> None:
        super().__init__()
        self.most, self.with_gradients = most, with_gradients or most
        self.inner = nn.Linear(16, 3).double()
        with torch.no_grad():
            self.inner.weight.copy_(torch.arange(48.0).reshape(3, 16).sin())
            self.inner.bias.zero_()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > (self.with_gradients if x.requires_grad else self.most):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore lines.")
        found: Tensor = self.inner(x.flatten(1))
        return found


def images(n: int = 23) -> tuple[Tensor, Tensor]:
    x = torch.linspace(0, 1, 16 * n, dtype=torch.float64).reshape(n, 1, 4, 4)
    return x, Hungry(999)(x).argmax(1)


def test_a_batch_that_is_too_large_is_halved_and_the_result_is_the_same() -> None:
    x, y = images()
    attack, threat = sp.attack("pgd:steps=3,restarts=2"), sp.Threat("Linf", 0.2)
    whole = run_batches(attack, sp.wrap(Hungry(999)), (x, y), threat, batch_size=16)
    net, told = Hungry(5), []
    with pytest.warns(SmallerBatches, match="batch of 16 images; going on with 8") as noted:
        parts = run_batches(
            attack, sp.wrap(net), (x, y), threat, batch_size=16, progress=lambda done, _: told.append(done)
        )
    assert len(noted) == 2, "16, 8, and then 4 for the rest"
    assert told == [4, 8, 12, 16, 20, 23]
    assert net.seen[:3] == [16, 8, 4]
    for name in PER_SAMPLE:
        assert torch.allclose(getattr(parts, name).double(), getattr(whole, name).double(), rtol=1e-12, atol=0), name


def test_an_audit_goes_on_in_smaller_batches_and_says_the_same() -> None:
    x, y = images(120)
    small = {"suite": ["fgsm", "pgd:steps=3", "square:queries=10"], "clean_floor": 0}
    whole = sp.audit(Hungry(999), (x, y), ("Linf", 0.2), **small)
    with pytest.warns(SmallerBatches):
        parts = sp.audit(Hungry(110, with_gradients=70), (x, y), ("Linf", 0.2), **small)
    assert parts.robust == whole.robust
    assert parts.cost["attacks"] == whole.cost["attacks"]
    assert torch.allclose(parts.worst.x_adv, whole.worst.x_adv)


def test_a_single_image_that_does_not_fit_ends_in_one_line() -> None:
    x, y = images(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallerBatches)
        with pytest.raises(OutOfMemory, match="Hungry, even for a single image at a time: CUDA out of memory") as error:
            run_batches(sp.attack("fgsm"), sp.wrap(Hungry(0)), (x, y), sp.Threat("Linf", 0.1))
    assert "\n" not in str(error.value)


def test_other_errors_are_not_taken_for_it() -> None:
    def work(size: int) -> int:
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        while_it_fits(sp.wrap(Hungry(1)), 8, work)
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not out_of_memory(ValueError("out of memory"))


NET = """
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        if len(x) > MOST:
            raise RuntimeError("CUDA out of memory.")
        return x.flatten(1)[:, 350:360] * 9

def build():
    return Net()
"""


@pytest.mark.long
@pytest.mark.parametrize(("most", "code"), [(40, 0), (0, 3)])
def test_the_command_line_says_it_in_lines(tmp_path: Path, most: int, code: int) -> None:
    (tmp_path / "net.py").write_text(NET.replace("MOST", str(most)))
    suite = "receipt: false\nstages:\n  - fgsm\n"
    (tmp_path / "s.yaml").write_text(suite)
    words = ["audit", "--model", f"{tmp_path}/net.py:build", "--n", "60", "--eps", "0.1", "--clean-floor", "0"]
    ran = subprocess.run(
        [sys.executable, "-m", "sparring", *words, "--suite", str(tmp_path / "s.yaml")], capture_output=True, text=True
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("sparring: ")]
    if code:
        assert "not enough memory to show net.py:build a single image: CUDA out of memory." in lines[-1]
    else:
        assert lines == [
            "sparring: not enough memory for a batch of 60 images; going on with 30, which does not change the result"
        ]
