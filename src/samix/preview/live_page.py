"""The page of `samix ui`, made with gradio, and how it is served on this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import platform
import random
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
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

from .gate import REPORT, TEXT, UPLOAD, Gate, Refusal, refuse, sentence
from .live_mix import STYLE, Offer, Pair, cards, message, mix_pair, open_shown
from .uploads import TooMuchError, Uploads, inside

_SIDES = ("original", "partner")
_FIRST = ("mixup", "cutmix", "samix-p")
_FONT = ("system-ui", "Hiragino Sans", "Noto Sans CJK JP", "Meiryo", "sans-serif")
_MONO = ("ui-monospace", "Consolas", "monospace")
_NO_PHOTOS = "Drop in two photos, or choose them from the list."
_LEAD = (
    "Two photos, one `lam` (the share of the original), one seed: what each policy makes of "
    "them. Nothing leaves this machine."
)
_REPORT = (
    "<p><a href='report' target='_blank' rel='noopener'>Open it in a tab of its own</a></p>"
    "<iframe src='report' title='report of the study' sandbox='allow-scripts allow-popups' "
    "style='width:100%;height:80vh;border:1px solid var(--border-color-primary)'></iframe>"
)
_WAITING = 1000  # calls in the queue
_THREADS = 4  # each may hold a photo of the largest size
_TURN = 5.0  # seconds
_SESSIONS = 8  # gradio keeps what each last showed; the page itself needs none of it


@dataclass(frozen=True)
class Context:
    """What the page shows, and all that it may read.

    Attributes:
        policies: Those to choose from.
        uploads: The photos that are dropped in.
        offer: Photos to choose from; None offers none.
        report: The report.html of a study; None shows none.
    """

    policies: tuple[str, ...]
    uploads: Uploads
    offer: Offer | None = None
    report: Path | None = None


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


def file_of(payload: Any) -> str | None:
    """Return where a photo lies that was dropped in; what it may be is asked when it is read."""
    return None if payload is None else str(payload.path)


def theme() -> Any:
    """Return a theme with fonts of the system, none from elsewhere."""
    return gr.themes.Default(font=_FONT, font_mono=_MONO)


def build_page(context: Context) -> Any:
    """Return the page as gradio blocks.

    Args:
        context: What it shows.
    """
    with gr.Blocks(title="samix", analytics_enabled=False) as page:
        gr.Markdown("# samix")
        if context.report is None:
            _mixes(context)
        else:
            with gr.Tab("Mixes"):
                _mixes(context)
            with gr.Tab("Report of the study"):
                gr.HTML(_REPORT)
    return page


def see(
    context: Context,
    files: tuple[str | None, str | None],
    classes: tuple[str, str],
    lam: float,
    seed: float | None,
    names: Sequence[str],
) -> str:
    """Return the cards of a pair of photos, or one sentence that says what is missing.

    Args:
        context: The policies and the photos that may be asked for.
        files: Where both photos lie.
        classes: What they show.
        lam: Share of the original.
        seed: Of what is drawn beside lam; None is 0.
        names: Of the policies.
    """
    if files[0] is None or files[1] is None:
        return message(_NO_PHOTOS)
    if not names:
        return message("Choose at least one policy.")
    try:
        other = next((name for name in names if name not in context.policies), None)
        if other is not None:
            raise InputError(f"policy '{other}' is not offered; choose one of the list")
        original, partner = (
            context.uploads.read(file or "", what) for file, what in zip(files, _SIDES, strict=True)
        )
        pair = Pair(original, partner, classes, float(lam), int(seed or 0))
        return cards(mix_pair(pair, open_shown(tuple(dict.fromkeys(names)))))
    except InputError as error:
        return message(str(error))


def _mixes(context: Context) -> None:
    """Lay out the photos, the choices and the mixes."""
    gr.Markdown(_LEAD)
    sides, lists = [], []
    with gr.Row():
        for side in _SIDES:
            with gr.Column(min_width=280):
                image = gr.Image(
                    label=side, sources=["upload", "clipboard"], height=240, format="png",
                    elem_classes="photo",
                )  # fmt: skip
                image.preprocess = file_of  # read as samix reads photos, not by gradio
                word = gr.Textbox(
                    label=f"class of the {side}", placeholder=side, max_lines=1, max_length=TEXT
                )
                sides.append((image, word))
                lists.append(_list(context, side))
    button = gr.Button("Another pair", visible=context.offer is not None)
    with gr.Row():
        lam = gr.Slider(0, 1, value=0.5, step=0.01, label="lam: share of the original")
        seed = gr.Number(value=0, precision=0, minimum=0, label="seed: places of boxes and blobs")
    first = [name for name in context.policies if name in _FIRST]
    names = gr.CheckboxGroup(list(context.policies), value=first, label="policies")
    found = gr.HTML(message(_NO_PHOTOS))
    inputs = [sides[0][0], sides[1][0], sides[0][1], sides[1][1], lam, seed, names]
    gr.on(
        [one.change for one in inputs],
        lambda a, b, first, second, *rest: see(context, (a, b), (first, second), *rest),
        inputs, found, trigger_mode="always_last", show_progress="hidden", api_name=False,
    )  # fmt: skip
    _connect(context, sides, lists, button)


def _list(context: Context, side: str) -> Any:
    """Return the list of photos, where there are some."""
    if context.offer is None:
        return None
    there, images = context.offer.choices(), context.offer.images
    label = f"{side} from {images.name}"
    if len(there) < len(images):
        label += f" ({len(there)} of {len(images)} photos)"
    return gr.Dropdown(there, value=None, label=label)


def _connect(
    context: Context, sides: Sequence[tuple[Any, Any]], lists: Sequence[Any], button: Any
) -> None:
    """Let the lists and the button fill in photos and classes."""
    offer = context.offer
    if offer is None:
        return

    def chosen(position: int | None) -> tuple[Any, str]:
        context.uploads.tidy()  # what is shown is kept among them, too
        return (None, "") if position is None else _read(offer, position)

    for (image, word), one in zip(sides, lists, strict=True):
        one.input(chosen, one, [image, word], show_progress="hidden", api_name=False)
    rng = random.Random()  # noqa: S311 - which photos are shown

    def draw() -> tuple[Any, ...]:
        first, second = offer.another_pair(rng)
        return (first, second, *chosen(first), *chosen(second))

    outputs = [*lists, *sides[0], *sides[1]]
    button.click(draw, None, outputs, show_progress="hidden", api_name=False)


def _read(offer: Offer, position: int) -> tuple[Any, str]:
    """Return a photo of the list and its class; what is wrong is shown in the page."""
    try:
        return offer.read(position)
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from error


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
