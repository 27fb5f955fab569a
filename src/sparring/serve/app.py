"""The web service itself: `POST /predict` with a picture, answered as the settings say. `GET /` describes it.

    POST /predict   {"image": "<base64 of a PNG>"}            or floats [H][W][C] from 0 to 1
                    a form with the file "image", or the picture itself as the body (Content-Type: image/...)
    scores          {"label": "7", "scores": [0.01, ...]}      probabilities, one a class
    topk            {"predictions": [{"label": "7", "score": 0.93}, ...]}
    labels          {"label": "7"}
    GET /stats      {"received": 12, "answered": 10, "failed": 1, "refused": 1}

A refused request is answered {"error": "..."}: 400 = no picture that the model takes, 403 = the ceiling is reached,
413 = too large, 429 = too fast, with Retry-After; 500 = a failure that was asked for.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from sparring.errors import InputError, ShapeError
from sparring.model import Model
from sparring.serve.pictures import MOST_BYTES, from_file, from_form, from_json
from sparring.serve.settings import ServeSettings, shown_names
from sparring.zoo.extras import need


class Refused(Exception):
    """A request that gets no answer. code: of HTTP. wait: seconds after which to try again."""

    def __init__(self, code: int, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.code, self.wait = code, wait


class Desk:
    """Answers pictures, counts, and is as slow and unreliable as its settings say. Safe in several threads."""

    def __init__(self, model: Model, settings: ServeSettings) -> None:
        self.model, self.settings = model, settings
        self.counts: Counter[str] = Counter(received=0, answered=0, failed=0, refused=0)
        self._lock = threading.Lock()
        self._dice = random.Random(settings.seed)
        self._noise = torch.Generator().manual_seed(settings.seed)
        self._next = 0.0

    def admit(self) -> None:
        """Count a request, and refuse it where the settings say so."""
        settings = self.settings
        with self._lock:
            self.counts["received"] += 1
            now = time.monotonic()
            if settings.rate is not None and now < self._next:
                raise self._refuse(429, "too many requests", self._next - now)
            if settings.most is not None and self.counts["answered"] >= settings.most:
                raise self._refuse(403, f"all {settings.most} queries are used up")
            if settings.rate is not None:
                self._next = max(now, self._next) + 1 / settings.rate
            if self._dice.random() < settings.failures:
                self.counts["failed"] += 1
                raise Refused(500, "a failure, as was asked for")

    def answer(self, x: Tensor) -> dict[str, Any]:
        """What the service says of one picture [1, C, H, W]."""
        model, settings = self.model, self.settings
        with self._lock, model.guard(), torch.no_grad():
            try:
                logits = model.logits(model.accept(x))[0].double().cpu()
            except (ShapeError, InputError) as error:
                raise self._refuse(400, str(error)) from error
            if settings.noise:
                logits = logits + settings.noise * torch.randn(len(logits), generator=self._noise, dtype=torch.float64)
            self.counts["answered"] += 1
        scores = logits.softmax(0)
        names = shown_names(model, len(scores))
        best = scores.argsort(descending=True, stable=True)
        if settings.kind == "labels":
            return {"label": names[int(best[0])]}
        if settings.kind == "topk":
            shown = best[: settings.k].tolist()
            return {"predictions": [{"label": names[i], "score": float(scores[i])} for i in shown]}
        return {"label": names[int(best[0])], "scores": scores.tolist()}

    def refuse(self, code: int, text: str) -> Refused:
        """A request that was admitted, and is no good."""
        with self._lock:
            return self._refuse(code, text)

    def _refuse(self, code: int, text: str, wait: float | None = None) -> Refused:
        self.counts["refused"] += 1
        return Refused(code, text, wait)


def make_app(model: Model, settings: ServeSettings, mapping: dict[str, Any]) -> Any:
    """The FastAPI application around `model`. `mapping`: what `GET /` tells clients.

    Raises:
        MissingExtra: FastAPI is not installed.
    """
    fastapi = need("fastapi", "sparring serve", "serve")
    responses = need("fastapi.responses", "sparring serve", "serve")
    gone = need("starlette.requests", "sparring serve", "serve").ClientDisconnect
    desk = Desk(model, settings)
    app = fastapi.FastAPI(title="sparring serve", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk

    async def describe(request: Any) -> Any:
        return responses.JSONResponse({"model": model.name, "predict": "/predict", "mapping": mapping})

    async def stats(request: Any) -> Any:
        return responses.JSONResponse(dict(desk.counts))

    async def predict(request: Any) -> Any:
        try:
            desk.admit()
            if settings.latency:
                await asyncio.sleep(settings.latency)
            try:
                x = await _picture(request, desk)
            except gone:  # nobody reads the refusal, but it counts
                raise desk.refuse(400, "the client hung up in the middle of the picture") from None
            said = await asyncio.get_running_loop().run_in_executor(None, desk.answer, x)
        except Refused as refusal:
            headers = {} if refusal.wait is None else {"Retry-After": f"{refusal.wait:.3f}"}
            return responses.JSONResponse({"error": str(refusal)}, refusal.code, headers)
        return responses.JSONResponse(said)

    app.add_route("/", describe, methods=["GET"])
    app.add_route("/stats", stats, methods=["GET"])
    app.add_route("/predict", predict, methods=["POST"])
    return app


async def _picture(request: Any, desk: Desk) -> Tensor:
    """The picture in a request, [1, C, H, W]."""
    wanted = desk.model.input_size
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise desk.refuse(411, "say how long the request is: Content-Length")
    if int(length) > MOST_BYTES:
        raise desk.refuse(413, f"at most {MOST_BYTES} bytes")
    try:
        body = await request.body()
        if kind == "multipart/form-data":
            return from_form(body, request.headers["content-type"], wanted)
        return from_file(body, wanted) if kind.startswith("image/") else from_json(body, wanted)
    except InputError as error:
        raise desk.refuse(400, str(error)) from error
