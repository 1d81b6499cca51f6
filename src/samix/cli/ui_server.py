"""The server behind `samix ui`: this machine alone, and nothing from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import platform
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response

from samix.errors import InputError

from .ui_cards import STYLE
from .ui_context import Context
from .ui_gate import REPORT, UPLOAD, Gate, Refusal, refuse, sentence
from .ui_page import build_page, theme
from .ui_uploads import TooMuchError, Uploads, inside

_WAITING = 1000  # calls in the queue
_THREADS = 4  # each may hold a photo of the largest size
_TURN = 5.0  # seconds
_SESSIONS = 8  # gradio keeps what each last showed; the page itself needs none of it


def new_token() -> str:
    """Return a random word of 128 bits that no one can guess."""
    return secrets.token_hex(16)


def create_app(context: Context, token: str) -> Gate:
    """Return the application: the page, and the report of a study where there is one.

    Args:
        context: What it shows.
        token: From :func:`new_token`; the page lies below ``/TOKEN/``.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_sparing)
    app.add_exception_handler(HTTPException, refuse)
    app.post(f"/{token}{UPLOAD}")(_upload_to(context.uploads))
    if context.report is not None:
        app.get(f"/{token}{REPORT}")(_report(context.report))
    page = build_page(context)
    page.queue(api_open=False, max_size=_WAITING)
    page.state_session_capacity = _SESSIONS
    gr.mount_gradio_app(
        app,
        page,
        path=f"/{token}",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=context.uploads.limits.photo_bytes,
        theme=theme(),
        css=STYLE,
    )
    # gradio checks the paths of inputs only once launch() has said so, which mounting leaves out
    page.has_launched = page.is_running = True
    return Gate(app, token, page.fns, context.uploads)


def serve(app: Gate, there: socket.socket) -> None:
    """Serve the page until Ctrl-C.

    Args:
        app: From :func:`create_app`.
        there: A socket that listens on this machine.
    """
    config = uvicorn.Config(
        app,
        access_log=False,  # addresses hold the token
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[there])


@contextlib.asynccontextmanager
async def _sparing(_: Any) -> AsyncIterator[None]:
    """Serve with few threads, and give memory back while the page is open."""
    current_default_thread_limiter().total_tokens = _THREADS
    task = asyncio.create_task(_give_back())
    yield
    task.cancel()


async def _give_back() -> None:
    """Give what was freed back to the system in turn; glibc keeps it where it is in small pieces.

    Other systems do so by themselves.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim = ctypes.CDLL(None).malloc_trim
    while True:
        await asyncio.sleep(_TURN)
        trim(0)


def _report(page: Path) -> Any:
    """Return what answers with the report; a link that leads out of the study is not followed."""

    def answer() -> Response:
        found = inside(page.parent, page)
        if found is None:
            raise Refusal(404, "The report is no longer in the folder of --poc; start anew.")
        return FileResponse(found, media_type="text/html")

    return answer


def _upload_to(uploads: Uploads) -> Any:
    """Return what takes photos that are dropped in, in the place of gradio's own."""

    async def upload(request: Request) -> Response:
        most = uploads.limits.at_once
        async with request.form() as form:
            photos = form.getlist("files")
            if not photos or any(isinstance(photo, str) for photo in photos):
                raise Refusal(400, "An upload must be a form with photos in 'files'; drop one in.")
            if len(photos) > most:
                raise Refusal(413, f"{len(photos)} photos at once are too many; drop in {most}.")
            try:
                kept = [await run_in_threadpool(_keep, uploads, photo) for photo in photos]
            except InputError as error:
                status = 413 if isinstance(error, TooMuchError) else 400
                raise Refusal(status, sentence(error)) from error
        return JSONResponse(kept)

    return upload


def _keep(uploads: Uploads, photo: Any) -> str:
    return str(uploads.add(photo.file))
