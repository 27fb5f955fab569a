"""Requests to a web service that may fail in every way: limits, patience, and an answer in JSON or one clear line.

Each request has a connection of its own. A service that sends two answers to one request can therefore not shift the
answers after it, and none is lost on a connection that the service has just closed.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from sparring.errors import InputError, OutputError, TargetError
from sparring.zoo.extras import need
from sparring.zoo.targets.http.call import Call
from sparring.zoo.targets.http.headers import refuse_unsendable
from sparring.zoo.targets.http.mapping import Mapping
from sparring.zoo.targets.http.secrets import Secrets

MOST_BYTES = 4 << 20
"of an answer"
LONGEST_WAIT = 60.0
"seconds before the next try; a service that wants more is not asked again in this run"
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

    Raises:
        InputError: a URL or headers that no request can carry.
    """

    def __init__(self, url: str, name: str, mapping: Mapping, pay: Callable[[], None]) -> None:
        self._httpx = need("httpx", name, "http")
        self.url, self.name, self.mapping, self._pay = url, name, mapping, pay
        self.secrets = Secrets()
        self.headers = self.secrets.filled(mapping.headers)
        refuse_unsendable(self.headers, upload=mapping.request.format == "upload")
        own = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "sparring",
            "Connection": "close",
        }
        try:
            fits = urlsplit(url).port != 0 and not re.search(r"[\s%]", urlsplit(url).netloc)
            self._httpx.URL(url)
        except (ValueError, self._httpx.InvalidURL):
            fits = False
        if not fits:
            raise InputError(f"{name!r} is no URL that can be asked; write http://HOST:PORT/PATH or https://HOST/PATH")
        self._http = self._httpx.Client(
            headers={**self.headers, **own},
            timeout=mapping.timeout,
            limits=self._httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,  # credentials go to the host that was named, and to no other
            trust_env=urlsplit(url).hostname not in LOOPBACK,
        )
        self._pace = Pace(mapping.rate)
        self.stopped = threading.Event()
        self._under_way: set[Call] = set()
        self._lock = threading.Lock()

    def ask(self, content: dict[str, Any]) -> Any:
        """What the service says to one picture, as Python values. `content`: keywords of httpx's request.

        Raises:
            TargetError: it fails again and again, or in a way that trying again does not mend.
            OutputError: it answers, but not in JSON.
        """
        reason, tries = "", 0
        wait: float | None = None
        for turn in range(self.mapping.retries + 1):
            if turn:
                self.stopped.wait(min(self.mapping.backoff * 2 ** (turn - 1), LONGEST_WAIT) if wait is None else wait)
            self._pace.wait(self.stopped)
            if self.stopped.is_set():
                raise Stopped(self.name)
            self._pay()
            tries += 1
            try:
                code, body, wait = self._exchange(content)
            except _NoAnswer as failure:
                reason, wait = str(failure), None
                continue
            if code == 200:
                return self._json(body)
            text = self._clean(body)
            reason = f"answered {code}" + (f" ({text})" if text else "")
            if code not in AGAIN:
                break
            if wait is not None and wait > LONGEST_WAIT:
                reason += (
                    f" and wants no request for {wait:,.0f} s; at most {LONGEST_WAIT:g} s are waited: give the same "
                    "command again when it does"
                )
                break
        times = f", {tries} times in a row" if tries > 1 else ""
        raise TargetError(f"{self.name} {reason}{times}")

    def stop(self) -> None:
        """Send nothing more. Requests under way go on."""
        self.stopped.set()

    def cut(self) -> None:
        """End the requests under way, too."""
        with self._lock:
            under_way = list(self._under_way)
        for call in under_way:
            call.cut()

    def close(self) -> None:
        self._http.close()

    def _exchange(self, content: dict[str, Any]) -> tuple[int, bytes, float | None]:
        """One request: the status, the body, and the seconds before the next one, where the service says so.

        Raises:
            _NoAnswer: none came, or not all of it. Stopped: it was cut off. OutputError: too much, or compressed.
        """
        call = Call(self.mapping.timeout)
        with self._lock:
            self._under_way.add(call)
        try:
            with call, self._http.stream("POST", self.url, **content, extensions={"trace": call.trace}) as answer:
                try:
                    body = self._body(answer)
                except OutputError:
                    if answer.status_code == 200:
                        raise
                    body = b""  # a refusal is one, however it is put
                if not call.cut_off:  # else a body of no stated length would seem to end here
                    return answer.status_code, body, _seconds(answer.headers.get("Retry-After"))
            failure = "ended"
        except self._httpx.LocalProtocolError as error:
            raise TargetError(f"{self.name} cannot be asked: {self._clean(str(error))}") from None
        except self._httpx.TimeoutException:
            call.late, failure = True, ""
        except self._httpx.HTTPError as error:
            failure = self._clean(str(error) or type(error).__name__)
        finally:
            with self._lock:
                self._under_way.discard(call)
        if call.late:
            raise _NoAnswer(f"did not answer within {self.mapping.timeout:g} s")
        if call.cut_off:
            raise Stopped(self.name)
        raise _NoAnswer(f"broke off: {failure}")

    def _body(self, answer: Any) -> bytes:
        """The body, as long as it is not too long."""
        if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise OutputError(f"{self.name} sent a compressed answer, though none was accepted")
        parts, size = [], 0
        for part in answer.iter_raw():
            size += len(part)
            if size > MOST_BYTES:
                raise OutputError(f"{self.name} sent more than {MOST_BYTES} bytes; scores of one picture are expected")
            parts.append(part)
        return b"".join(parts)

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise OutputError(f"{self.name} answered, but not in JSON: {self._clean(body)}") from None

    def _clean(self, text: bytes | str) -> str:
        """A stranger's words on one line, printable, and without the credentials that they may repeat."""
        return self.secrets.line(text)


class _NoAnswer(Exception):
    """A request that was sent and brought nothing; another try may."""


class Pace:
    """At most `rate` calls of `wait` return a second, by all threads together; None = no limit."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 0.0 if rate is None else 1 / rate
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, stopped: threading.Event | None = None) -> None:
        """Wait for one's turn, or until `stopped`."""
        if not self._gap or (stopped is not None and stopped.is_set()):
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if stopped is None:
            time.sleep(turn - now)
        else:
            stopped.wait(turn - now)


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds from now, written as a number or a date; None where there is none to be understood."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            then = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if seconds != seconds else max(0.0, seconds)
