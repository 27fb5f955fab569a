"""Training in several processes, which torch spawns or `torchrun` has started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sparring.data import load_data
from sparring.defenses.training.devices import Launched, launched
from sparring.defenses.training.fit import fit
from sparring.errors import InputError
from sparring.zoo.nets import make_net


@pytest.mark.long
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
        "        how = dict(batch_size=50, optimizer='sgd', lr=0.05, augment='crop,flip')\n"
        "        fit(net, data, epochs=2, device='cpu', devices=n, **how)\n"
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


@pytest.mark.long
def test_two_machines_that_torchrun_has_joined_step_as_one(tmp_path: Path) -> None:
    """Two machines of one process each, both here; the folder is theirs together."""
    pytest.importorskip("lightning_fabric")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    train = ["-m", "sparring", "train", "--net", "wong", "--data", "mnist5k", "--limit", "200", "--epochs", "2",
             "--device", "cpu", "--out"]  # fmt: skip
    join = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1",
            "--master-port", str(port), "--node-rank"]  # fmt: skip
    quiet = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    nodes = [
        subprocess.Popen([sys.executable, *join, rank, *train, str(tmp_path / "two")], **quiet)  # type: ignore[call-overload]
        for rank in ("0", "1")
    ]
    said = [node.communicate(timeout=400)[0].decode() for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert [text.count("clean accuracy") for text in said] == [1, 0], "the first process alone measures"
    subprocess.run([sys.executable, *train, str(tmp_path / "one")], check=True, capture_output=True, timeout=400)
    two, one = (load_file(tmp_path / name / "weights.safetensors") for name in ("two", "one"))
    assert max(float((two[name] - one[name]).abs().max()) for name in one) < 1e-4
    assert json.loads((tmp_path / "two" / "card.json").read_text())["training"]["devices"] == 2


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "1"), ("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)


def test_a_process_knows_its_place(joined: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched() == Launched(rank=3, processes=4, here=2)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched() is None
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert launched() is None


def test_what_does_not_go_with_torchrun_is_one_line(joined: None, tmp_path: Path) -> None:
    net, data = make_net("wong"), load_data("mnist5k", "train", 20)
    with pytest.raises(InputError, match="meet in a folder that all of them see"):
        fit(net, data, epochs=1, device="cpu")
    for options in ({"devices": 2}, {"device": "cuda:1"}):
        with pytest.raises(InputError, match="torchrun has started 4 processes"):
            fit(net, data, epochs=1, out=tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch_size is 3; it must be at least 4"):
        fit(net, data, epochs=1, out=tmp_path, batch_size=3)
