"""Training in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


def test_two_processes_step_as_one(tmp_path: Path) -> None:
    """Spawned in a script of its own, as the processes import the main module again."""
    script = tmp_path / "two.py"
    script.write_text(
        "import torch\n"
        "from sparring.defenses.training import fit\n"
        "from sparring.zoo.nets import make_net\n"
        "if __name__ == '__main__':\n"
        "    torch.set_num_threads(1)\n"
        "    g = torch.Generator().manual_seed(0)\n"
        "    data = torch.rand(110, 1, 28, 28, generator=g), torch.randint(10, (110,), generator=g)\n"
        "    nets = [make_net('wong') for _ in range(2)]\n"
        "    for n, net in enumerate(nets, 1):\n"
        "        fit(net, data, epochs=2, batch_size=50, optimizer='sgd', lr=0.05, device='cpu', devices=n)\n"
        "    start = make_net('wong')\n"
        "    moved = max((a - s).abs().max().item() for a, s in zip(nets[0].parameters(), start.parameters()))\n"
        "    apart = max((a - b).abs().max().item() for a, b in zip(*(net.parameters() for net in nets)))\n"
        "    assert apart < 1e-3 * moved, (apart, moved)\n"
    )
    # One thread each, and patience: on a busy machine, processes that wait for each other are slow.
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
