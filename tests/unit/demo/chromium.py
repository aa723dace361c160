"""A headless Chromium that says what a page shows and what it asks the network for."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import websocket

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-port=0",
)
START_SECONDS = 60.0


class Page:
    """One open page.

    Args:
        connection: to Chromium's DevTools, for this page.
    """

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._number = 0
        self.requests: list[str] = []
        """Every address that the page has asked for."""
        self.complaints: list[str] = []
        """What Chromium found wrong with the page."""

    def open(self, page: Path | str, width: int, height: int = 900) -> None:
        """Open a file or an address in a window of that width, in pixels, and wait until it is loaded."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **metrics)
        self.ask("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """A picture of the whole page, as far down as it goes."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask Chromium something and return its answer."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != self._number:
            pass
        assert "error" not in message, message
        return dict(message["result"])

    def _receive(self) -> dict[str, Any]:
        message = dict(json.loads(self._connection.recv()))
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]))
        return message


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """An empty page of a Chromium with an empty profile; it ends with the block."""
    assert PROGRAM is not None
    command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(profile / "DevToolsActivePort", process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=START_SECONDS) as answer:
            pages = [page for page in json.load(answer) if page["type"] == "page"]
        address = pages[0]["webSocketDebuggerUrl"]
        with closing(websocket.create_connection(address, timeout=START_SECONDS, suppress_origin=True)) as it:
            yield Page(it)
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "Chromium did not open its port"
        time.sleep(0.05)
    return int(file.read_text().split()[0])
