"""`http:` models against a server that misbehaves in every way: one clear line, every query counted, nothing lost."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import sparring as sp
from sparring.errors import InputError, OutputError, TargetError
from sparring.zoo.loaders import load_model
from sparring.zoo.targets.http.client import Pace
from sparring.zoo.targets.http.ledger import Ledger

pytest.importorskip("httpx", reason="needs the extra http")

WEIGHTS = torch.randn(3, 16, generator=torch.Generator().manual_seed(3))
Reply = Callable[["Service", BaseHTTPRequestHandler, Tensor], Any]


def truth(pixels: Tensor) -> list[float]:
    """What an honest service says of [16] pixels."""
    return (WEIGHTS @ (pixels - 0.5)).softmax(0).tolist()


class Service:
    """A web service with a reply for each request, in turn; the last one stays."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [honest]
        self.received = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with service.lock:
                    reply = service.replies.pop(0) if len(service.replies) > 1 else service.replies[0]
                    service.received += 1
                    service.headers.append(dict(self.headers))
                said = reply(service, self, service.picture(body))
                if said is not None:
                    status, content = said if isinstance(said, tuple) else (200, said)
                    data = content if isinstance(content, bytes) else json.dumps(content).encode()
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/predict"

    def picture(self, body: bytes) -> Tensor:
        if not body.startswith(b"{"):  # a form
            start = body.index(b"\x89PNG")
            return pixels_of(body[start:])
        said = json.loads(body)
        self.bodies.append(said)
        image = said["image"]
        return pixels_of(base64.b64decode(image)) if isinstance(image, str) else torch.tensor(image).flatten()


def pixels_of(png: bytes) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(io.BytesIO(png))).astype(np.float32)).flatten() / 255


def honest(service: Service, handler: Any, pixels: Tensor) -> Any:
    return {"scores": truth(pixels)}


def status(code: int, text: str = "down") -> Reply:
    return lambda service, handler, pixels: (code, {"error": text})


def says(content: Any) -> Reply:
    return lambda service, handler, pixels: content


def hangs_up(service: Service, handler: Any, pixels: Tensor) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    handler.wfile.flush()
    handler.connection.shutdown(2)
    handler.close_connection = True


def sleeps(service: Service, handler: Any, pixels: Tensor) -> Any:
    time.sleep(0.5)
    return honest(service, handler, pixels)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    one = Service()
    yield one
    one.server.shutdown()
    one.server.server_close()


def mapped(folder: Path, **values: Any) -> str:
    """A mapping file in `folder`, as the fragment of a URL."""
    path = folder / "mapping.json"
    path.write_text(json.dumps({"backoff": 0, "classes": 3, "input_size": [1, 4, 4], **values}))
    return f"#mapping={path}"


def images(n: int = 5) -> Tensor:
    return torch.randint(0, 256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(1)) / 255


def test_scores_come_back_and_each_picture_is_paid_for_once(service: Service) -> None:
    model = load_model(service.url)
    assert (model.access, model.name) == ("score", service.url)
    x = images()
    said = model.logits(torch.cat([x, x[:2]]))
    assert torch.allclose(said[:5].exp(), torch.tensor([truth(one.flatten()) for one in x]), atol=1e-4)
    assert torch.equal(said[5:], said[:2])
    assert service.received == 5 + 1, "the first picture is asked about twice, the others once"
    again = load_model(service.url)  # another process
    assert torch.equal(again.logits(x), said[:5])
    assert service.received == 6


def test_the_floats_themselves_can_be_sent(service: Service, tmp_path: Path) -> None:
    request = {"encoding": "floats", "layout": "CHW", "other": {"model": "v2"}}
    model = load_model(service.url + mapped(tmp_path, request=request))
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model.logits(x).exp(), torch.tensor([truth(one.flatten()) for one in x]), atol=1e-6)
    assert service.bodies[0]["model"] == "v2"


def test_an_upload_with_top_k_entries(service: Service, tmp_path: Path) -> None:
    def best(service: Service, handler: Any, pixels: Tensor) -> Any:
        scores = torch.tensor(truth(pixels))
        top = scores.topk(2)
        names = ["ant", "bee", "cat"]
        return {"out": [{"n": names[i], "p": float(p)} for p, i in zip(top.values, top.indices.tolist(), strict=True)]}

    service.replies = [best]
    answer = {"kind": "topk", "path": "out", "label": "n", "score": "p"}
    fragment = mapped(tmp_path, request={"format": "upload"}, answer=answer, classes=["ant", "bee", "cat"])
    model = load_model(service.url + fragment)
    x = images()
    expected = torch.tensor([truth(one.flatten()) for one in x])
    assert model.classes == ("ant", "bee", "cat")
    assert torch.equal(model.labels(x), expected.argmax(1))
    assert torch.allclose(model.logits(x).exp().amax(1), expected.amax(1), atol=1e-4)


