"""A headless Chromium driven through its pipe of the DevTools protocol, without any package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Browser:
    """One page of a browser.

    Args:
        folder: for its profile and what it saves.

    Attributes:
        downloads: folder of what is saved.
        addresses: of all that the page asked for.
    """

    def __init__(self, folder: Path) -> None:
        program = next(filter(None, map(shutil.which, _NAMES)), None)
        if program is None:
            pytest.skip(f"no browser: install one of {', '.join(_NAMES)} to test the page in it")
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        self.addresses: list[str] = []
        to_us, from_it = os.pipe()
        to_it, from_us = os.pipe()
        # It reads file 3 and writes file 4.
        command = f"exec '{program}' \"$@\" 3<&{to_it} 4>&{from_it}"
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                command,
                "bash",
                *options,
                "--remote-debugging-pipe",
                f"--user-data-dir={folder}/profile",
            ],
            pass_fds=(to_it, from_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        self._reader, self._writer = os.fdopen(to_us, "rb"), os.fdopen(from_us, "wb")
        self._rest, self._number, self._session = b"", 0, None
        self._call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(self.downloads),
            eventsEnabled=True,
        )
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Network.enable")
        self._call("Page.enable")

    def open(self, path: Path) -> None:
        """Go to a file, and wait until it is there."""
        self._call("Page.navigate", url=path.absolute().as_uri())
        while self.run("document.readyState") != "complete" or self.run("location.href") == "about:blank":
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of a promise on the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @property
    def process_id(self) -> int:
        """Of the process whose children all others are."""
        return self._process.pid

    def saved(self, name: str) -> Path:
        """A file that the page has saved, once it is whole."""
        path = self.downloads / name
        while not (path.exists() and path.stat().st_size):
            self.run("0")
            time.sleep(0.05)
        return path

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        while True:
            answer = self._next()
            if answer.get("method") == "Network.requestWillBeSent":
                self.addresses.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._reader.fileno(), 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, AssertionError):
            self._session = None
            self._call("Browser.close")
        for pipe in (self._reader, self._writer):
            with suppress(OSError):
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
