"""`http:` models against services that never end, answer twice, or want us to wait; and being stopped by the user."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import torch
from torch import Tensor

from sparring.errors import InputError, TargetError
from sparring.zoo.loaders import load_model

pytest.importorskip("httpx", reason="needs the extra http")

Pictures = Callable[[int], Tensor]
HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"scores": [0.5, 0.3, 0.2]}'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def answer(number: int) -> bytes:
    """Another one for each request."""
    body = f'{{"scores": [0.{number + 1:02}, 0.3, 0.2]}}'.encode()
    return HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def refused(code: int, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {code} no\r\n{lines}Content-Length: 0\r\n\r\n".encode()


def paid(model: Any) -> tuple[int, int]:
    account = model.service.ledger.account
    return account.sent, account.answered


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"", b"H"),
        (HEAD, b"X: y\r\n"),
        (HEAD + b"X: ", b"y"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (CHUNKED + b"1;", b"x"),
        (CHUNKED, b"1;x=y\r\n \r\n"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b" "),
        (HEAD + b"\r\n" + BODY, b" "),
    ],
    ids=["status", "headers", "header", "100", "103", "extension", "chunks", "body", "body of no length"],
)
def test_one_deadline_from_the_first_byte_to_the_last(
    loopback: Any, pictures: Pictures, seconds: Callable[[], float], start: bytes, again: bytes
) -> None:
    loopback.reply = lambda connection, number: loopback.drip(connection, start, again)
    model = load_model(loopback.mapped(timeout=0.2, retries=0))
    with pytest.raises(TargetError, match=r"did not answer within 0.2 s; 1 queries were sent, 0 were answered"):
        model.logits(pictures(1))
    assert 0.2 <= seconds() < 2


def test_a_service_that_never_reads_meets_the_deadline_too(loopback: Any, seconds: Callable[[], float]) -> None:
    loopback.close()  # connections are still taken, into the backlog, or refused: in both cases nobody reads
    model = load_model(loopback.mapped(timeout=0.2, retries=0, input_size=None))
    with pytest.raises(TargetError, match="1 queries were sent, 0 were answered"):
        model.logits(torch.rand(1, 3, 900, 900))
    assert seconds() < 2


def test_encryption_that_is_never_agreed_on_meets_the_deadline_too(
    loopback: Any, pictures: Pictures, seconds: Callable[[], float]
) -> None:
    loopback.url = loopback.url.replace("http:", "https:")
    with pytest.raises(TargetError, match=r"did not answer within 0.2 s; 1 queries were sent, 0 were answered"):
        load_model(loopback.mapped(timeout=0.2, retries=0)).logits(pictures(1))
    assert seconds() < 2


@pytest.mark.parametrize("late", [0.0, 0.02], ids=["at once", "a moment later"])
def test_a_second_answer_to_one_request_shifts_no_other(loopback: Any, pictures: Pictures, late: float) -> None:
    def twice(connection: Any, number: int) -> None:
        connection.sendall(answer(number) if late else answer(number) * 2)
        time.sleep(late)
        if late:
            connection.sendall(answer(number))

    loopback.reply = twice
    model: Any = load_model(loopback.mapped(random=True, concurrency=1, answer={"outputs": "probabilities"}))
    said = [float(model.raw(one[None])[0, 0]) for one in pictures(6)]
    assert said == pytest.approx([0.01 * (number + 1) for number in range(6)])
    assert paid(model) == (6, 6)


def in_an_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize("wanted", ["1e9", "61", "inf", "in an hour"])
def test_a_service_that_wants_a_long_rest_gets_it(
    loopback: Any, pictures: Pictures, seconds: Callable[[], float], wanted: str
) -> None:
    text = in_an_hour() if wanted == "in an hour" else wanted
    loopback.reply = lambda connection, number: refused(429, Retry_After=text)
    with pytest.raises(TargetError, match=r"answered 429 and wants no request for [\d,inf]+ s; at most 60 s are") as e:
        load_model(loopback.mapped()).logits(pictures(3))
    assert "1 queries were sent" in str(e.value)
    assert seconds() < 1


@pytest.mark.parametrize("wanted", ["0.01", "nan", "-5", "soon", "Mon, 01 Jan 2001 00:00:00 GMT", ""])
def test_a_short_rest_is_kept_and_what_is_none_is_passed_over(loopback: Any, pictures: Pictures, wanted: str) -> None:
    rest = refused(503, Retry_After=wanted)
    loopback.reply = lambda connection, number: rest if number == 2 else answer(0)
    model = load_model(loopback.mapped(concurrency=1))
    model.logits(pictures(2))
    assert paid(model) == (4, 3)


@pytest.mark.parametrize("more", [{"rate": 5}, {}], ids=["slow pace", "no pace"])
def test_after_401_nothing_more_is_sent(
    loopback: Any, pictures: Pictures, seconds: Callable[[], float], more: dict[str, Any]
) -> None:
    loopback.reply = lambda connection, number: answer(0) if number < 2 else refused(401)
    model = load_model(loopback.mapped(concurrency=2, **more))
    with pytest.raises(TargetError, match="answered 401"):
        model.logits(pictures(200))
    assert seconds() < 2
    assert loopback.received == paid(model)[0] <= 4


def ctrl_c() -> None:
    """As the terminal does it: a signal that the main thread wakes up from."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def test_ctrl_c_ends_the_queue_and_what_is_under_way(
    loopback: Any, pictures: Pictures, seconds: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.zoo.targets.http.load.GRACE", 0.1)

    def hangs(connection: Any, number: int) -> bytes | None:
        if number < 2:
            return answer(0)
        if number == 3:
            threading.Timer(0.05, ctrl_c).start()
        loopback.over.wait(5)
        return None

    loopback.reply = hangs
    model = load_model(loopback.mapped(concurrency=2, timeout=4))
    with pytest.raises(KeyboardInterrupt):
        model.logits(pictures(200))
    assert seconds() < 2
    assert paid(model) == (loopback.received, 2) == (4, 2)
    loopback.reply = lambda connection, number: answer(0)
    model.logits(pictures(3))
    assert paid(model) == (6, 4), "and the model can be asked again"


