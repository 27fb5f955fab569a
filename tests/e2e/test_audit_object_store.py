"""Audits whose run lies in an object store: the same as in a folder, stopped, gone on with, verified, shown, merged."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sparring as sp
from sparring.audit.run.folder import Run
from sparring.scale.remote import brought, mirrored

Command = Callable[..., tuple[int, str, str]]
fsspec = pytest.importorskip("fsspec")
AUDIT = ("audit", "--model", "mnist-cnn", "--n", "12", "--eps", "0.2", "--suite", "quick", "--shard-size", "4")


def there(url: str) -> set[str]:
    store, root = fsspec.core.url_to_fs(url)
    return {name[len(root) + 1 :] for name in store.find(root)}


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    """What of a report does not depend on the clock."""
    return {name: report[name] for name in ("clean", "robust", "verdict", "samples", "command") if name in report}


@pytest.fixture
def url() -> Iterator[str]:
    yield f"memory://{uuid.uuid4().hex}/runs/mine"
    fsspec.filesystem("memory").store.clear()


@pytest.mark.long
def test_a_run_in_a_store_is_stopped_gone_on_with_verified_and_shown(
    run: Command, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*AUDIT, "--out", tmp_path / "plain")[0] == 0
    work = Run.work

    def stopped(self: Run, numbers: Any = None, *rest: Any, **options: Any) -> None:
        work(self, [0], *rest, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "work", stopped)
        code, _, err = run(*AUDIT, "--out", url)
    assert code != 0
    assert f"the run lies in {url}; go on with: sparring audit" in err
    assert f"--out {url}" in err
    assert {"plan.json", "options.json", "shards/head.safetensors", "shards/00000.safetensors"} <= there(url)
    assert "shards/00001.safetensors" not in there(url)

    code, _, err = run(*AUDIT, "--out", url)
    assert code == 2
    assert f"{url} holds this run already; go on with it (--resume)" in err

    code, out, err = run(*AUDIT, "--out", url, "--resume")
    assert code == 0, err
    assert f"report: {url}/report.html" in out
    with brought(url) as home:
        mine = json.loads((home / "report.json").read_text())
    theirs = json.loads((tmp_path / "plain" / "report.json").read_text())
    assert lasting(mine) == lasting(theirs)
    assert len(mine["shards"]) == 4

    code, out, err = run("verify", url)
    assert code == 0, err
    assert f"{url}: 3 of 3 shards" in out
    assert "Everything holds." in out
    assert run("report", url, "--markdown", tmp_path / "r.md")[0] == 0
    assert run("compare", url, tmp_path / "plain", "--fail-on-regression")[0] == 0
    before = there(url)
    code, out, _ = run("report", url)
    assert code == 0
    assert f"report: {url}/report.html" in out
    assert there(url) == before

    with mirrored(url) as home:
        shard = home / "shards" / "00001.safetensors"
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert run("verify", url)[0] == 1, "what is in the store is what is checked"
    assert run(*AUDIT, "--out", url, "--resume")[0] == 0
    assert run("verify", url)[0] == 0


@pytest.mark.long
def test_two_machines_each_have_a_place_and_merge_joins_them(run: Command, url: str) -> None:
    for i in (1, 2):
        code, _, err = run(*AUDIT, "--out", f"{url}{i}", "--shard", f"{i}/2")
        assert code == 0, err
        assert f"sparring merge {url}{i}" in err
    code, out, err = run("merge", f"{url}1", f"{url}2")
    assert code == 0, err
    assert f"report: {url}1/report.html" in out
    assert run("verify", f"{url}1")[0] == 0


@pytest.mark.long
def test_workers_share_the_copy_and_an_audit_is_repeated_from_a_store(run: Command, url: str, tmp_path: Path) -> None:
    code, _, err = run(*AUDIT, "--out", url, "--workers", 2)
    assert code == 0, err
    code, out, err = run("rerun", url, "--out", f"{url}-again", "--fail-on-regression")
    assert code == 0, err
    assert f"report: {url}-again/report.html" in out
    assert run("verify", f"{url}-again")[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--slurm", "cluster=local", "--workers", 2), "a folder, not an object store"),
        (("--out", "sftp://host/run"), "sftp:// is not known to keep files whole"),
    ],
)
def test_what_is_not_safe_is_refused_before_anything_is_loaded(
    run: Command, url: str, options: tuple[str, ...], words: str
) -> None:
    code, _, err = run("audit", "--model", "no-such-model", "--eps", "0.2", "--out", url, *options)
    assert code == 2
    assert words in err
    assert there(url) == set()


def test_the_python_call_takes_a_store_too(url: str) -> None:
    data = sp.load_data("mnist5k", "test", 4)
    report = sp.audit(sp.load_model("mnist-cnn"), data, ("Linf", 0.2), suite="quick", folder=url)
    assert {"plan.json", "shards/head.safetensors", "shards/00000.safetensors"} <= there(url)
    assert report.n == 4
