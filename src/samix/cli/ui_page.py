"""The page of `samix ui`, made with gradio."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import gradio as gr

from samix.errors import InputError

from .ui_cards import cards, message
from .ui_context import Context
from .ui_inputs import TEXT
from .ui_mix import Pair, mix_pair, open_shown
from .ui_photos import Offer

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
