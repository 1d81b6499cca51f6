"""How `samix ui` is served: on this machine alone, to whoever has the token of its address.

What is not asked for as the page itself asks is refused before it is read.
"""

from __future__ import annotations

import contextlib
import ctypes
import hmac
import platform
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from samix.errors import InputError
from samix.shown import flagged

from .dropped import TooMuchError

HOST = "127.0.0.1"
WHOLE_ADDRESS = (
    "This page opens with the whole address that 'samix ui' printed when it was started, token "
    "included; copy it from that terminal."
)
_FIRST_PORT, _PORTS = 7860, 100  # that are tried
_NAMES = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d+)?")
_AT_ONCE = 4  # bodies in memory, each of which may be a photo of the largest size
_LAST_SECONDS = 10.0  # that a mix which is being made may take at the end
_TURN = 5.0  # seconds
_SECONDS = 30.0  # that a request may take to arrive
_HEADERS = {
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# a report is one file that needs nothing, and reaches nothing of the page that led to it
_ALONE = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-popups"
)


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: bytes  # its bytes
    kind: str = "text/html; charset=utf-8"  # of the content
    alone: bool = False  # it is a page of its own, which is kept apart from this one


@dataclass(frozen=True)
class Way:
    """Something that may be asked for."""

    answer: Callable[[bytes, int], Reply]  # of the bytes of a request and the number in its path
    most: int | None = None  # bytes of a request; None is asked for with GET and has none


class Refusal(Exception):  # noqa: N818 - it is an answer, no error of ours
    """A request that is not let in: its status, and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class PageServer(ThreadingHTTPServer):
    """Serves ways below a token."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, token: str, ways: dict[str, Way]) -> None:
        super().__init__((HOST, port), _Handler)
        self.token, self.ways = token, ways
        self.bodies = threading.BoundedSemaphore(_AT_ONCE)
        self.trimmed = 0.0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where the one who asked is gone."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def service_actions(self) -> None:
        """Give what was freed back to the system in turn; glibc keeps it by itself."""
        if time.monotonic() - self.trimmed > _TURN and platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)
            self.trimmed = time.monotonic()

    def serve(self) -> None:
        """Reply until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            self.serve_forever()
        self.server_close()
        for _ in range(_AT_ONCE):  # Python must not end while torch is at work in another thread
            self.bodies.acquire(timeout=_LAST_SECONDS)


def bound(port: int | None, token: str, ways: dict[str, Way]) -> PageServer:
    """Return a server on the port that is given, or the first free one; others are refused."""
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"port: expected 1 to 65535, got {port}")
    ports = range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port is None else (port,)
    reason = ""
    for number in ports:
        try:
            return PageServer(number, token, ways)
        except OSError as error:  # noqa: PERF203 - until one of them is free
            reason = error.strerror or str(error)
    what = f"port {port}" if port else f"none of the ports {ports[0]} to {ports[-1]}"
    raise InputError(f"port: {what} can be used ({reason}); choose another one")


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "samix", ""
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Reply, or refuse with one sentence."""
        try:
            way, number = self._let_in()
            with self.server.bodies:
                self._send(200, way.answer(self._body(way), number))
        except Refusal as refusal:
            self._refuse(refusal.status, str(refusal))
        except InputError as error:
            text = flagged(str(error), positional=())
            status = 413 if isinstance(error, TooMuchError) else 400
            self._refuse(status, f"{text[:1].upper()}{text[1:]}.")

    do_HEAD = do_GET  # noqa: N815 - as http.server calls them
    do_POST = do_GET  # noqa: N815

    def _let_in(self) -> tuple[Way, int]:
        """Return what is asked for, and the number in its path."""
        self._check_host()
        token, _, path = self.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refusal(403, WHOLE_ADDRESS)
        self._check_origin(opens=path == "" and self.command == "GET")
        number = re.search(r"\d{1,9}$", path)
        way = self.server.ways.get(path[: number.start()] + "N" if number else path)
        if way is None:
            raise Refusal(404, "There is nothing at this address; open that of the page itself.")
        if (self.command == "POST") is (way.most is None):
            raise Refusal(405, "This is asked in another way; open the page in a browser.")
        return way, int(number[0]) if number else 0

    def _check_host(self) -> None:
        """Refuse a name that only leads here, as one does that its owner points at this machine."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _NAMES.fullmatch(hosts[0]):
            raise Refusal(
                400, "The page is served for 127.0.0.1 or localhost alone; open it under this name."
            )

    def _check_origin(self, *, opens: bool) -> None:
        """Refuse what a page of another origin asks, of another port too; links may lead here."""
        own = f"http://{self.headers['Host']}"
        origins = self.headers.get_all("Origin", [])
        sites = set(self.headers.get_all("Sec-Fetch-Site", []))
        if any(one != own for one in origins) or not (opens or sites <= {"same-origin", "none"}):
            raise Refusal(403, "The request comes from another page; open the address of this one.")

    def _body(self, way: Way) -> bytes:
        """Return the whole body of a request."""
        if way.most is None:
            return b""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            raise Refusal(411, "The request does not say how long it is; open the page anew.")
        if int(length) > way.most:
            most = f"{way.most // 2**20} MiB" if way.most >= 2**20 else f"{way.most // 2**10} KiB"
            raise Refusal(413, f"The request has more than {most}; send less at once.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(400, "The request ended too early; ask again.")
        return body

    def _refuse(self, status: int, sentence: str) -> None:
        """Reply with one sentence; what else was sent is not read."""
        self.close_connection = True
        self._send(status, Reply(sentence.encode(), "text/plain; charset=utf-8"))

    def _send(self, status: int, answer: Reply) -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if answer.alone:
            self.send_header("Content-Security-Policy", _ALONE)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Reply what http.server itself refuses: a broken request, or another method."""
        self.command = getattr(self, "command", None) or "GET"
        self._refuse(code, "This is asked in another way; open the page in a browser.")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses hold the token."""
