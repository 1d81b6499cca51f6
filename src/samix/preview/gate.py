"""The gate before `samix ui`: who may ask, and for what; all else is refused before it is read.

What the page may send is checked here too, each input before gradio sees it.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from samix.errors import InputError

from .uploads import Uploads

TEXT = 200
"""Characters that a text of the page may have."""
_NUMBER = 2**53  # the largest whole number that JSON carries exactly
_HASH = re.compile(r"[A-Za-z0-9]{1,64}")
_PHOTO_FILE = {"_type": "gradio.FileData"}
Message = MutableMapping[str, Any]
Asgi = Callable[..., Awaitable[None]]
REPORT = "/report"
UPLOAD = "/gradio_api/upload"
_JOIN = "/gradio_api/queue/join"
_ANSWERS = "/gradio_api/queue/data"
_FILE = "/gradio_api/file="
_NAMES = ("127.0.0.1", "localhost")
_CALL_BYTES = 256 * 2**10
# what the page asks for: a new gradio that has more to offer does not widen it
_GET = re.compile(
    r"/|/theme\.css|/favicon\.ico|/manifest\.json|/(?:assets|static)(?:/[\w@-][\w.@-]*)+"
    rf"|{REPORT}|{_FILE}.+|{_ANSWERS}"
)
_POST = re.compile(f"{_JOIN}|{UPLOAD}")
_SESSION = re.compile(r"session_hash=[A-Za-z0-9]{1,64}")
_HEADERS = (
    *(b"host", b"accept", b"accept-encoding", b"content-type", b"content-length"),
    *(b"if-none-match", b"if-modified-since"),
)
_SELF = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_ALONE = (  # a report is one file that needs nothing, and gets nothing of the page around it
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-scripts allow-popups"
)
_ANSWER = {
    "referrer-policy": "no-referrer",  # the address holds the token
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
WHOLE_ADDRESS = (
    "This page opens with the whole address that 'samix ui' printed when it was started, token "
    "included; copy it from that terminal."
)


class Refusal(HTTPException):  # type: ignore[misc]
    """A request that is not let in; its detail is one sentence."""


def refuse(_: Any, refusal: HTTPException) -> Response:
    """Return the answer to a request that is not let in: the sentence, as plain text."""
    return PlainTextResponse(f"{refusal.detail}\n", refusal.status_code)


class Gate:
    """Lets in the one browser that has the token, for what the page itself asks.

    Who has no token learns nothing but that there is a page. Cookies are no part of it: a browser
    sends those of 127.0.0.1 to every port of this machine, also to one of another account.

    Args:
        app: What answers, below ``/TOKEN``.
        token: Of the address.
        functions: Of the page, by number.
        uploads: The photos that were dropped in.
    """

    def __init__(
        self, app: Asgi, token: str, functions: Mapping[int, Any], uploads: Uploads
    ) -> None:
        self.app = app
        self.token = token
        self.functions = functions
        self.uploads = uploads

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer, or refuse with one sentence."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # the page has no web sockets
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Message, receive: Any, send: Any) -> None:
        path = ""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ANSWER)
                headers["content-security-policy"] = _ALONE if path == REPORT else _SELF
                if not path.startswith(("/assets/", "/static/")):
                    headers["cache-control"] = "no-store"
            await send(message)

        try:
            path = self._let_in(scope)
            received = await self._checked_body(path, scope, receive)
        except Refusal as refusal:
            await refuse(scope, refusal)(scope, receive, sent)
            return
        await self.app(scope, received, sent)

    def _let_in(self, scope: Message) -> str:
        """Return the path below the token, and leave only what may pass in the request.

        Raises:
            Refusal: It may not come in.
        """
        headers = Headers(scope=scope)
        _check_host(headers)
        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        path: str = slash + rest
        if not (slash and hmac.compare_digest(first.encode(), self.token.encode())):
            raise Refusal(403, WHOLE_ADDRESS)
        opens = path == "/" and headers.get("sec-fetch-dest") == "document"
        _check_origin(headers, opens=opens and scope["method"] == "GET")
        allowed = {"GET": _GET, "HEAD": _GET, "POST": _POST}.get(scope["method"])
        if allowed is None:
            raise Refusal(405, "The page is asked with GET and POST alone; open it in a browser.")
        if not allowed.fullmatch(path):
            raise Refusal(404, "There is nothing at this address; open that of the page itself.")
        if path.startswith(_FILE):
            self._check_file(path.removeprefix(_FILE))
        if path != _ANSWERS:
            scope["query_string"] = b""
        elif not _SESSION.fullmatch(scope["query_string"].decode("latin-1")):
            raise Refusal(400, "The address has other values than the page gives; open it anew.")
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] in _HEADERS]
        return path

    def _check_file(self, path: str) -> None:
        try:
            self.uploads.find(path)
        except InputError as error:
            raise Refusal(403, sentence(error)) from error

    async def _checked_body(self, path: str, scope: Message, receive: Any) -> Any:
        """Return what hands on the body of a request: nothing, a checked call, or an upload.

        Raises:
            Refusal: It is too long, or not what the page sends.
        """
        most = self.uploads.limits.request_bytes if path == UPLOAD else _CALL_BYTES
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise _too_long(most)
        limited = _limited(receive, most)
        if path != _JOIN:
            return limited
        body = await _whole(limited)
        try:
            body = await run_in_threadpool(checked_call, body, self.functions, self.uploads)
        except InputError as error:
            raise Refusal(400, sentence(error)) from error
        kept = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        scope["headers"] = [*kept, (b"content-length", str(len(body)).encode())]
        return _once(body, receive)


def _check_host(headers: Headers) -> None:
    """Refuse a name that only leads here, as one does that its owner points at this machine."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not re.fullmatch(rf"(?:{'|'.join(_NAMES)})(?::\d+)?", hosts[0]):
        names = " or ".join(_NAMES)
        raise Refusal(400, f"The page is served for {names} alone; open it under this name.")


