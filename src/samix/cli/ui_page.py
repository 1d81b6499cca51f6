"""The page of `samix ui`, made with gradio."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from PIL import Image

from samix.errors import InputError

from .ui_cards import cards, message
from .ui_context import Context
from .ui_mix import Pair, mix_pair, open_shown
from .ui_photos import another_pair, choices, class_of, offered, read_photo

_SIDES = ("original", "partner")
_FIRST = ("mixup", "cutmix", "samix-p")
_FONT = ("system-ui", "Hiragino Sans", "Noto Sans CJK JP", "Meiryo", "sans-serif")
_MONO = ("ui-monospace", "Consolas", "monospace")
_LEAD = (
    "Two photos, one `lam` (the share of the original), one seed: what each policy makes of "
    "them. Nothing leaves this machine."
)

_REPORT = (
    "<p><a href='/report' target='_blank'>Open it in a tab of its own</a></p>"
    "<iframe src='/report' title='report of the study' style='width:100%;height:80vh;"
    "border:1px solid var(--border-color-primary)'></iframe>"
)


def file_of(payload: Any) -> str | None:
    """Return the file of a photo that was dropped in; gradio has checked that it may be read."""
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
    files: tuple[str | None, str | None],
    classes: tuple[str, str],
    lam: float,
    seed: float | None,
    names: Sequence[str],
) -> str:
    """Return the cards of a pair of photos, or one sentence that says what is missing.

    Args:
        files: Where both photos lie.
        classes: What they show.
        lam: Share of the original.
        seed: Of what is drawn beside lam; None is 0.
        names: Of the policies.
    """
    if files[0] is None or files[1] is None:
        return message("Drop in two photos, or choose them from the list.")
    if not names:
        return message("Choose at least one policy.")
    try:
        original, partner = (
            read_photo(file or "", what) for file, what in zip(files, _SIDES, strict=True)
        )
        pair = Pair(original, partner, classes, float(lam), int(seed or 0))
        return cards(mix_pair(pair, open_shown(names)))
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
                word = gr.Textbox(label=f"class of the {side}", placeholder=side, max_lines=1)
                sides.append((image, word))
                lists.append(_list(context, side))
    button = gr.Button("Another pair", visible=context.images is not None)
    with gr.Row():
        lam = gr.Slider(0, 1, value=0.5, step=0.01, label="lam: share of the original")
        seed = gr.Number(value=0, precision=0, minimum=0, label="seed: places of boxes and blobs")
    first = [name for name in context.policies if name in _FIRST]
    names = gr.CheckboxGroup(list(context.policies), value=first, label="policies")
    found = gr.HTML(message("Drop in two photos, or choose them from the list."))
    inputs = [sides[0][0], sides[1][0], sides[0][1], sides[1][1], lam, seed, names]
    gr.on(
        [one.change for one in inputs],
        lambda a, b, first, second, *rest: see((a, b), (first, second), *rest),
        inputs, found, trigger_mode="always_last", show_progress="hidden", api_name=False,
    )  # fmt: skip
    _connect(context, sides, lists, button)


def _list(context: Context, side: str) -> Any:
    """Return the list of photos, where there are some."""
    if context.images is None:
        return None
    there = choices(context.images, offered(context.images))
    label = f"{side} from {context.images.name}"
    if len(there) < len(context.images):
        label += f" ({len(there)} of {len(context.images)} photos)"
    return gr.Dropdown(there, value=None, label=label)


def _connect(
    context: Context, sides: Sequence[tuple[Any, Any]], lists: Sequence[Any], button: Any
) -> None:
    """Let the lists and the button fill in photos and classes."""
    images = context.images
    if images is None:
        return
    for (image, word), one in zip(sides, lists, strict=True):
        one.input(_chosen(images), one, [image, word], show_progress="hidden", api_name=False)
    rng = random.Random()  # noqa: S311 - which photos are shown
    positions = offered(images)

    def draw() -> tuple[Any, ...]:
        first, second = another_pair(images, positions, rng)
        read = _chosen(images)
        return (first, second, *read(first), *read(second))

    outputs = [*lists, *sides[0], *sides[1]]
    button.click(draw, None, outputs, show_progress="hidden", api_name=False)


def _chosen(images: Any) -> Callable[[int | None], tuple[Image.Image | None, str]]:
    """Return what fills in a photo of the list, and its class."""

    def read(position: int | None) -> tuple[Image.Image | None, str]:
        if position is None:
            return None, ""
        try:
            return images.read(position), class_of(images, position)
        except InputError as error:
            raise gr.Error(str(error)) from error

    return read
