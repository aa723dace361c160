"""The address of a TensorBoard elsewhere: whether one answers there, and what to do if not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import Failed, InputError
from deploy.ports import free_ports

ENVIRONMENT = b'{"data_location": "/var/lib/flare/analytics", "window_title": ""}'
ANSWERS = {
    "/data/environment": (200, ENVIRONMENT),
    "/proxied/data/environment": (200, ENVIRONMENT),
    "/private/data/environment": (401, b""),
    "/login/data/environment": (200, b"<html>"),
    "/list/data/environment": (200, b"[1]"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that answers at some paths as a TensorBoard does."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = ANSWERS.get(self.path, (404, b""))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.chdir(tmp_path)  # without a kit and a project.yml
    return CliRunner().invoke(app, ["tensorboard", *arguments])


@pytest.mark.parametrize("path", ["", "/", "/proxied", "/proxied/", "/?runFilter=a#timeseries"])
def test_the_address_of_a_tensorboard_that_answers_is_printed(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    found = run(tmp_path, monkeypatch, "--url", f"{server}{path}")
    assert (found.exit_code, found.output) == (0, f"{server}/{'proxied/' * ('proxied' in path)}\n")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/private", r"/private/ asks for a login \(HTTP 401\)\. Open it in a browser"),
        ("/other", r"/other/ is not a TensorBoard \(HTTP 404\)\. Ask the operator"),
        ("/login", r"/login/ answers, and is not a TensorBoard; it may be the page of a login\. Ask"),
        ("/list", "is not a TensorBoard"),
    ],
)
def test_what_is_no_tensorboard_is_reported_with_the_remedy(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    found = run(tmp_path, monkeypatch, "--url", f"{server}{path}")
    with pytest.raises(Failed, match=message):
        raise found.exception or AssertionError


def test_an_address_at_which_nothing_answers_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    found = run(tmp_path, monkeypatch, "--url", f"http://127.0.0.1:{port}")
    with pytest.raises(Failed, match=rf"no TensorBoard answers at http://127.0.0.1:{port}/ \(Connection ref"):
        raise found.exception or AssertionError


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6006",
        "ftp://a",
        "http://",
        "http://[",
        "file:///etc/passwd",
        "http://a:b",
        "http://a/é",
        f"http://{'a' * 70}",
    ],
)
def test_what_is_no_address_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    found = run(tmp_path, monkeypatch, "--url", url)
    with pytest.raises(InputError, match=r"--url .*: must be an address such as https://"):
        raise found.exception or AssertionError


@pytest.mark.parametrize("options", [["latest"], ["--port", "6006"], ["--admin-kit", "kit"]])
def test_an_address_excludes_what_chooses_event_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    found = run(tmp_path, monkeypatch, "--url", "http://127.0.0.1:1", *options)
    assert "excludes JOB" in str(found.exception)


def test_a_password_in_an_address_is_rejected_and_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(tmp_path, monkeypatch, "--url", "http://me:secret@127.0.0.1:1")
    assert isinstance(found.exception, InputError)
    assert "without a user" in str(found.exception)
    assert "secret" not in str(found.exception)