@pytest.mark.long
def test_an_attack_counts_what_the_service_counts(service: Service, tmp_path: Path) -> None:
    model = load_model(service.url + mapped(tmp_path, random=True))  # each look is asked anew
    x = images()
    y = torch.tensor([truth(one.flatten()) for one in x]).argmax(1)
    result = sp.attack("square:queries=30")(model, x, y, ("Linf", 0.1))
    assert service.received == int(result.queries.sum())


def ask(service: Service, fragment: str) -> tuple[str, Any]:
    """The error that the service brings about, and the model."""
    model: Any = load_model(service.url + fragment)
    with pytest.raises((TargetError, OutputError)) as error:
        model.logits(images())
    assert "\n" not in str(error.value)
    assert f"{service.received:,} queries were sent" in str(error.value)
    assert model.service.ledger.account.sent == service.received
    return str(error.value), model


def test_500_again_and_again(service: Service, tmp_path: Path) -> None:
    service.replies = [honest, honest, honest, status(500)]
    line, model = ask(service, mapped(tmp_path, retries=2, concurrency=1))
    assert "answered 500" in line
    assert "3 times in a row" in line
    assert model.service.ledger.account.answered == 3
    service.replies = [honest]
    before = service.received
    model.logits(images())
    assert service.received == before + 3, "the two pictures that were answered are not paid for again"


def test_a_few_failures_are_overcome(service: Service, tmp_path: Path) -> None:
    service.replies = [status(503), hangs_up, honest, status(429), honest]
    model: Any = load_model(service.url + mapped(tmp_path))
    model.logits(images())
    assert model.service.ledger.account.sent == service.received
    assert service.received - model.service.ledger.account.answered == 3


def test_404_is_not_tried_again(service: Service, tmp_path: Path) -> None:
    service.replies = [status(404, "no such path")]
    assert "answered 404" in ask(service, mapped(tmp_path))[0]
    assert service.received == 1


def test_time_out(service: Service, tmp_path: Path) -> None:
    service.replies = [honest, honest, sleeps]
    line, _ = ask(service, mapped(tmp_path, timeout=0.1, retries=1, concurrency=1))
    assert "did not answer within 0.1 s, 2 times in a row" in line
    assert "2 were answered and 2 were not" in line


def test_hanging_up_in_the_middle(service: Service, tmp_path: Path) -> None:
    service.replies = [honest, honest, hangs_up]
    line, _ = ask(service, mapped(tmp_path, retries=1))
    assert "broke off" in line


def test_nobody_listens(service: Service, tmp_path: Path) -> None:
    service.server.shutdown()
    service.server.server_close()
    with pytest.raises(TargetError, match=r"broke off: .*2 times in a row; 2 queries were sent, 0 were answered"):
        load_model(service.url + mapped(tmp_path, retries=1)).logits(images())


def test_another_answer_for_the_same_picture(service: Service, tmp_path: Path) -> None:
    service.replies = [says({"scores": [0.5, 0.3, 0.2]}), says({"scores": [0.4, 0.4, 0.2]})]
    line, _ = ask(service, mapped(tmp_path))
    assert "another answer for the same picture (scores that differ by up to 0.1)" in line


def test_a_random_service_is_asked_anew_and_resumes_look_by_look(service: Service, tmp_path: Path) -> None:
    service.replies = [says({"scores": [0.1 * k, 0.5, 0.5 - 0.1 * k]}) for k in range(6)]
    fragment = mapped(tmp_path, random=True, concurrency=1)
    model = load_model(service.url + fragment)
    looks = [model.logits(images(1)) for _ in range(4)]
    assert not torch.equal(looks[0], looks[1])
    again = load_model(service.url + fragment)
    assert all(torch.equal(again.logits(images(1)), look) for look in looks)
    assert service.received == 4
    again.logits(images(1))
    assert service.received == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"scores": [0.5, 0.5]}, "gave 2 scores an image; expected 3"),
        ({"classes": [1]}, "answered without 'scores': an object with classes"),
        (b"<html>sorry</html>", "not in JSON: <html>sorry</html>"),
        (b"[" * 200_000, "not in JSON"),
        ({"scores": "high"}, "expected numbers"),
        ([], "answered without 'scores': a list"),
        (b" " * (5 << 20), "sent more than 4194304 bytes"),
    ],
)
def test_answers_that_are_none(service: Service, tmp_path: Path, content: Any, expected: str) -> None:
    service.replies = [honest, honest, says(content)]
    line, _ = ask(service, mapped(tmp_path, concurrency=1))
    assert expected in line


