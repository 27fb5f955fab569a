"""The cache of a web service: whose answers it holds, who asks, and what becomes of the count when its file fails."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sparring.cli.audit.work import Work
from sparring.cli.loading import refuse_alone
from sparring.errors import InputError, TargetError
from sparring.zoo.loaders import load_model
from sparring.zoo.targets.http import ledger as ledgers
from sparring.zoo.targets.http.ledger import Account, Ledger

pytest.importorskip("httpx", reason="needs the extra http")

Pictures = Callable[[int], Tensor]


def cached(loopback: Any, **values: Any) -> Any:
    return load_model(loopback.mapped(cache=str(loopback.folder / "l.sqlite"), **values))


def fill(ledger: Ledger) -> None:
    """The disk is full from here on."""
    base = ledger._store._base
    base.execute(f"PRAGMA max_page_count = {base.execute('PRAGMA page_count').fetchone()[0] + 5}")
    for size in (1000, 100, 10):  # until nothing more fits into the pages that are there
        rows = [(size,)] * 1000
        with pytest.raises(sqlite3.OperationalError, match="full"):
            base.executemany("INSERT INTO answers VALUES (hex(randomblob(8)), 0, hex(zeroblob(?)))", rows)


def damage(path: Path) -> None:
    """Rubbish over all pages but the first."""
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = base.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek(size)
        file.write(os.urandom(path.stat().st_size - size))


def test_a_full_disk_ends_the_run_with_the_account_and_loses_no_answer(loopback: Any, pictures: Pictures) -> None:
    model = cached(loopback, concurrency=1)
    model.raw(pictures(2))
    fill(model.service.ledger)
    with pytest.raises(TargetError) as error:
        model.raw(pictures(9))
    line = str(error.value)
    assert "database or disk is full; free space on its disk and give the same command again" in line
    assert f"{loopback.received} queries were sent, {loopback.received} were answered" in line
    assert "of which the cache could not take 1" in line
    assert "\n" not in line
    model.service.ledger._store._base.execute("PRAGMA max_page_count = 1000000")
    before = loopback.received
    model.raw(pictures(3))
    assert loopback.received == before, "the answer that found no room was kept in memory, and is in the file now"
    assert model.service.ledger.account.unsaved == 0
    assert cached(loopback).service.ledger.account.sent == loopback.received


def test_an_answer_that_comes_while_the_file_fails_is_counted_and_entered_later(tmp_path: Path) -> None:
    ledger, other = Ledger(tmp_path / "l.sqlite"), Ledger(tmp_path / "l.sqlite")
    assert ledger.pay(None)
    ledger._store._base.execute("PRAGMA query_only = 1")
    with pytest.raises(TargetError, match="attempt to write a readonly database"):
        ledger.keep("a", 0, [1.0])
    assert ledger.account == Account(1, 1, 0, unsaved=1)
    assert other.account == Account(1, 0, 0)
    assert ledger.look("a") == (0, [1.0])
    ledger._store._base.execute("PRAGMA query_only = 0")
    ledger.pay(None)
    ledger.keep("b", 0, None)
    assert ledger.account == Account(2, 2, 1)
    assert other.look("a") == (0, [1.0])


def test_damage_while_it_is_used_is_one_line_with_the_account(loopback: Any, pictures: Pictures) -> None:
    model = cached(loopback, concurrency=1)
    model.raw(pictures(30))
    damage(loopback.folder / "l.sqlite")
    model.service.ledger._store._base.execute("PRAGMA cache_size = 0")
    with pytest.raises(TargetError) as error:
        model.raw(1 - pictures(9))
    assert "fails: " in str(error.value)
    assert f"; move it away, or name another (cache=FILE); {loopback.received} queries were sent" in str(error.value)
    assert "\n" not in str(error.value)


def test_damage_is_found_before_the_first_query(loopback: Any, pictures: Pictures) -> None:
    model = cached(loopback)
    model.raw(pictures(30))
    model.service.ledger.close()
    damage(loopback.folder / "l.sqlite")
    with pytest.raises(InputError, match=r"the cache of answers .* cannot be used: .*name another \(cache=FILE\)"):
        cached(loopback)


def test_an_answer_in_the_file_that_is_none_is_one_line(loopback: Any, pictures: Pictures) -> None:
    model = cached(loopback)
    model.raw(pictures(2))
    model.service.ledger._store._base.execute("UPDATE answers SET answer = '[0.1, 0'")
    with pytest.raises(TargetError, match=r"is damaged \(it holds an answer that is no JSON\).*3 queries were sent"):
        cached(loopback).raw(pictures(2))


FOREIGN = {
    "others": "CREATE TABLE bills (number INTEGER)",
    "same names": "CREATE TABLE answers (id INTEGER); CREATE TABLE account (id INTEGER); CREATE TABLE claims (x); "
    "CREATE TABLE findings (x)",
    "marked by others": "PRAGMA application_id = 77; CREATE TABLE answers (id INTEGER)",
    "marked and empty": "PRAGMA application_id = 77",
    "earlier layout": "CREATE TABLE answers (key TEXT, draw INTEGER, answer TEXT NOT NULL, PRIMARY KEY (key, draw));"
    "CREATE TABLE account (one INTEGER PRIMARY KEY CHECK (one = 1), sent INTEGER, answered INTEGER)",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_database_of_others_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "l.sqlite"
    base = sqlite3.connect(path)
    base.executescript(FOREIGN[kind])
    base.close()
    before = path.read_bytes()
    expected = "another version of sparring" if kind == "earlier layout" else "but no cache of answers"
    with pytest.raises(InputError, match=expected) as error:
        Ledger(path)
    assert "name another (cache=FILE)" in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["l.sqlite"]


def test_a_folder_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        Ledger(tmp_path)
    (tmp_path / "empty").touch()
    assert Ledger(tmp_path / "empty").pay(1)


# --- whose answers --------------------------------------------------------------------------------------------


def keys(loopback: Any, x: Tensor, **values: Any) -> set[str]:
    """The keys that a mapping gives to pictures."""
    cache = loopback.folder / f"{time.monotonic_ns()}.sqlite"
    load_model(loopback.mapped(cache=str(cache), **values)).raw(x)
    with sqlite3.connect(cache) as base:
        return {key for (key,) in base.execute("SELECT key FROM answers")}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"answer": {"outputs": "logits"}}, {"answer": {"outputs": "probabilities"}}, True),
        ({}, {"timeout": 9, "retries": 1, "rate": 1000, "concurrency": 1, "max_queries": 99}, True),
        ({}, {"headers": {"X-Model": "v2"}}, False),
        ({"headers": {"X-Model": "v1"}}, {"headers": {"X-Model": "v2"}}, False),
        ({"headers": {"X-Model": "v1"}}, {"headers": {"x-model": "v1"}}, True),
        ({"headers": {"X-Model": "${ONE}"}}, {"headers": {"X-Model": "${TWO}"}}, False),
        ({"headers": {"X-A": "b", "X-C": "d"}}, {"headers": {"X-C": "d", "X-A": "b"}}, True),
        ({"request": {"other": {"v": 1}}}, {"request": {"other": {"v": 2}}}, False),
    ],
)
def test_what_decides_an_answer_is_in_its_key(
    loopback: Any, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, one: Any, other: Any, same: bool
) -> None:
    monkeypatch.setenv("ONE", "v1")
    monkeypatch.setenv("TWO", "v1")
    assert (keys(loopback, pictures(1), **one) == keys(loopback, pictures(1), **other)) is same


@pytest.mark.parametrize("change", [{"label": "second"}, {"score": "q"}, {"path": "more"}])
def test_two_readings_of_the_same_words_share_no_answer(loopback: Any, pictures: Pictures, change: Any) -> None:
    entry = '{"first": 0, "second": 1, "p": 0.9, "q": 0.8}'
    body = f'{{"out": [{entry}], "more": [{entry.replace("0.9", "0.7")}]}}'.encode()
    loopback.reply = lambda connection, number: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    reading = {"kind": "topk", "path": "out", "label": "first", "score": "p"}
    one = cached(loopback, answer=reading).raw(pictures(1))
    other = cached(loopback, answer={**reading, **change}).raw(pictures(1))
    assert not torch.equal(one, other)


def test_a_header_from_the_environment_counts_by_its_value_and_a_credential_by_its_name(
    loopback: Any, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Authorization": "Bearer ${OURS}", "X-Tenant": "${TENANT}"}
    found = []
    for token, tenant in (("hunter2", "north"), ("hunter3", "north"), ("hunter3", "south")):
        monkeypatch.setenv("OURS", token)
        monkeypatch.setenv("TENANT", tenant)
        found.append(keys(loopback, pictures(1), headers=headers))
    assert found[0] == found[1], "answers outlive a credential"
    assert found[1] != found[2]
    for path in loopback.folder.iterdir():
        content = path.read_bytes() if path.is_file() else b""
        assert b"hunter" not in content
        assert b"north" not in content


# --- who asks -------------------------------------------------------------------------------------------------


def test_two_at_once_pay_for_a_picture_once(loopback: Any, pictures: Pictures) -> None:
    cached(loopback).raw(pictures(1))  # the first picture is asked about twice
    said = loopback.reply

    def slow(connection: Any, number: int) -> Any:
        time.sleep(0.02)
        return said(connection, number)

    loopback.reply = slow
    models = [cached(loopback) for _ in range(3)]
    gate = threading.Barrier(3)

    def go(model: Any) -> None:
        gate.wait()
        model.service.ask(pictures(12))

    threads = [threading.Thread(target=go, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loopback.received == 2 + 11
    assert models[0].service.ledger.account.sent == loopback.received
    assert sum(model.service.ledger.reused for model in models) == 3 + 2 * 11


def test_a_claim_ends_with_an_answer_a_failure_or_its_time(tmp_path: Path) -> None:
    one, two = (Ledger(tmp_path / "l.sqlite") for _ in range(2))
    assert one.claim("a", 0, 60) == (True, None)
    assert one.claim("a", 0, 60) == (True, None)
    assert two.claim("a", 0, 60) == (False, None)
    one.keep("a", 0, [1.0])
    assert two.claim("a", 0, 60) == (False, [1.0])
    one.claim("b", 0, 60)
    one.release("b", 0)
    assert two.claim("b", 0, 60) == (True, None)
    one.claim("c", 0, -1)
    assert two.claim("c", 0, 60) == (True, None)


def claim_and_die(path: Path) -> None:
    Ledger(path).claim("a", 0, 3600)
    os._exit(0)


def test_a_claim_ends_with_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l.sqlite"
    two = Ledger(path)
    process = multiprocessing.get_context("fork").Process(target=claim_and_die, args=(path,))
    process.start()
    process.join()
    with monkeypatch.context() as patch:
        patch.setattr(ledgers.socket, "gethostname", lambda: "elsewhere")
        assert two.claim("a", 0, 60) == (False, None), "of another machine it is not known"
    assert two.claim("a", 0, 60) == (True, None)


def test_a_failure_gives_the_claim_back(loopback: Any, pictures: Pictures) -> None:
    one, two = (cached(loopback, retries=0) for _ in range(2))
    one.raw(pictures(1))
    said, loopback.reply = loopback.reply, lambda connection, number: b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(TargetError):
        one.raw(pictures(2))
    loopback.reply = said
    two.raw(pictures(2))
    assert two.service.ledger.account == Account(4, 3, 1)


@pytest.mark.parametrize("more", [{"workers": 2}, {"ray": "local"}, {"slurm": ""}])
def test_work_is_not_shared_among_processes_that_count_by_themselves(
    loopback: Any, tmp_path: Path, more: dict[str, Any]
) -> None:
    plan: Any = SimpleNamespace(model=load_model(loopback.mapped(cache=False)))
    nobody: Any = None
    with pytest.raises(InputError, match=r"with cache=false each process counts its own queries"):
        Work(out=tmp_path / "out", **more).carry_out(plan, nobody, nobody, nobody)
    refuse_alone(cached(loopback))
    assert loopback.received == 0
