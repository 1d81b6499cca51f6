"""A headless Chromium that tests drive: its DevTools protocol over two pipes, no other package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe", "--hide-scrollbars",
)  # fmt: skip
# the browser reads from 3 and writes to 4
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, wanted in zip(ends, (3, 4)):
    os.dup2(end, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
_LONGEST = 30.0  # seconds that an answer may take


def chromium() -> str | None:
    """The browser of this machine: that of the environment variable CHROMIUM, or a usual name."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in a browser of its own."""

    def __init__(self, path: str) -> None:
        self.profile = tempfile.mkdtemp(prefix="samix-chromium-")
        ours, theirs = os.pipe(), os.pipe()  # what it reads, what it writes
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, str(ours[0]), str(theirs[1]), path, *_FLAGS,
             f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(ours[0], theirs[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from = ours[1], theirs[0]
        self._left = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in target if one["type"] == "page")
        found = self.ask("Target.attachToTarget", targetId=page, flatten=True)
        self._session = found["sessionId"]
        for part in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{part}.enable")
        self.speak("en")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.process.kill()
        self.process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, method: str, **values: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        call: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if self._session is not None:
            call["sessionId"] = self._session
        os.write(self._to, json.dumps(call).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                result: dict[str, Any] = told["result"]
                return result
            self.events.append(told)

    def open(self, file: Path, width: int, height: int = 900) -> None:
        """Open a file in a window of a size in px, and wait until it is there."""
        self.open_address(file.resolve().as_uri(), width, height)

    def open_address(self, address: str, width: int, height: int = 900) -> None:
        """Open an address in a window of a size in px, and wait until it is there."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 500)  # fmt: skip
        self.events.clear()
        self.ask("Page.navigate", url=address)
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            self.events.append(self._read())

    def speak(self, language: str) -> None:
        """Say to pages that the reader has a language."""
        name = self.ask("Browser.getVersion")["userAgent"]
        self.ask("Emulation.setUserAgentOverride", userAgent=name, acceptLanguage=language)

    def run(self, script: str) -> Any:
        """Run a script in the page and return its value."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def requests(self) -> list[str]:
        """Every address that the page asked for since it was opened."""
        asked = [e["params"]["request"]["url"] for e in self._told("Network.requestWillBeSent")]
        return asked + [e["params"]["url"] for e in self._told("Network.webSocketCreated")]

    def errors(self) -> list[str]:
        """Everything that the page wrote into the console, and everything that went wrong."""
        found = [e["params"]["entry"]["text"] for e in self._told("Log.entryAdded")]
        found += [str(e["params"]["args"]) for e in self._told("Runtime.consoleAPICalled")]
        return found + [
            str(e["params"]["exceptionDetails"]) for e in self._told("Runtime.exceptionThrown")
        ]

    def photograph(self, file: Path, *, whole: bool = False) -> None:
        """Write a PNG of what is seen, or of the whole page."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def print(self, file: Path) -> None:
        """Write a PDF as the page's own rules for paper say."""
        found = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def _told(self, method: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one.get("method") == method]

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + _LONGEST
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._from], [], [], max(end - time.monotonic(), 0))
            more = os.read(self._from, 1 << 20) if ready else b""
            if not more:
                raise RuntimeError("the browser gave no answer")
            self._left += more
        first, self._left = self._left.split(b"\0", 1)
        told: dict[str, Any] = json.loads(first)
        return told