def test_nan_is_refused_on_clean_pictures_and_asked_about_again(service: Service, tmp_path: Path) -> None:
    service.replies = [honest, honest, says(b'{"scores": [NaN, 0.1, 0.2]}'), honest]
    model = load_model(service.url + mapped(tmp_path, concurrency=1))
    x, y = images(), torch.zeros(5, dtype=torch.int64)
    with pytest.raises(OutputError, match="gave NaN or Inf for 1 of 5 clean images"):
        sp.attack("square:queries=2")(model, x, y, ("Linf", 0.1))
    assert bool(model.logits(x).isfinite().all())
    assert service.received == 5 + 1 + 1


def test_the_ceiling_is_never_passed(service: Service, tmp_path: Path) -> None:
    model = load_model(service.url + mapped(tmp_path, max_queries=4))
    with pytest.raises(TargetError, match="ceiling of max_queries=4 queries is reached; 4 queries were sent"):
        model.logits(images())
    assert service.received == 4
    with pytest.raises(TargetError, match="ceiling"):
        load_model(f"{service.url}{mapped(tmp_path, max_queries=4)}").logits(images(9))
    assert service.received == 4


def test_redirects_are_not_followed(service: Service, tmp_path: Path) -> None:
    service.replies = [status(307)]
    assert "answered 307" in ask(service, mapped(tmp_path))[0]


def test_credentials_come_from_the_environment_and_are_never_printed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragment = mapped(tmp_path, headers={"Authorization": "Bearer ${OUR_TOKEN}"})
    with pytest.raises(InputError, match="environment variable OUR_TOKEN"):
        load_model(service.url + fragment)
    monkeypatch.setenv("OUR_TOKEN", "hunter2")
    service.replies = [status(403, "hunter2 is not allowed")]
    line, model = ask(service, fragment)
    assert service.headers[0]["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in line
    assert "*** is not allowed" in line
    assert "hunter2" not in repr(model) + model.name + model.account


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("http://me:pass@h/p", "carries a password"),
        ("https://h/p?api_key=abc", "carries api_key="),
        ("https://h/p?X-Amz-Signature=abc", "carries X-Amz-Signature="),
        ("http:", "names nothing after http:"),
        ("http:///p", "is no URL"),
        ("http://h/p#speed=5", "speed= behind the # of a URL is not known"),
        ("http://h/p#rate=0", "rate: Input should be greater than 0"),
        ("http://h/p#mapping=gone.json", "the mapping file gone.json cannot be read"),
    ],
)
def test_specs_that_do_not_fit(spec: str, expected: str) -> None:
    with pytest.raises(InputError) as error:
        load_model(spec)
    assert expected in str(error.value)
    assert "abc" not in str(error.value)
    assert "pass@" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"answer": {"kind": "guess"}}', "answer.kind: Input should be 'scores', 'labels' or 'topk'"),
        ('{"answers": {}}', "answers: Extra inputs are not permitted"),
        ('{"headers": {"X-Api-Key": "abc"}}', "X-Api-Key is a credential; name the environment variable"),
        ('{"request": {"format": "upload", "encoding": "floats"}}', "floats go into JSON only"),
        ('{"answer": {"kind": "labels", "path": "x"}}', "do not show how many classes there are"),
        ("[1]", "holds no mapping"),
        ("{", "is neither JSON nor YAML"),
        ("a: &x [1]\nb: *x", "uses YAML aliases"),
    ],
)
def test_mapping_files_that_do_not_fit(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_model(f"http://127.0.0.1:9/p#mapping={path},cache=false")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_may_stand_in_the_query_or_behind_the_hash(service: Service, tmp_path: Path) -> None:
    path = mapped(tmp_path).partition("=")[2]
    model: Any = load_model(f"{service.url}?v=2&mapping={path}#rate=50,max_queries=9,cache=false")
    assert model.service.mapping.rate == 50
    assert model.service.ledger.place is None
    assert model.service.client.url.endswith("/predict?v=2")
    assert model.name == service.url


def test_the_pace_is_kept_by_all_threads_together() -> None:
    pace, began = Pace(100), time.monotonic()
    threads = [threading.Thread(target=lambda: [pace.wait() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 19 / 100


def test_two_ledgers_on_one_file_share_the_ceiling(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path / "l.sqlite"), Ledger(tmp_path / "l.sqlite")
    assert [one.pay(3), two.pay(3), one.pay(3), two.pay(3)] == [True, True, True, False]
    one.keep("a", 0, [1.0])
    assert two.look("a") == (0, [1.0])
    assert two.account.sent == 3
    assert two.account.answered == 1


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match=r"the cache of answers .* cannot be used"):
        Ledger(path)