def _check_origin(headers: Headers, *, opens: bool) -> None:
    """Refuse a request that a page of another origin makes, of another port too.

    Args:
        headers: Of the request.
        opens: It opens the page in a window of its own, as a link in a mail may do.
    """
    own = f"http://{headers['host']}"
    site = headers.getlist("sec-fetch-site")
    if any(one != own for one in headers.getlist("origin")) or not (
        opens or set(site) <= {"same-origin", "none"}
    ):
        raise Refusal(403, "The request comes from another page; open the address of this one.")


def _limited(receive: Any, most: int) -> Any:
    """Return what hands a body on and refuses it where it becomes too long."""
    size = 0

    async def received() -> Message:
        nonlocal size
        message: Message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_long(most)
        return message

    return received


async def _whole(receive: Any) -> bytes:
    """Return the whole body of a request.

    Raises:
        Refusal: The one who asked is gone.
    """
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The request ended too early; ask again.")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _once(body: bytes, receive: Any) -> Any:
    """Return what hands on a body that was read, and then what comes after it."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return left.pop() if left else await receive()

    return received


def _too_long(most: int) -> Refusal:
    size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return Refusal(413, f"The request has more than {size}; send less at once.")


def sentence(error: Exception) -> str:
    """Return a complaint as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def checked_call(raw: bytes, functions: Mapping[int, Any], uploads: Uploads) -> bytes:
    """Return a call of the page again, made of nothing but what was checked.

    gradio copies every file that an input names into the folder that it gives away, whatever kind
    of input it is, before the input itself is asked. So nothing but a photo that was dropped in may
    come as far as that.

    Args:
        raw: The JSON text.
        functions: Of the page, by number; each has its ``inputs``.
        uploads: Where photos lie.

    Raises:
        InputError: It is not what the page sends.
    """
    try:
        call = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError("the input 'call' must be a JSON object; open the page anew") from error
    if not isinstance(call, dict):
        raise _refused("call", "a JSON object", call)
    number, session, data = (call.get(name) for name in ("fn_index", "session_hash", "data"))
    if type(number) is not int or number not in functions:
        raise _refused("fn_index", "the number of a function of the page", number)
    if not isinstance(session, str) or not _HASH.fullmatch(session):
        raise _refused("session_hash", "1 to 64 letters and digits", session)
    inputs = functions[number].inputs
    if not isinstance(data, list) or len(data) != len(inputs):
        raise _refused("data", f"a list of {len(inputs)} values", data)
    values = [_checked(*pair, uploads) for pair in zip(inputs, data, strict=True)]
    trigger = call.get("trigger_id")
    checked = {
        "fn_index": number,
        "session_hash": session,
        "data": values,
        "trigger_id": trigger if type(trigger) is int else None,
    }
    return json.dumps(checked).encode()


def _checked(component: Any, value: Any, uploads: Uploads) -> Any:
    """Return the value of an input, of the one kind that it takes.

    Raises:
        InputError: It is of another kind.
    """
    label = str(component.label)
    if isinstance(component, gr.Image):
        return _photo(label, value, uploads)
    for kind, (expected, fits) in _KINDS.items():
        if isinstance(component, kind):
            if not fits(component, value):
                raise _refused(label, expected, value)
            return value
    raise _refused(label, "no value at all", value)


def _photo(label: str, value: Any, uploads: Uploads) -> dict[str, Any] | None:
    """Return what names a photo that was dropped in, and nothing else."""
    if value is None:
        return None
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise _refused(label, "a photo that was dropped in, or none", value)
    return {"path": str(uploads.find(path)), "meta": _PHOTO_FILE}


def _is_text(_: Any, value: Any) -> bool:
    """Say whether a value is a short text that can be written down."""
    if not isinstance(value, str) or len(value) > TEXT:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_number(_: Any, value: Any) -> bool:
    return type(value) in (int, float) and -_NUMBER <= value <= _NUMBER


def _is_number_or_none(component: Any, value: Any) -> bool:
    return value is None or _is_number(component, value)


def _are_offered(component: Any, value: Any) -> bool:
    return isinstance(value, list) and all(_is_offered(component, one) for one in value)


def _is_offered_or_none(component: Any, value: Any) -> bool:
    return value is None or _is_offered(component, value)


def _is_offered(component: Any, value: Any) -> bool:
    """Say whether a value is a choice of the list, and of the same kind (1.0 is not 1)."""
    return any(type(value) is type(one) and value == one for _, one in component.choices)


_KINDS: dict[type, tuple[str, Callable[[Any, Any], bool]]] = {
    gr.Textbox: (f"a text of at most {TEXT} characters", _is_text),
    gr.Slider: ("a number", _is_number),
    gr.Number: ("a number, or none", _is_number_or_none),
    gr.CheckboxGroup: ("names of the list", _are_offered),
    gr.Dropdown: ("a photo of the list, or none", _is_offered_or_none),
}


def _refused(what: str, expected: str, got: Any) -> InputError:
    """Return a complaint; what was sent is shortened, and no name of a file is in it."""
    said = f"{type(got).__name__}" if isinstance(got, (dict, list)) else repr(got)[:40]
    return InputError(f"the input '{what}' must be {expected}, got {said}; open the page anew")
