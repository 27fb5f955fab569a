"""Certificates around a folder: shards are made once, a stopped run goes on, and another run is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.certify.folder import CertifyRun
from sparring.certify.methods import find_method
from sparring.certify.result import PER_IMAGE
from sparring.cli import main
from sparring.errors import InputError


def run_of(method: str = "crown") -> CertifyRun:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)).requires_grad_(False)
        x = torch.rand(25, 1, 4, 4)
    threat = sp.Threat("Linf", 0.05)
    return CertifyRun(
        sp.wrap(net), x, net(x).argmax(1), threat, find_method(method), 0, {"data": "these"}, shard_size=10
    )


@pytest.mark.parametrize("method", ["crown", "complete", "smoothing:n=50,n0=10"])
def test_a_stopped_run_goes_on_and_ends_with_the_same_certificates(method: str, tmp_path: Path) -> None:
    run, seen = run_of(method), []
    whole = sp.certify(run.model, run.x, run.y, run.threat, method)
    with pytest.raises(KeyboardInterrupt):
        run.work(run.open(tmp_path), _stop_after(10))
    store = run.open(tmp_path, resume=True)
    assert store.missing() == [1, 2]
    first = store.path(0).read_bytes()
    found = run.work(store, seen.append)
    assert store.path(0).read_bytes() == first
    assert seen[-1] == 25
    assert seen == sorted(seen)
    for name in PER_IMAGE:
        if name != "seconds":
            assert torch.equal(getattr(found, name), getattr(whole, name)) or torch.allclose(
                getattr(found, name), getattr(whole, name), atol=1e-5, equal_nan=True
            ), name


def _stop_after(images: int):  # type: ignore[no-untyped-def]
    def stop(done: int) -> None:
        if done > images:
            raise KeyboardInterrupt

    return stop


def test_another_run_is_refused_and_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    run = run_of()
    found = run.work(run.open(tmp_path))
    with pytest.raises(InputError, match="--resume"):
        run.open(tmp_path)
    with pytest.raises(InputError, match="method"):
        replace(run, method=find_method("ibp")).open(tmp_path, resume=True)
    store = run.open(tmp_path, resume=True)
    store.path(1).write_bytes(store.path(1).read_bytes()[:-3])
    again = run.work(store)
    assert torch.equal(again.certified, found.certified)


def test_the_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    words = ["sparring", "certify", "--model", "mnist-cnn", "--n", "4", "--eps", "0.001", "--method", "ibp", "-q"]
    for more in (["--shard-size", "2"], ["--shard-size", "2", "--resume"]):
        monkeypatch.setattr(sys, "argv", [*words, "--out", str(out), *more])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
    assert len(list((out / "shards").glob("*.safetensors"))) == 2
    assert json.loads((out / "certificates.json").read_text())["n"] == 4
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
