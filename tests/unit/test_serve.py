"""The served model: what it answers to pictures in every form, and to what is none."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import sparring as sp
from sparring.errors import InputError
from sparring.serve.app import Desk, Refused
from sparring.serve.listen import class_count
from sparring.serve.pictures import from_file, from_form, from_json
from sparring.serve.settings import ServeSettings, shown_names
from sparring.zoo.targets.http.mapping import Mapping

NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
SIZE = (3, 2, 2)
LEVELS = torch.arange(12).view(*SIZE) * 20


def model(**options: object) -> sp.Model:
    return sp.wrap(NET, input_size=SIZE, **options)


def png(levels: Tensor = LEVELS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels.permute(1, 2, 0).numpy().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def body(image: object) -> bytes:
    return json.dumps({"image": image}).encode()


def test_a_picture_in_every_form_gives_the_same_pixels() -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nv2\r\n--b\r\nContent-Disposition: form-data; '
    form += b'name="image"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n' + png() + b"\r\n--b--\r\n"
    pixels = LEVELS[None] / 255
    for seen in (
        from_file(png(), SIZE),
        from_form(form, "multipart/form-data; boundary=b", SIZE),
        from_json(body(base64.b64encode(png()).decode()), SIZE),
        from_json(body((LEVELS.permute(1, 2, 0) / 255).tolist()), SIZE),
        from_json(body((LEVELS / 255).tolist()), SIZE),
    ):
        assert torch.allclose(seen, pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"{}", "is not a JSON object with"),
        (b"[" * 100_000, "is not a JSON object with"),
        (body("no base64!"), "is not base64"),
        (body(base64.b64encode(b"no picture").decode()), "the picture cannot be read"),
        (body([[["a"]]]), "neither base64 nor nested lists"),
        (body([[[2.0]]]), "from 0 to 1"),
        (body([[[0.5] * 3] * 3] * 3), "the picture is 3 x 3 x 3; expected 3 x 2 x 2"),
    ],
)
def test_what_is_no_picture(sent: bytes, line: str) -> None:
    with pytest.raises(InputError, match=line):
        from_json(sent, SIZE)


@pytest.mark.parametrize("more", ["", "; boundary=c", "; \xe9"])
def test_a_form_without_a_file(more: str) -> None:
    with pytest.raises(InputError, match="form"):
        from_form(b"--b\r\nnothing\r\n--b--", "multipart/form-data" + more, SIZE)


def test_answers() -> None:
    x, named = LEVELS[None] / 255, model(classes=["ant", "bee", "cat"])
    scores = NET(x).softmax(1)[0].tolist()
    best = ["ant", "bee", "cat"][int(torch.tensor(scores).argmax())]
    said = Desk(named, ServeSettings()).answer(x)
    assert said["label"] == best
    assert said["scores"] == pytest.approx(scores, abs=1e-5)
    assert Desk(named, ServeSettings(kind="labels")).answer(x) == {"label": best}
    top = Desk(named, ServeSettings(kind="topk", k=2)).answer(x)["predictions"]
    assert [one["score"] for one in top] == pytest.approx(sorted(scores, reverse=True)[:2], abs=1e-5)
    noisy = Desk(named, ServeSettings(noise=0.5))
    assert noisy.answer(x) != noisy.answer(x)


def test_admission_counts_and_refuses() -> None:
    desk = Desk(model(), ServeSettings(rate=1, most=1, failures=0))
    desk.admit()
    with pytest.raises(Refused, match="too many requests") as refusal:
        desk.admit()
    assert refusal.value.code == 429
    assert refusal.value.wait is not None
    assert 0 < refusal.value.wait <= 1
    failing = Desk(model(), ServeSettings(failures=1))
    with pytest.raises(Refused) as failure:
        failing.admit()
    assert failure.value.code == 500
    assert dict(desk.counts) == {"received": 2, "answered": 0, "failed": 0, "refused": 1}
    assert failing.counts["failed"] == 1


@pytest.mark.parametrize(
    "wrong", [{"kind": "guess"}, {"k": 0}, {"rate": 0}, {"latency": -1}, {"failures": 2}, {"noise": -1}, {"most": -1}]
)
def test_settings_that_do_not_fit(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r" is .*; expected "):
        ServeSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["scores", "topk", "labels"])
def test_the_mapping_for_clients_is_one_that_they_read(kind: str) -> None:
    settings = ServeSettings(kind=kind, noise=0.1)  # type: ignore[arg-type]
    mapping = Mapping(**settings.mapping(model(classes=["ant", "bee", "cat"]), 3))
    assert mapping.answer.kind == kind
    assert mapping.random
    assert mapping.input_size == SIZE


def test_classes_of_one_name_are_shown_by_number() -> None:
    assert shown_names(model(classes=["crane", "bee", "crane"]), 3) == ("0", "1", "2")
    assert class_count(model()) == 3
    with pytest.raises(InputError, match="says neither how many classes"):
        class_count(sp.wrap(NET))
