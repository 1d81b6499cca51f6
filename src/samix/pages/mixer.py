"""The page of a Mixer: masks and mixes of a few pairs for several lam, and area against lam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .charts import BOTTOM, LEFT, LINE, RIGHT, TOP, AxisScale, Style, class_style, framed
from .mixes import photo_words
from .parts import Chart, Section, Strip, write_page
from .pictures import thumb
from .words import Text, Words, both, word

_MOST_PAIRS = 6


@dataclass(frozen=True)
class Looks:
    """What a Mixer makes of some pairs."""

    images: Tensor  # (P,3,H,W) originals in [0, 1]
    partner: Tensor  # (P,3,H,W) partners
    # what each original and its partner are called; empty where there is no name
    names: Sequence[tuple[str, str]]
    lam: Sequence[float]  # values of lam whose masks are shown, L numbers
    masks: Tensor  # (L,P,1,H,W) in [0, 1], weight of the original
    swept: Tensor  # (N,) values of lam from 0 to 1
    area: Tensor  # (N,P) area of the mask at each of them


def write_mixer(
    path: str | Path, looks: Looks, *, title: Text, facts: Sequence[tuple[Text, Text]] = ()
) -> None:
    """Write the page of a Mixer, with one to six pairs, in both languages."""
    pairs = len(looks.images)
    if not 1 <= pairs <= _MOST_PAIRS:
        raise ValueError(f"looks: expected 1 to {_MOST_PAIRS} pairs, got {pairs}")
    sections = [
        Section(word("mixer-pairs"), word("see-masks-read"), mixer_strips(looks)),
        Section(word("see-area-title"), "", [_area_chart(looks)]),
    ]
    write_page(path, title, sections, facts=facts, language="both")


def mixer_strips(looks: Looks) -> list[Strip]:
    """Return one strip a pair: both photos, then the mask and the mix of each lam."""
    strips = []
    for at, names in enumerate(looks.names):
        original, partner = looks.images[at], looks.partner[at]
        pictures = [
            thumb(original, photo_words("original", names[0])),
            thumb(partner, photo_words("partner", names[1])),
        ]
        for lam, masks in zip(looks.lam, looks.masks, strict=True):
            mask = masks[at]
            area = word("see-area", area=float(mask.mean()))
            pictures.append(thumb(mask, word("picture-mask"), _lam(lam) + ", " + area))
            mix = torch.lerp(partner, original, mask).clamp(0, 1)
            pictures.append(thumb(mix, word("picture-mix"), _lam(lam)))
        strips.append(Strip(pictures, word("mixes-pair-bare", number=at + 1), dense=True))
    return strips


def _lam(lam: float) -> Words:
    return both(f"lam {lam:g}")


def _area_chart(looks: Looks) -> Chart:
    names = [word("mixes-pair-bare", number=at + 1) for at in range(len(looks.images))]
    legend = list(zip(names, map(class_style, range(len(names))), strict=True))
    lines = [
        (looks.area[:, at].tolist(), style.colour, 1.6, 1.0) for at, (_, style) in enumerate(legend)
    ]
    return area_chart(looks.swept.tolist(), lines, word("mixer-area-read"), legend)


def area_chart(
    lam: Sequence[float],
    lines: Sequence[tuple[Sequence[float], str, float, float]],
    reading: Words,
    legend: Sequence[tuple[Text, Style]] = (),
) -> Chart:
    """Return the area of masks against lam; each line has values, colour, width and opacity."""
    x, y = AxisScale(0.0, 1.0, LEFT, RIGHT), AxisScale(0.0, 1.0, BOTTOM, TOP)
    panel = framed(x, y, word("axis-lam-wanted"), word("axis-area-got"))
    panel.line([(x(0), y(0)), (x(1), y(1))], LINE, dash="4 3")
    for values, colour, width, opacity in lines:
        points = [(x(at), y(area)) for at, area in zip(lam, values, strict=True)]
        panel.line(points, colour, width=width, opacity=opacity)
    return Chart("area", word("see-area-title"), reading, [panel], legend)
