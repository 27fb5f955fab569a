"""Requests to a web service that may fail in every way: limits, patience, and an answer in JSON or one clear line."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sparring.errors import OutputError, TargetError
from sparring.zoo.extras import need
from sparring.zoo.targets.http.mapping import Mapping
from sparring.zoo.targets.http.secrets import Secrets

MOST_BYTES = 4 << 20
"of an answer"
LONGEST_WAIT = 60.0
"seconds that a service may ask us to wait before the next try"
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"status codes after which another try is worth it"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Stopped(TargetError):
    """Another request has failed, and nothing more is sent."""


class Client:
    """Sends pictures. Safe to use from several threads.

    Args:
        url: where to. name: what messages call it, without anything that a URL may hide. mapping: how.
        pay: called before each request is sent; raises TargetError when no more may be.
    """

    def __init__(self, url: str, name: str, mapping: Mapping, pay: Callable[[], None]) -> None:
        self._httpx = need("httpx", name, "http")
        self.url, self.name, self.mapping, self._pay = url, name, mapping, pay
        self.secrets = Secrets()
        headers = self.secrets.filled(mapping.headers)
        self._http = self._httpx.Client(
            headers={**headers, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sparring"},
            timeout=mapping.timeout,
            follow_redirects=False,  # credentials go to the host that was named, and to no other
            trust_env=urlsplit(url).hostname not in LOOPBACK,
        )
        self._pace = Pace(mapping.rate)
        self.stopped = threading.Event()

    def ask(self, content: dict[str, Any]) -> Any:
        """What the service says to one picture, as Python values. `content`: keywords of httpx's request.

        Raises:
            TargetError: it fails again and again, or in a way that trying again does not mend.
            OutputError: it answers, but not in JSON.
        """
        reason, tries = "", 0
        deadline = None
        for turn in range(self.mapping.retries + 1):
            if turn:
                self._wait(deadline if deadline is not None else self.mapping.backoff * 2 ** (turn - 1))
            self._pace.wait()
            if self.stopped.is_set():
                raise Stopped(self.name)
            self._pay()
            tries += 1
            deadline = None
            began = time.monotonic()
            try:
                with self._http.stream("POST", self.url, **content) as answer:
                    if answer.status_code == 200:
                        return self._json(self._body(answer, began))
                    reason = self._said(answer, began)
                    if answer.status_code not in AGAIN:
                        break
                    deadline = _seconds(answer.headers.get("Retry-After"))
            except self._httpx.TimeoutException:
                reason = f"did not answer within {self.mapping.timeout:g} s"
            except self._httpx.TransportError as error:
                reason = f"broke off: {self._clean(str(error) or type(error).__name__)}"
            except self._httpx.HTTPError as error:
                reason = f"failed: {self._clean(str(error) or type(error).__name__)}"
                break
        times = f", {tries} times in a row" if tries > 1 else ""
        raise TargetError(f"{self.name} {reason}{times}")

    def stop(self) -> None:
        """Send nothing more."""
        self.stopped.set()

    def close(self) -> None:
        self._http.close()

    def _wait(self, seconds: float) -> None:
        self.stopped.wait(min(seconds, LONGEST_WAIT))

    def _body(self, answer: Any, began: float) -> bytes:
        """The body, as long as it is not too long and does not take for ever."""
        if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise OutputError(f"{self.name} sent a compressed answer, though none was accepted")
        parts, size = [], 0
        for part in answer.iter_raw():
            size += len(part)
            if size > MOST_BYTES:
                raise OutputError(f"{self.name} sent more than {MOST_BYTES} bytes; scores of one picture are expected")
            if time.monotonic() - began > self.mapping.timeout:  # httpx limits each read, not their sum
                raise self._httpx.ReadTimeout("too slow")
            parts.append(part)
        return b"".join(parts)

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise OutputError(f"{self.name} answered, but not in JSON: {self._clean(body)}") from None

    def _said(self, answer: Any, began: float) -> str:
        """What a refusal says of itself, briefly."""
        try:
            text = self._clean(self._body(answer, began))
        except OutputError:
            text = ""
        return f"answered {answer.status_code}" + (f" ({text})" if text else "")

    def _clean(self, text: bytes | str) -> str:
        """A stranger's words on one line, printable, and without the credentials that they may repeat."""
        return self.secrets.line(text)


class Pace:
    """At most `rate` calls of `wait` return a second, by all threads together; None = no limit."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 0.0 if rate is None else 1 / rate
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; None where there is none, or a date."""
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
