"""Downloads, against a server on this machine: mirrors, retries, truncation, wrong bytes, atomicity."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sparring.data.download import DownloadError, Remote, download
from sparring.data.errors import DataError

BODY = bytes(range(256)) * 1000
FILE = Remote("file.gz", len(BODY), hashlib.sha256(BODY).hexdigest())


class Server:
    """Answers `/<behaviour>/file.gz`, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                behaviour = self.path.split("/")[1]
                server.asked.append(behaviour)
                if behaviour == "missing":
                    self.send_error(404)
                    return
                if behaviour == "flaky" and server.asked.count("flaky") < 3:
                    self.send_error(503)
                    return
                body = {"wrong": BODY[::-1], "long": BODY * 2, "short": BODY[:-1]}.get(behaviour, BODY)
                self.send_response(200)
                if behaviour != "long":  # the hostile case: no length announced, and no end in sight
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if behaviour == "cut":
                    body = body[: len(body) // 2]
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def only_file(folder: Path) -> str:
    (name,) = [path.name for path in folder.iterdir()]
    return name


def test_a_good_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    path = download(FILE, [f"{server.url}/good/"], tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.gz"
    assert path.read_bytes() == BODY
    assert only_file(path.parent) == "file.gz"
    assert server.asked == ["good"]


@pytest.mark.parametrize("bad", ["missing", "wrong", "long", "short", "cut"])
def test_the_next_mirror_steps_in(server: Server, tmp_path: Path, bad: str) -> None:
    path = download(FILE, [f"{server.url}/{bad}", f"{server.url}/good"], tmp_path, pause=0)
    assert server.asked == [bad, "good"]
    assert path.read_bytes() == BODY
    assert only_file(tmp_path) == "file.gz"


def test_a_dead_mirror_is_passed_over(server: Server, tmp_path: Path) -> None:
    path = download(FILE, ["http://127.0.0.1:9/nobody", f"{server.url}/good"], tmp_path, pause=0)
    assert path.read_bytes() == BODY


def test_a_flaky_mirror_is_asked_again_after_growing_pauses(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("sparring.data.download.time.sleep", pauses.append)
    download(FILE, [f"{server.url}/flaky"], tmp_path, rounds=3, pause=2.0)
    assert server.asked == ["flaky"] * 3
    assert pauses == [2.0, 4.0]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("missing", "404|Not Found"),
        ("wrong", f"SHA-256 [0-9a-f]+, expected {FILE.sha256}"),
        ("long", f"more than the {len(BODY)} bytes"),
        ("short", f"{len(BODY) - 1} bytes, expected {len(BODY)}"),
        ("cut", f"{len(BODY) // 2} bytes"),
    ],
)
def test_when_all_fails_the_reason_is_named_and_nothing_is_left(
    server: Server, tmp_path: Path, bad: str, reason: str
) -> None:
    with pytest.raises(DownloadError, match=reason) as caught:
        download(FILE, [f"{server.url}/{bad}"], tmp_path, rounds=2, pause=0)
    assert server.asked == [bad, bad]
    assert list(caught.value.reasons) == [f"{server.url}/{bad}/file.gz"]
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_the_old_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(b"old")
    with pytest.raises(DownloadError):
        download(FILE, [f"{server.url}/wrong"], tmp_path, rounds=1)
    assert (tmp_path / "file.gz").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write to .*SPARRING_CACHE"):
        download(FILE, [], tmp_path / "file" / "folder")


def test_nothing_is_written_to_stdout(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(FILE, [f"{server.url}/good"], tmp_path)
    assert capsys.readouterr().out == ""
