"""A web service on loopback that answers with whatever bytes a test wants, and the mapping for it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

Reply = Callable[[socket.socket, int], bytes | None]
"""Gets the connection and the number of the request, from 0: writes there itself, or gives the bytes to be sent."""


def whole(scores: list[float]) -> bytes:
    """An answer as it should be."""
    body = json.dumps({"scores": scores}).encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Loopback:
    """A service with a `reply` to each request. Keeps connections open as long as clients do.

    Attributes:
        received: requests that came in whole. bodies: of them.
    """

    def __init__(self, folder: Path) -> None:
        self.reply: Reply = lambda connection, number: whole([0.5, 0.3, 0.2])
        self.folder = folder
        self.received = 0
        self.bodies: list[bytes] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/predict"
        threading.Thread(target=self._accept, daemon=True).start()

    def mapped(self, **values: Any) -> str:
        """The URL with a mapping file of this name and content behind it."""
        path = self.folder / f"{values.pop('file', 'mapping')}.json"
        path.write_text(json.dumps({"backoff": 0, "classes": 3, "input_size": [1, 4, 4], **values}))
        return f"{self.url}#mapping={path}"

    def drip(self, connection: socket.socket, start: bytes, again: bytes) -> None:
        """Send `start`, then `again` and again until the client hangs up or the test is over."""
        with suppress(OSError):
            connection.sendall(start)
            while not self.over.wait(0.01):
                connection.sendall(again)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as stream:
            while stream.readline():
                length = 0
                while (line := stream.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = stream.read(length)
                with self._lock:
                    number, self.received = self.received, self.received + 1
                    self.bodies.append(body)
                said = self.reply(connection, number)
                if said is not None:
                    connection.sendall(said)

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    one = Loopback(tmp_path)
    yield one
    one.close()


@pytest.fixture
def pictures() -> Callable[[int], Tensor]:
    """Pictures that differ."""
    return lambda n: torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(1)) / 255


@pytest.fixture
def seconds() -> Callable[[], float]:
    """The time since the test began."""
    began = time.monotonic()
    return lambda: time.monotonic() - began
