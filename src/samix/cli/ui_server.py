"""The server behind `samix ui`: this machine alone, and nothing from elsewhere."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .ui_cards import STYLE
from .ui_context import Context
from .ui_page import build_page, theme

Message = MutableMapping[str, Any]
_SELF = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_ALONE = (  # a report is one file that needs nothing
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_REPORT = "/report"


class StayHere:
    """Tells the browser, with each answer, to load nothing from another place.

    Args:
        app: What answers.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer, with the headers added."""
        rules = _ALONE if scope.get("path") == _REPORT else _SELF

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = rules
                headers["referrer-policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, sent if scope["type"] == "http" else send)


def create_app(context: Context) -> FastAPI:
    """Return the application: the page, and the report of a study where there is one.

    Args:
        context: What it shows.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(StayHere)
    # no page of another name that leads here can talk to it
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    if context.report is not None:
        page = context.report
        app.get(_REPORT)(lambda: FileResponse(page, media_type="text/html"))
    return gr.mount_gradio_app(
        app,
        build_page(context),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme(),
        css=STYLE,
    )


def serve(app: FastAPI, there: socket.socket) -> None:
    """Serve the page until Ctrl-C.

    Args:
        app: From :func:`create_app`.
        there: A socket that listens on this machine.
    """
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, ws="none")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[there])
