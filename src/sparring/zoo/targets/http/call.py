"""One request under way, on a connection of its own: cut off at its deadline, or when nobody waits for it any more.

The limits of an HTTP library are for each read, so a service that drips its headers, or sends `100 Continue` or chunk
extensions for ever, never meets them. Here a clock runs from the first byte to the last. When it is up, the connection
is shut down from outside, whatever it is busy with.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Call:
    """A request, as a context. `trace` goes to the HTTP library and learns from it which socket is used.

    Attributes:
        late: it took longer than `seconds`. cut_off: it was ended from outside, for that reason or another; what has
            come since then is no answer.
    """

    def __init__(self, seconds: float) -> None:
        self.late = self.cut_off = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._clock = threading.Timer(seconds, self._expire)
        self._clock.daemon = True

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._clock.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore reports: of interest is each new connection. A second handle on it works from here, whatever
        becomes of the first; encryption takes that away."""
        if not event.endswith("connect_tcp.complete"):
            return
        found = info["return_value"].get_extra_info("socket")
        if isinstance(found, socket.socket):
            with self._lock:
                self._sockets.append(found.dup())
                if self.cut_off:
                    _shut(found)

    def cut(self) -> None:
        """End it now. Safe from any thread, at any moment."""
        with self._lock:
            self.cut_off = True
            for each in self._sockets:
                _shut(each)

    def _expire(self) -> None:
        self.late = True
        self.cut()


def _shut(one: socket.socket) -> None:
    """Wake whoever reads or writes there."""
    with suppress(OSError):  # the other side has gone
        one.shutdown(socket.SHUT_RDWR)
