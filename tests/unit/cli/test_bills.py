"""What was paid to a web service is said once at the end of each command, however it ends and whatever wraps it."""

from __future__ import annotations

import _thread
import base64
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import sparring as sp
from sparring.accounts import _WATCHING, enter, watched
from sparring.cli.bills import billed
from sparring.errors import TargetError

pytest.importorskip("httpx", reason="needs the extra http")

Run = Callable[..., tuple[int, str, str]]


class Digits:
    """A service that says scores of ten classes; `before` is called with the number of each request."""

    def __init__(self) -> None:
        self.received = 0
        self.before: Callable[[int], Any] = lambda number: None
        lock, service, net = threading.Lock(), self, sp.load_model("mnist-cnn")

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(said["image"]))), np.float32) / 255
                with lock:
                    number, service.received = service.received, service.received + 1
                scores = net(torch.from_numpy(pixels)[None, None]).softmax(1)[0].tolist()
                answer = service.before(number) or {"scores": scores}
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/p#cache=false,retries=0"


@pytest.fixture
def digits() -> Iterator[Digits]:
    one = Digits()
    yield one
    one.server.shutdown()
    one.server.server_close()


ATTACK = ("attack", "square:queries=40", "--norm", "Linf", "--eps", 0.1, "--n", 3)


def paid(err: str) -> list[int]:
    """The numbers of queries that stderr speaks of."""
    return [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) queries were sent", err)]


@pytest.mark.parametrize(
    "more",
    [(), ("--defense", "bits:4"), ("--defense", "jpeg:quality=75|bits:4"), ("--twin", "mnist-cnn"), ("--json", "x")],
)
def test_a_command_that_is_done(more: tuple[str, ...], digits: Digits, run: Run, tmp_path: Path) -> None:
    more = tuple(str(tmp_path / "r.json") if word == "x" else word for word in more)
    code, _, err = run(*ATTACK, "--model", digits.url, *more)
    assert code == 0, err
    assert paid(err) == [digits.received]


def test_a_quiet_command_that_is_done_says_nothing(digits: Digits, run: Run) -> None:
    code, _, err = run(*ATTACK, "--model", digits.url, "-q")
    assert (code, err) == (0, "")
    assert digits.received >= 3


@pytest.mark.parametrize("quiet", [(), ("-q",)])
@pytest.mark.parametrize("defense", [(), ("--defense", "jpeg:quality=75|bits:4")])
@pytest.mark.parametrize("command", [ATTACK, ("audit", "--suite", "quick", "--n", 3, "--eps", 0.3)])
def test_ctrl_c(
    command: tuple[object, ...], defense: tuple[str, ...], quiet: tuple[str, ...], digits: Digits, run: Run
) -> None:
    def stop(number: int) -> None:
        if number == 5:
            _thread.interrupt_main()

    digits.before = stop
    code, _, err = run(*command, "--model", digits.url, *defense, *quiet)
    assert code == 130, err
    assert "sparring: stopped" in err
    assert paid(err) == [digits.received]
    assert digits.received < 20


@pytest.mark.parametrize("command", [ATTACK, ("audit", "--suite", "quick", "--n", 3, "--eps", 0.3)])
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"scores": [float("nan")] * 10}, "NaN or Inf"),
        ({"scores": [9.0, -5.0] + [0.0] * 8}, "no probabilities"),
        ({"scores": [0.5]}, "gave 1 scores"),
        ({"error": "no"}, "answered without 'scores'"),
    ],
)
def test_answers_that_end_it(answer: Any, line: str, command: tuple[object, ...], digits: Digits, run: Run) -> None:
    digits.before = lambda number: answer if number >= 3 else None
    code, _, err = run(*command, "--model", digits.url)
    assert code == 2
    assert line in err
    assert paid(err) == [digits.received], "said once"


def test_a_model_that_was_not_asked_is_not_spoken_of(digits: Digits, run: Run) -> None:
    code, _, err = run(*ATTACK, "--model", digits.url, "--defense", "no-such-defense")
    assert code == 2
    assert paid(err) == []
    assert digits.received == 0


class Bill:
    used = True
    account = "7 queries were sent"

    def look_again(self) -> str | None:
        return "it answers as before"


def test_each_account_is_said_once_and_not_where_the_error_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> None:
        with billed():
            enter(Bill())
            raise TargetError("it fails; 7 queries were sent")

    with pytest.raises(TargetError):
        failing()
    assert capsys.readouterr().err == ""
    with billed():
        enter(Bill())
        enter(Bill())
    assert capsys.readouterr().err == "it answers as before\n7 queries were sent\n"


def test_a_run_that_ends_with_a_code_of_its_own_is_over_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, billed():  # noqa: PT012
        enter(Bill())
        raise typer.Exit(1)
    assert left.value.exit_code == 1
    assert capsys.readouterr().err == "it answers as before\n7 queries were sent\n"


def test_nobody_is_held_when_nobody_watches() -> None:
    with watched() as outer:
        with watched() as inner:
            enter(Bill())
        enter(Bill())
    assert (len(outer), len(inner)) == (2, 1)
    assert _WATCHING == []
