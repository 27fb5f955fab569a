"""Clients of the served model that hang up: one refusal in the count, no traceback, and the next one is served."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import torch

import sparring as sp
from sparring.serve.app import make_app
from sparring.serve.settings import ServeSettings

pytest.importorskip("fastapi", reason="needs the extra serve")

NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
BODY = json.dumps({"image": [[[0.5] * 3] * 2] * 2}).encode()


def app() -> Any:
    return make_app(sp.wrap(NET, input_size=(3, 2, 2)), ServeSettings(), {})


def call(service: Any, *received: dict[str, Any], length: bytes = b"") -> list[dict[str, Any]]:
    """What the service sends to one client who sends it these messages, and then hangs up."""
    sent: list[dict[str, Any]] = []
    turn = iter(received)

    async def receive() -> dict[str, Any]:
        return next(turn, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", length or str(len(BODY)).encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/predict",
        "raw_path": b"/predict", "query_string": b"", "headers": headers, "scheme": "http", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    asyncio.run(service(scope, receive, send))
    return sent


def part(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    "before", [(), (part(b"", True),), (part(BODY[:9], True),), (part(BODY[:9], True), part(BODY[9:30], True))]
)
def test_a_client_that_hangs_up_is_a_refusal_like_others(before: tuple[dict[str, Any], ...]) -> None:
    service = app()
    call(service, *before)
    assert dict(service.state.desk.counts) == {"received": 1, "answered": 0, "failed": 0, "refused": 1}
    sent = call(service, part(BODY, False))
    assert sent[0]["status"] == 200
    assert service.state.desk.counts["answered"] == 1


@pytest.mark.parametrize("length", [b"\xb2", b"-1", b"1e3", b"9" * 5000, b"0x1", b" "])
def test_a_length_that_is_none_is_refused(length: bytes) -> None:
    service = app()
    assert call(service, part(BODY, False), length=length)[0]["status"] == 411
    assert service.state.desk.counts["refused"] == 1
