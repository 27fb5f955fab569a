"""`http:URL` as a `Model`: pictures out, scores or classes back, each paid for once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from numpy.typing import NDArray
from torch import Tensor

from sparring import accounts
from sparring.data.places import cache_folder
from sparring.errors import InputError, OutputError, TargetError
from sparring.model import Model
from sparring.zoo.options import Options
from sparring.zoo.targets.answers import Answers
from sparring.zoo.targets.black_box import BlackBox
from sparring.zoo.targets.http.client import LONGEST_WAIT, Client, Stopped
from sparring.zoo.targets.http.ledger import Account, Ledger
from sparring.zoo.targets.http.mapping import Mapping, read_mapping
from sparring.zoo.targets.http.pictures import content, identity, shown
from sparring.zoo.targets.http.steady import Steadiness
from sparring.zoo.targets.http.url import file_named, read_url

LOOK = 0.02
"seconds between looks whether another process has its answer"
GRACE = 2.0
"seconds that Ctrl-C leaves to requests under way, which are paid for"


def load_http(rest: str, options: Options, scheme: str = "http") -> Model:
    """The service at `http:URL`, `http://...` or `https://...`.

    Behind a # stand settings that are not sent: `#mapping=FILE,rate=5,max_queries=2000` (see `mapping.IN_SPEC`).

    Raises:
        MissingExtra: httpx is not installed. InputError: a URL or mapping that does not fit.
    """
    spec = rest if rest.startswith(("http://", "https://")) else f"{scheme}:{rest}"
    options.refuse_weights(f"{scheme}:")
    if options.mean is not None or options.std is not None:
        raise InputError("a web service gets pictures as they are, and normalises them itself; drop --mean and --std")
    url, name, settings = read_url(spec)
    path = settings.pop("mapping", None)
    mapping = read_mapping(None if path is None else file_named(path, "mapping"), settings)
    count, names = _classes(mapping, options.num_classes)
    service = Service(url, name, mapping, Answers(mapping.answer.kind, count, names))
    return Remote(service)


class Remote(BlackBox):
    """The service as a `Model`. `service`: what is asked and paid for."""

    def __init__(self, service: Service) -> None:
        mapping = service.mapping
        super().__init__(
            service.ask,
            service.answers,
            outputs=mapping.answer.outputs,
            name=service.name,
            input_size=mapping.input_size,
        )
        self.service = service
        self._before = service.ledger.account.sent
        accounts.enter(self)

    @property
    def account(self) -> str:
        """What was paid so far, in words."""
        return summary(self.service.ledger.account, self.service.ledger.place)

    @property
    def used(self) -> bool:
        """Was anything asked since it was loaded, by any process that shares the cache?"""
        account = self.service.ledger.account
        return account.sent > self._before or account.reused > 0

    def look_again(self) -> str | None:
        """At the end of a run: whether the service still answers a few pictures as it did, which is paid for."""
        return self.service.look_again()

    @property
    def alone(self) -> bool:
        """Do other processes that load the same model know nothing of what this one pays?"""
        return self.service.ledger.place is None


class Service:
    """Asks, pays, remembers. `ask` is what a `BlackBox` calls."""

    def __init__(self, url: str, name: str, mapping: Mapping, answers: Answers) -> None:
        self.name, self.mapping, self.answers = name, mapping, answers
        self.client = Client(url, name, mapping, self._pay)
        self._other = self.client.secrets.filled(mapping.request.other, header=False)
        answers.shown = self.client.secrets.value
        self._form = identity(url, mapping, self.client.headers, self._other)
        self.ledger = Ledger(self._place(urlsplit(url).hostname or "target"), mapping.random)
        self.steady = Steadiness(name, self._form.hex(), self.ledger, answers, self._anew, mapping.random)
        self._sent = False

    def ask(self, x: Tensor) -> list[Any]:
        """What the service says of each picture [B, C, H, W], in the form that `answers` reads.

        Pictures that are alike are asked once, and none that was answered before.

        Raises:
            TargetError, OutputError: the service fails; with what was spent and is kept.
        """
        try:
            return self._ask(x)
        except (TargetError, OutputError) as error:
            self.client.stopped.clear()
            raise type(error)(f"{error}; {summary(self.ledger.account, self.ledger.place)}") from None

    def look_again(self) -> str | None:
        """At the end of a run: does it still answer as it did? In words; None = nothing was asked in this run."""
        new = self.steady.look_again() if self._sent else None
        self._sent = False
        return new or self.steady.earlier()

    def _ask(self, x: Tensor) -> list[Any]:
        size = self.mapping.input_size
        if size is not None and tuple(x.shape[1:]) != size:
            raise InputError(f"{self.name} takes pictures of {list(size)} (input_size), not of {list(x.shape[1:])}")
        pictures = [shown(one, self.mapping.request, self.name) for one in x.numpy()]
        self.steady.settle()
        keys = [hashlib.sha256(self._form + str(one.shape).encode() + one.tobytes()).hexdigest() for one in pictures]
        said: dict[int, Any] = {}
        wanted: dict[tuple[str, int], list[int]] = {}
        for i, key in enumerate(keys):
            if not self.mapping.random and (key, 0) in wanted:  # twice in this very batch
                wanted[key, 0].append(i)
                continue
            self.steady.note(key, pictures[i])
            draw, known = self.ledger.look(key)
            if known is None:
                wanted[key, draw] = [i]
            else:
                said[i] = known
        if wanted and not (self.steady.known and self.answers.classes):
            look = next(iter(wanted))
            places = wanted.pop(look)
            said.update(dict.fromkeys(places, self._one(*look, pictures[places[0]])))  # alone: it shows the classes
        if not self.steady.known and said:
            place = next(iter(said))
            self.steady.check(pictures[place], said[place])
        self._all(wanted, pictures, said)
        return [said[i] for i in range(len(pictures))]

    def _all(self, wanted: dict[tuple[str, int], list[int]], pictures: list[Any], said: dict[int, Any]) -> None:
        """Ask about the pictures `wanted`, several at once; what is answered is kept even where others fail."""
        failed: Exception | None = None
        with ThreadPoolExecutor(min(self.mapping.concurrency, len(wanted) or 1)) as pool:
            jobs = {
                pool.submit(self._one, key, draw, pictures[places[0]]): places for (key, draw), places in wanted.items()
            }
            try:
                for job in as_completed(jobs):
                    try:
                        said.update(dict.fromkeys(jobs[job], job.result()))
                    except Stopped:
                        continue
                    except (TargetError, OutputError) as error:
                        failed = failed or error
            except BaseException:
                self.client.stop()
                wait(jobs, GRACE)
                raise
            finally:
                self.client.cut()  # nothing is left, unless the user is in a hurry
                pool.shutdown(wait=True)
                self.client.stopped.clear()
        if failed is not None:
            raise failed

    def _one(self, key: str, draw: int, picture: NDArray[Any]) -> Any:
        """The answer to one picture, read once to see that it can be, and kept. After a failure nothing more is sent,
        but what is under way is still waited for."""
        if self.client.stopped.is_set():
            raise Stopped(self.name)
        try:
            return self._paid(key, draw, picture)
        except (TargetError, OutputError):
            self.client.stop()
            raise

    def _paid(self, key: str, draw: int, picture: NDArray[Any]) -> Any:
        while True:
            mine, known = self.ledger.claim(key, draw, self._longest)
            if known is not None:
                return known
            if mine:
                break
            if self.client.stopped.wait(LOOK):  # another process asks about this very picture
                raise Stopped(self.name)
        try:
            return self._anew(picture, (key, draw))
        except BaseException:
            with suppress(TargetError):
                self.ledger.release(key, draw)
            raise

    @property
    def _longest(self) -> float:
        """Seconds that one picture may take, with all its tries."""
        mapping = self.mapping
        pace = 0.0 if mapping.rate is None else mapping.concurrency / mapping.rate
        return (mapping.retries + 1) * (mapping.timeout + LONGEST_WAIT + pace)

    def _anew(self, picture: NDArray[Any], look: tuple[str, int] | None = None) -> Any:
        """Ask about a picture and pay. `look`: keep the answer as this one."""
        key, draw = look or ("", 0)
        self._sent = True
        body = self.client.ask(content(picture, self.mapping.request, self._other))
        try:
            found = self._found(body)
            read = self.answers.read([found], 1)
        except OutputError:
            self.ledger.keep(key, draw, None)
            raise
        whole = look is not None and bool(read.isfinite().all())
        self.ledger.keep(key, draw, found if whole else None)  # a broken answer is worth another question
        return found

    def _found(self, body: Any) -> Any:
        """The answer inside the JSON, where the mapping says that it is."""
        answer, value = self.mapping.answer, body
        for step in filter(None, answer.path.split(".")):
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError):
                raise OutputError(
                    f"{self.name} answered without {answer.path!r}: {self._outline(body)}; say where the answer is in "
                    "the mapping (answer.path)"
                ) from None
        if answer.kind != "topk" or not isinstance(value, list):
            return value
        try:
            return [[one[answer.label], one[answer.score]] if isinstance(one, dict) else one for one in value]
        except KeyError as error:
            raise OutputError(
                f"{self.name} gave an entry without {error}; say the keys in the mapping (answer.label, answer.score)"
            ) from None

    def _outline(self, body: Any) -> str:
        """What a JSON answer looks like from outside."""
        if not isinstance(body, dict):
            return f"a {type(body).__name__}"
        keys = (self.client.secrets.line(str(key), 30) for key in list(body)[:8])
        return f"an object with {', '.join(keys) or 'nothing in it'}"

    def _pay(self) -> None:
        if not self.ledger.pay(self.mapping.max_queries):
            raise TargetError(f"{self.name}: the ceiling of max_queries={self.mapping.max_queries} queries is reached")

    def _place(self, host: str) -> Path | None:
        chosen = self.mapping.cache
        if isinstance(chosen, str):
            return file_named(chosen, "cache")
        return cache_folder("answers") / f"{host}-{self._form.hex()[:12]}.sqlite" if chosen else None


def summary(account: Account, place: Path | None) -> str:
    """What was paid, in words."""
    lost = account.sent - account.answered
    text = f"{account.sent:,} queries were sent, {account.answered:,} were answered"
    text += f" and {lost:,} were not" if lost else ""
    if account.unsaved:
        text += f", of which the cache could not take {account.unsaved:,}"
    text += f"; {account.reused:,} more were answered from the cache" if account.reused else ""
    return text + (f"; all answers are kept in {place}, so the same command pays for none again" if place else "")


def _classes(mapping: Mapping, wanted: int | None) -> tuple[int | None, Sequence[str] | None]:
    names = mapping.classes if isinstance(mapping.classes, list) else None
    count = len(names) if names is not None else mapping.classes if isinstance(mapping.classes, int) else None
    if wanted is not None and count not in (None, wanted):
        raise InputError(f"the mapping has {count} classes, not num_classes={wanted}")
    return count or wanted, names
