"""`http:URL` as a `Model`: pictures out, scores or classes back, each paid for once."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparring import accounts
from sparring.data.places import cache_folder
from sparring.errors import InputError, OutputError, TargetError
from sparring.model import Model
from sparring.zoo.options import Options
from sparring.zoo.targets.answers import Answers
from sparring.zoo.targets.black_box import BlackBox
from sparring.zoo.targets.http.client import Client, Stopped
from sparring.zoo.targets.http.ledger import Account, Ledger
from sparring.zoo.targets.http.mapping import Mapping, read_mapping
from sparring.zoo.targets.http.url import file_named, read_url

SAME = 1e-4
"how far two answers to one picture may be apart: services round, and compute in batches"


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


class Service:
    """Asks, pays, remembers. `ask` is what a `BlackBox` calls."""

    def __init__(self, url: str, name: str, mapping: Mapping, answers: Answers) -> None:
        self.name, self.mapping, self.answers = name, mapping, answers
        form = f"{url}\n{mapping.request.model_dump_json()}\n{mapping.answer.kind} {mapping.answer.path}"
        self._form = hashlib.sha256(form.encode()).digest()
        self.ledger = Ledger(self._place(urlsplit(url).hostname or "target"), mapping.random)
        self.client = Client(url, name, mapping, self._pay)
        self._other = self.client.secrets.filled(mapping.request.other, header=False)
        answers.shown = self.client.secrets.value
        self._checked = mapping.random or self.ledger.account.answered > 0

    def ask(self, x: Tensor) -> list[Any]:
        """What the service says of each picture [B, C, H, W], in the form that `answers` reads.

        Pictures that are alike are asked once, and none that was answered before.

        Raises:
            TargetError, OutputError: the service fails; with what was spent and is kept.
        """
        pictures = [self._picture(one) for one in x.numpy()]
        keys = [hashlib.sha256(self._form + str(one.shape).encode() + one.tobytes()).hexdigest() for one in pictures]
        said: dict[int, Any] = {}
        wanted: dict[tuple[str, int], list[int]] = {}
        for i, key in enumerate(keys):
            if not self.mapping.random and (key, 0) in wanted:  # twice in this very batch
                wanted[key, 0].append(i)
                continue
            draw, known = self.ledger.look(key)
            if known is None:
                wanted[key, draw] = [i]
            else:
                said[i] = known
        try:
            if wanted and not (self._checked and self.answers.classes):
                look = next(iter(wanted))
                places = wanted.pop(look)
                said.update(dict.fromkeys(places, self._first(*look, pictures[places[0]])))  # alone
            self._all(wanted, pictures, said)
        except (TargetError, OutputError) as error:
            self.client.stopped.clear()
            raise type(error)(f"{error}; {summary(self.ledger.account, self.ledger.place)}") from None
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
                raise
            finally:
                pool.shutdown(wait=True)
                self.client.stopped.clear()
        if failed is not None:
            raise failed

    def _one(self, key: str, draw: int, picture: NDArray[Any]) -> Any:
        """The answer to one picture, read once to see that it can be, and kept. After a failure nothing more is sent,
        but what is under way is still waited for."""
        try:
            return self._paid(key, draw, picture)
        except (TargetError, OutputError):
            self.client.stop()
            raise

    def _paid(self, key: str, draw: int, picture: NDArray[Any]) -> Any:
        body = self.client.ask(self._content(picture))
        try:
            found = self._found(body)
            read = self.answers.read([found], 1)
        except OutputError:
            self.ledger.keep(key, draw, None)
            raise
        whole = bool(read.isfinite().all())
        self.ledger.keep(key, draw, found if whole else None)  # a broken answer is worth another question
        return found

    def _first(self, key: str, draw: int, picture: NDArray[Any]) -> Any:
        """The very first picture, alone: it shows the number of classes. A new service is asked about it twice.

        Raises:
            OutputError: two answers to the same picture.
        """
        first = self._one(key, draw, picture)
        if self._checked:
            return first
        self._checked = True
        again = self._one(key, draw, picture)
        one, two = (self.answers.read([said], 1).float() for said in (first, again))
        apart = float((one - two).abs().max())
        if apart > SAME * max(1.0, float(one.abs().max())):
            how = "another class" if self.answers.kind == "labels" else f"scores that differ by up to {apart:.3g}"
            raise OutputError(
                f"{self.name} gave another answer for the same picture ({how}); if its answers are random, say so in "
                'the mapping ("random": true): then each look is asked and paid for'
            )
        return first

    def _picture(self, pixels: NDArray[np.float32]) -> NDArray[Any]:
        """What is sent of pixels [C, H, W] in [0, 1]: 8 bits, or the floats."""
        if self.mapping.request.encoding == "floats":
            return pixels
        if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
            raise InputError(f"{self.name} gets PNGs; pictures are [1 or 3, H, W], not {list(pixels.shape)}")
        return np.rint(pixels * 255).astype(np.uint8)

    def _content(self, picture: NDArray[Any]) -> dict[str, Any]:
        """Keywords of httpx's request for one picture."""
        request = self.mapping.request
        if request.encoding == "floats":
            pixels = picture if request.layout == "CHW" else picture.transpose(1, 2, 0)
            shown = pixels.tolist() if request.scale == 1 else (pixels.astype(np.float64) * 255).tolist()
            return {"json": {**self._other, request.field: shown}}
        image = png(picture)
        if request.format == "upload":
            form = {key: str(value) for key, value in self._other.items()}
            return {"files": {request.field: ("picture.png", image, "image/png")}, "data": form}
        return {"json": {**self._other, request.field: base64.b64encode(image).decode()}}

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


def png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [1 or 3, H, W] as the bytes of a PNG."""
    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def summary(account: Account, place: Path | None) -> str:
    """What was paid, in words."""
    lost = account.sent - account.answered
    text = f"{account.sent:,} queries were sent, {account.answered:,} were answered"
    text += f" and {lost:,} were not" if lost else ""
    text += f"; {account.reused:,} more were answered from the cache" if account.reused else ""
    return text + (f"; all answers are kept in {place}, so the same command pays for none again" if place else "")


def _classes(mapping: Mapping, wanted: int | None) -> tuple[int | None, Sequence[str] | None]:
    names = mapping.classes if isinstance(mapping.classes, list) else None
    count = len(names) if names is not None else mapping.classes if isinstance(mapping.classes, int) else None
    if wanted is not None and count not in (None, wanted):
        raise InputError(f"the mapping has {count} classes, not num_classes={wanted}")
    return count or wanted, names
