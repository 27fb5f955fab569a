"""Credentials of a web service: whatever it says, and wherever a user has put them, nobody reads them."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import torch

from sparring.errors import InputError, OutputError, TargetError
from sparring.zoo.loaders import load_model
from sparring.zoo.targets.http.secrets import Secrets, names_secret
from sparring.zoo.targets.words import one_line, public, shown

pytest.importorskip("httpx", reason="needs the extra http")

TOKEN = 'tk-9"Zq/7 R+é5xWm2'
"with all that the encodings change"


class Echo:
    """A service that says what a test wants of it, and remembers what it was sent."""

    def __init__(self) -> None:
        self.status, self.said = 200, b""
        self.headers: dict[str, str] = {}
        self.body = b""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.body = self.rfile.read(int(self.headers["Content-Length"]))
                service.headers = dict(self.headers)
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(service.said)))
                self.end_headers()
                self.wfile.write(service.said)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/predict"


@pytest.fixture
def echo() -> Iterator[Echo]:
    one = Echo()
    yield one
    one.server.shutdown()
    one.server.server_close()


def spec(url: str, folder: Path, **values: Any) -> str:
    path = folder / "mapping.json"
    usual = {"request": {"other": {"token": "${OUR_TOKEN}"}}, "classes": 3, "retries": 0, "cache": False}
    path.write_text(json.dumps({**usual, **values}))
    return f"{url}#mapping={path}"


def complaint(model: Any) -> str:
    with pytest.raises((TargetError, OutputError)) as error:
        model.logits(torch.rand(1, 1, 4, 4))
    return str(error.value)


DRESSES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "half of it": lambda text: text[: len(text) // 2],
    "in capitals": str.upper,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "all in \\u": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "all in \\x": lambda text: "".join(f"\\x{ord(char):02X}" for char in text),
    "Python": lambda text: repr([text]),
    "a URL": lambda text: quote(text, safe=""),
    "a form": quote_plus,
    "twice a URL": lambda text: quote(quote(text)),
    "HTML": html.escape,
    "HTML by number": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind one": lambda text: base64.b64encode(f"u{text}".encode()).decode(),
    "base64 behind two": lambda text: base64.b64encode(f"u:{text}!".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"me:{text}".encode()).decode(),
}


def letters(text: str) -> str:
    """Of a text, what may stand in a message without giving a secret away: pieces of fewer than six letters."""
    return "".join(char for char in text if char.isalnum()).lower()


def gives_away(line: str, dressed: str) -> bool:
    plain, secret = letters(line), letters(dressed)
    return any(secret[k : k + 6] in plain for k in range(len(secret) - 5))


@pytest.mark.parametrize("dress", DRESSES, ids=str)
def test_a_secret_is_masked_in_every_dress(dress: str) -> None:
    dressed = DRESSES[dress](TOKEN)
    line = Secrets([TOKEN]).line(f"said {dressed}: no")
    assert "***" in line
    assert line.startswith("said ")
    assert line.endswith(": no")
    assert not gives_away(line, dressed), line


@pytest.mark.parametrize("cut", range(0, 140, 7))
def test_a_text_is_masked_before_it_is_cut(cut: int) -> None:
    line = Secrets([TOKEN]).line("x" * cut + " " + TOKEN + " tail" * 50, 120)
    assert len(line) <= 120
    assert not gives_away(line, TOKEN)


def test_what_is_no_secret_stays() -> None:
    text = "100 % of \\ {'a': 1} &amp; %41 said"
    assert Secrets([TOKEN]).line(text) == text
    assert Secrets().line(text) == text


@pytest.mark.parametrize("dress", ["as it is", "JSON", "a URL", "base64 behind two", "hex"])
@pytest.mark.parametrize(
    ("status", "said", "answer"),
    [
        (403, lambda text: b"x" * 190 + text.encode(), {}),
        (401, lambda text: json.dumps({"echo": {"deep": text}}).encode(), {}),
        (200, lambda text: f"<p>{text}</p>".encode(), {}),
        (200, lambda text: json.dumps({text: 1}).encode(), {}),
        (200, lambda text: json.dumps({"scores": [text]}).encode(), {}),
        (200, lambda text: json.dumps({"scores": {"echo": text}}).encode(), {}),
        (200, lambda text: json.dumps({"scores": text}).encode(), {"kind": "labels"}),
        (200, lambda text: json.dumps({"scores": [[text, 0.5]]}).encode(), {"kind": "topk"}),
        (200, lambda text: json.dumps({"scores": [[1, text]]}).encode(), {"kind": "topk"}),
        (200, lambda text: json.dumps({"scores": [{"label": 1, text: 1}]}).encode(), {"kind": "topk"}),
    ],
)
def test_a_secret_that_comes_back_is_never_shown(
    dress: str,
    status: int,
    said: Callable[[str], bytes],
    answer: dict[str, str],
    echo: Echo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUR_TOKEN", TOKEN)
    dressed = DRESSES[dress](TOKEN)
    echo.status, echo.said = status, said(dressed)
    model: Any = load_model(spec(echo.url, tmp_path, answer=answer))
    line = complaint(model)
    assert not gives_away(line, dressed), line
    assert not gives_away(line, TOKEN), line
    assert json.loads(echo.body)["token"] == TOKEN, "it is sent, though"
    assert not gives_away(repr(model) + model.account + model.name, TOKEN)


def test_a_form_carries_the_environment_too(echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_TOKEN", "plain-token-1")
    echo.said = b'{"scores": [0.1, 0.2, 0.7]}'
    request = {"format": "upload", "other": {"api_key": "v1 ${OUR_TOKEN}", "version": 3}}
    load_model(spec(echo.url, tmp_path, request=request)).logits(torch.rand(1, 1, 4, 4))
    assert b"v1 plain-token-1" in echo.body
    assert b'name="version"\r\n\r\n3' in echo.body


@pytest.mark.parametrize("kind", ["scores", "labels", "topk"])
@pytest.mark.parametrize("around", ["%s", '{"scores": %s}', '{"scores": [%s]}', '{"scores": [[0, %s]]}', '{"x": %s}'])
@pytest.mark.parametrize("depth", [100, 900, 5000, 100_000])
def test_an_answer_nested_however_deeply_is_one_line_that_counts(
    depth: int, around: str, kind: str, echo: Echo, tmp_path: Path
) -> None:
    echo.said = (around % ("[" * depth + "0.5" + "]" * depth)).encode()
    line = complaint(load_model(spec(echo.url, tmp_path, request={}, answer={"kind": kind})))
    assert line.endswith("1 queries were sent, 1 were answered") or "not in JSON" in line
    assert len(line) < 400


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="environment variable OUR_TOKEN, which the mapping names, is not set"):
        load_model(spec("http://127.0.0.1:9/p", tmp_path))


# --- where a user may have put them ---------------------------------------------------------------------------------


NAMES = re.findall(
    r"\S+",
    "pass pwd password passphrase code jwt bearer session sessionid PHPSESSID sid token access_token apiKey api-key "
    "X-Api-Key key x-functions-key Ocp-Apim-Subscription-Key sig X-Amz-Signature hmac auth Authorization "
    "Proxy-Authorization Cookie secret client_secret credential pin otp sas cred license_key",
)


PLACES: dict[str, Callable[[str, Any, Path], str]] = {
    "query": lambda name, value, folder: f"https://h/p?v=1&{name}={value}",
    "fragment": lambda name, value, folder: f"https://h/p#rate=5,{name}={value}",
    "headers": lambda name, value, folder: spec("https://h/p", folder, headers={name: str(value)}, request={}),
    "fields": lambda name, value, folder: spec("https://h/p", folder, request={"other": {name: value}}),
    "mapping": lambda name, value, folder: spec("https://h/p", folder, request={}, **{name: value}),
    "request": lambda name, value, folder: spec("https://h/p", folder, request={name: value}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_credentials_that_are_written_out_are_refused_and_not_repeated(name: str, place: str, tmp_path: Path) -> None:
    for value in ("TOP5ecret", 77123456):
        with pytest.raises(InputError) as error:
            load_model(PLACES[place](name, value, tmp_path))
        assert name.replace("-", "_") in str(error.value).replace("-", "_"), "the line says where it stands"
        assert str(value) not in str(error.value)


@pytest.mark.parametrize("value", ["Bearer TOP5ecret", "basic TOP5ecret", "x eyJhbGciOiJub25lIn0.TOP5ecret"])
@pytest.mark.parametrize("place", ["headers", "fields"])
def test_credentials_are_known_by_what_they_say(place: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="X-Model is a credential; name the environment variable") as error:
        load_model(PLACES[place]("X-Model", value, tmp_path))
    assert "TOP5ecret" not in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {"headers": "TOP5ecret"},
        {"headers": ["TOP5ecret"]},
        {"headers": {"X-Api-Key": ["TOP5ecret"]}},
        {"headers": {"X-Api-Key": {"a": "TOP5ecret"}}},
        {"headers": {"X-Api-Key": 5771235}},
        {"request": "TOP5ecret"},
        {"request": {"other": "TOP5ecret"}},
        {"request": {"other": {"token": ["TOP5ecret"]}}},
        {"request": {"other": {"token": 5771235, "b": None}}},
        {"timeout": "TOP5ecret"},
        {"cache": ["TOP5ecret"]},
        {"classes": "TOP5ecret"},
        {"TOP": "TOP5ecret"},
    ],
)
def test_messages_about_a_mapping_show_no_text_of_it(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_model(spec("https://h/p", tmp_path, **{"request": {}, **values}))
    assert "TOP5ecret" not in str(error.value)
    assert "5771235" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "headers: {Authorization: TOP5ecret",
        "headers:\n  Authorization: a: TOP5ecret",
        "headers:\n  Authorization: !TOP5ecret x",
        "headers:\n  Authorization: *TOP5ecret",
        "headers:\n  Authorization: %TOP5ecret",
        "headers:\n  Authorization: 'TOP5ecret",
        "headers:\n  Authorization: \tTOP5ecret\n :",
        "? [TOP5ecret]\n: 1",
        "when: 2024-13-45",
        "when: 2024-02-30 25:61:61",
        "- TOP5ecret",
        "[" * 600,
        "a: " + "9" * 5000,
    ],
)
def test_a_mapping_that_cannot_be_read_is_one_line_that_repeats_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_model(f"https://h/p#mapping={path},cache=false")
    assert "TOP5ecret" not in str(error.value)
    assert "2024" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["Content-Type", "X-Country-Code", "top_k", "model", "version", "lang", "keyboard"])
def test_names_that_carry_no_secret(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    "written",
    [
        "http://me:TOP5ecret@h/p",
        "http://me:TOP5ecret@",
        "http://me:TOP5ecret@/p",
        "http:me:TOP5ecret@h/p",
        "https:me:TOP5ecret@h",
        "http://me:TOP5ecret@[::1/p",
        "http://me:TOP5ecret@h:port/p",
        "http://me:TOP5ecret@h:99999/p",
        "http://me:TOP/5ecret@h/p",
        "HTTP://me:TOP5ecret@h/p",
        "htp://me:TOP5ecret@h/p",
        "http://TOP5ecret@h/p",
        "http://h/p#TOP5ecret",
        "http://h/p#rate=5,rate=6,token=TOP5ecret",
        "http://h/p#rate=5,TOP5ecret",
        "HTTP://h/p?key=TOP5ecret",
        "http://[h/p?key=TOP5ecret",
    ],
)
def test_a_url_is_never_repeated_with_what_it_hides(written: str) -> None:
    with pytest.raises(InputError) as error:
        load_model(written)
    assert "5ecret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert "5ecret" not in public(written) or "#" in written


@pytest.mark.parametrize(
    "written",
    [
        "http://[::1/p",
        "http://h:port/p",
        "http://h:99999/p",
        "http://h:-1/p",
        "http://h:0/p",
        "http://",
        "http://:80/p",
    ],
)
def test_what_is_no_url_is_one_line(written: str) -> None:
    with pytest.raises(InputError, match="is no URL; write http://HOST:PORT/PATH"):
        load_model(written)


@pytest.mark.parametrize("setting", ["cache=~nobody-here/x", "mapping=~nobody-here/x", "mapping=a\0b", "cache=a\0b"])
def test_what_names_no_file_is_one_line(setting: str) -> None:
    with pytest.raises(InputError, match="names no file"):
        load_model(f"http://h/p#{setting}")


def test_a_login_in_a_strangers_words_is_hidden() -> None:
    for text in (
        "http://me:TOP5ecret@proxy:80 is down",
        '{"next": "https:\\/\\/me:TOP5ecret@h"}',
        "//a b://x:TOP5ecret@y",
    ):
        assert "TOP5ecret" not in one_line(text)


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_anything_can_be_shown_on_one_line() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for said in (deep, Odd(), "a\nb\x1b[31m", b"\xff", {"a": Odd()}, "\ud800"):
        line = shown(said)
        assert line.isprintable()
        assert len(line) <= 60
    while deep:  # taken apart by hand: freeing it all at once is deep, too
        deep = deep[0]
