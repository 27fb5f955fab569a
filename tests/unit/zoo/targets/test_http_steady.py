"""`http:` models of services that do not say the same twice: found out, not forgotten, and told at the end of a run."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from sparring.accounts import enter
from sparring.cli.bills import billed
from sparring.errors import OutputError
from sparring.zoo.loaders import load_model

pytest.importorskip("httpx", reason="needs the extra http")

Pictures = Callable[[int], Tensor]


def answer(score: float) -> bytes:
    body = json.dumps({"scores": [score, 0.3, 0.2], "label": int(score > 0.5)}).encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def ended(model: Any) -> str:
    """What the command line says at the end of a run."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), billed():
        enter(model)
    return " ".join(said.getvalue().split())


ANSWERS = {
    "scores": {"outputs": "logits"},
    "labels": {"kind": "labels", "path": "label"},
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_random_service_stays_refused_and_is_not_asked_again(loopback: Any, pictures: Pictures, kind: str) -> None:
    loopback.reply = lambda connection, number: answer(0.5 + number)
    for _ in range(3):
        with pytest.raises(OutputError, match="another answer for the same picture") as error:
            load_model(loopback.mapped(answer=ANSWERS[kind])).logits(pictures(3))
        assert '"random": true' in str(error.value)
        assert loopback.received == 2
    load_model(loopback.mapped(answer=ANSWERS[kind], cache=str(loopback.folder / "new"), random=True)).raw(pictures(3))
    assert loopback.received == 5


def test_a_run_that_ended_between_the_two_questions_leaves_the_second_open(loopback: Any, pictures: Pictures) -> None:
    loopback.reply = lambda connection, number: answer(0.5 + number)
    with pytest.raises(Exception, match="ceiling"):
        load_model(loopback.mapped(max_queries=1)).logits(pictures(1))
    for _ in range(2):
        with pytest.raises(OutputError, match="another answer for the same picture"):
            load_model(loopback.mapped()).logits(pictures(1))
    assert loopback.received == 2


def test_a_service_is_looked_at_though_another_has_answered_into_the_same_cache(
    loopback: Any, pictures: Pictures
) -> None:
    cache = str(loopback.folder / "shared.sqlite")
    load_model(loopback.mapped(cache=cache)).logits(pictures(2))
    loopback.reply = lambda connection, number: answer(0.5 + number)
    loopback.url += "/other"
    with pytest.raises(OutputError, match="another answer for the same picture"):
        load_model(loopback.mapped(cache=cache)).logits(pictures(2))


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_service_that_changes_after_the_first_picture_is_seen_at_the_end(
    loopback: Any, pictures: Pictures, kind: str
) -> None:
    loopback.reply = lambda connection, number: answer(0.5 if number < 9 else 0.9)
    spec = loopback.mapped(answer=ANSWERS[kind])
    model: Any = load_model(spec)
    model.raw(pictures(8))
    said = ended(model)
    how = "another class" if kind == "labels" else "scores that differ by up to 0.4"
    assert f"3 of 3 pictures asked about again at the end got another answer ({how})" in said
    assert "12 queries were sent, 12 were answered" in said
    again: Any = load_model(spec)
    again.raw(pictures(8))
    assert "an earlier run with this cache says: 3 of 3 pictures" in ended(again), "the cache does not hide it"
    assert loopback.received == 12


def test_a_change_between_two_runs_is_seen_at_the_end_of_the_second(loopback: Any, pictures: Pictures) -> None:
    loopback.reply = lambda connection, number: answer(0.5 if number < 6 else 0.4)
    load_model(loopback.mapped()).raw(pictures(5))
    model: Any = load_model(loopback.mapped())
    model.raw(pictures(9))
    assert "of 3 pictures asked about again at the end got another answer" in ended(model)


def test_an_honest_service_is_said_to_be_one_and_a_run_from_the_cache_asks_nothing(
    loopback: Any, pictures: Pictures
) -> None:
    model: Any = load_model(loopback.mapped())
    model.raw(pictures(5))
    assert "3 pictures asked about again at the end: the same answers" in ended(model)
    assert (model.service.ledger.account.sent, loopback.received) == (9, 9)
    again: Any = load_model(loopback.mapped())
    again.raw(pictures(5))
    assert "asked about again" not in ended(again)
    assert loopback.received == 9


@pytest.mark.parametrize(("most", "expected"), [(6, "is not known: "), (7, "the others could not be asked about: ")])
def test_the_ceiling_holds_at_the_end_too(loopback: Any, pictures: Pictures, most: int, expected: str) -> None:
    model: Any = load_model(loopback.mapped(max_queries=most))
    model.raw(pictures(5))
    said = ended(model)
    assert expected in said
    assert "the ceiling of max_queries" in said
    assert loopback.received == most


def test_of_a_random_service_that_says_so_nothing_is_asked_again(loopback: Any, pictures: Pictures) -> None:
    model: Any = load_model(loopback.mapped(random=True))
    model.raw(pictures(5))
    assert "asked about again" not in ended(model)
    assert loopback.received == 5