def test_an_answer_under_way_when_ctrl_c_comes_is_kept(loopback: Any, pictures: Pictures) -> None:
    def slow(connection: Any, number: int) -> bytes:
        if number == 2:
            ctrl_c()
            time.sleep(0.1)
        return answer(0)

    loopback.reply = slow
    model = load_model(loopback.mapped(concurrency=1))
    with pytest.raises(KeyboardInterrupt):
        model.logits(pictures(50))
    assert paid(model) == (3, 3)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-A": "one\ntwo"}, "the value of X-A holds a line break"),
        ({"X-A": "one\r\nX-B: two"}, "the value of X-A holds a line break"),
        ({"X-A": "gr\u00fcn"}, "the value of X-A holds letters that are not ASCII"),
        ({"X-A": "a\x00b"}, "the value of X-A holds a control character"),
        ({"X-A": " a"}, "the value of X-A holds a blank at its start or end"),
        ({"X A": "a"}, "'X A' is no name of a header"),
        ({"X-A\n": "a"}, "is no name of a header"),
        ({"": "a"}, "'' is no name of a header"),
        ({"Content-Length": "5"}, "Content-Length is set by the client itself"),
        ({"transfer-encoding": "chunked"}, "transfer-encoding is set by the client itself"),
        ({"Connection": "keep-alive"}, "Connection is set by the client itself"),
    ],
)
def test_headers_that_no_request_can_carry_are_refused_before_any(
    loopback: Any, headers: dict[str, str], expected: str
) -> None:
    with pytest.raises(InputError) as error:
        load_model(loopback.mapped(headers=headers))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_form_has_its_own_content_type(loopback: Any) -> None:
    kind = {"Content-Type": "application/json"}
    load_model(loopback.mapped(headers=kind))
    with pytest.raises(InputError, match="Content-Type is set by the client itself"):
        load_model(loopback.mapped(headers=kind, request={"format": "upload"}))


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/p", "http://127.0.0.1:x/p", "http://a b/p"])
def test_a_url_that_nothing_can_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="URL"):
        load_model(f"{url}#cache=false")


@pytest.mark.parametrize("size", [(1, 5, 5), (3, 4, 4), (1, 4, 5)])
def test_pictures_of_another_size_than_the_mapping_says_are_refused_unasked(
    loopback: Any, size: tuple[int, ...]
) -> None:
    with pytest.raises(InputError, match=r"takes pictures of \[1, 4, 4\]") as error:
        load_model(loopback.mapped()).logits(torch.rand(2, *size))
    assert str(list(size)) in str(error.value)
    assert loopback.received == 0
