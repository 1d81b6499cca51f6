"""What a way of mixing does: masks over lam, area over lam, and masks against heat."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from .explain_data import Explanation, MixerStudy, Sweep
from .explain_pictures import (
    between,
    heated,
    thumb,
)
from .page import Figure, Section, Strip, Thumb
from .saving import save

READ_MASKS = (
    "White keeps the first photo, black shows the second; from left to right the first photo gets "
    "more. A Mixer that has learned something keeps what matters in each photo."
)
READ_AREA = (
    "Each line is a pair; on the dotted line the mask takes exactly the share that was wanted."
)
READ_FOLLOWS = (
    "Above zero, masks keep the first photo where the network looks at the compared photo; "
    "useful masks are above zero for the original, below it for the partner, and clearly away from "
    "the grey line of a photo that has nothing to do with the pair."
)
_FLAT = 0.1  # as training judges whether a Mixer is alive
_COLOURS = {"original": "#d1731f", "partner": "#3b6ea8", "unrelated": "#9a9a9a"}


def mixer_section(whole: Explanation, area: bytes, follows: bytes | None) -> Section:
    """Return the masks of a few pairs, and the curves.

    Args:
        whole: The explanation.
        area: The PNG of :func:`draw_area`.
        follows: The PNG of :func:`draw_follows`; None where masks are not compared with heat.
    """
    study = whole.mixer
    title = f"How the Mixer mixes ({whole.policy})" if study.looks else "How the run mixed"
    intro = READ_MASKS
    if not study.looks:
        intro = (
            f"The run has no Mixer: its masks are made by the rule of {whole.mixed_by}, which does "
            "not look at the photos. White keeps the first photo, black shows the second."
        )
    numbers = f" {follow_sentence(study)}" if study.follows else ""
    figures = [Figure(area, READ_AREA, "area of masks over lam")]
    if follows is not None:
        figures.append(Figure(follows, READ_FOLLOWS, "correlation of masks and heat over lam"))
    return Section(title, intro + numbers, [*mask_strips(study), *figures])


def mask_strips(study: MixerStudy) -> list[Strip]:
    """Return one strip a pair: both photos, where the network looks in them, masks over lam."""
    shown = study.sweeps if study.looks else study.sweeps[:2]
    return [Strip(_pictures(study, s), title=between(s.names), dense=True) for s in shown]


def follow_sentence(study: MixerStudy) -> str:
    """Return what the correlation of masks and heat says at lam 0.5, in words."""
    middle = study.lam.index(0.5)
    own, theirs = study.follows["original"][middle], study.follows["partner"][middle]
    chance = study.follows.get("unrelated", [None] * len(study.lam))[middle]
    if own is None or theirs is None:
        return "The masks are flat at lam 0.5: this Mixer mixes as plain mixup does."
    text = (
        f"At lam 0.5 the mask's correlation with where the network looks is {own:+.2f} for the "
        f"original and {theirs:+.2f} for the partner"
    )
    text = f"{text} ({chance:+.2f} for an unrelated photo)." if chance is not None else f"{text}."
    if study.deviation < _FLAT:
        text += f" The masks are nearly flat (they vary by {study.deviation:.2f}), as in mixup."
    return text


def draw_area(path: str | Path, study: MixerStudy) -> None:
    """Draw the area of masks against lam.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        study: What was measured.
    """
    canvas, axes = _canvas()
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1.0, linestyle=":")
    for row in study.area:
        axes.plot(study.lam, row.tolist(), color="#3b6ea8", alpha=0.25, linewidth=1.0)
    axes.plot(study.lam, study.area.mean(0).tolist(), color="#1f3f66", linewidth=2.0, label="mean")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="lam (wanted)", ylabel="area of the mask (got)")
    axes.set_title(f"How much of the mask the first photo gets ({len(study.area)} pairs)",
                   fontsize=10)  # fmt: skip
    axes.legend(frameon=False, loc="upper left", fontsize=10)
    save(canvas, path)


def draw_follows(path: str | Path, study: MixerStudy) -> None:
    """Draw the correlation of masks and heat against lam.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        study: What was measured, with ``follows``.
    """
    canvas, axes = _canvas()
    axes.axhline(0, color="0.4", linewidth=1.0, linestyle=":")
    for name, values in study.follows.items():
        line = [math.nan if value is None else value for value in values]
        axes.plot(study.lam, line, color=_COLOURS[name], marker="o", markersize=4,
                  label=f"{name} photo")  # fmt: skip
    axes.set(xlim=(0, 1), xlabel="lam", ylabel="correlation of mask and heat")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.3), max(high, 0.3))
    axes.set_title("Does the mask follow where the network looks?", fontsize=10)
    axes.legend(frameon=False, fontsize=10)
    save(canvas, path)


def _pictures(study: MixerStudy, sweep: Sweep) -> list[Thumb]:
    pictures = []
    for side, word in enumerate(("original", "partner")):
        name = sweep.names[side]
        pictures.append(thumb(sweep.photos[side], f"{word}: {name}" if name else word))
        if sweep.heats is not None and study.looks:
            heat = heated(sweep.photos[side], sweep.heats[side])
            looks = float(sweep.heats[side].max()) > 0
            pictures.append(thumb(heat, "where it looks" if looks else "it looks nowhere", word))
    for at, lam in enumerate(study.lam):
        pictures.append(thumb(sweep.masks[at], f"lam {lam:g}", f"area {sweep.area[at]:.2f}"))
    return pictures


def _canvas() -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(5.2, 3.5), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    axes.tick_params(labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return canvas, axes
