"""What a policy makes of some pairs, row by row: pictures, numbers, and what is to be said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from samix.mixing import MixPlan, blend, mix_targets
from samix.shown import shown

from .parts import State
from .pictures import ORIGINAL, PARTNER, Outline, enlarged, save
from .words import NOTHING, Words, both, commas, rounded, word

_AT_LEAST = ("visibility", "plausibility")  # rules of a guard; the others have a limit above
_STATES: tuple[State, ...] = ("ok", "changed", "bad")


@dataclass(frozen=True)
class ShownPhotos:
    """The photos of a batch as people see them."""

    images: Tensor  # (B,3,H,W) in [0, 1], not normalised
    target: Tensor  # (B,) int64, position of the class; -1 where there is no label
    classes: Sequence[str]  # names of the classes; empty where there are none
    names: Sequence[str]  # what each photo is called
    # (B,1,H,W) in [0, 1], how much of each pixel is defect; None where no photo has a mask
    regions: Tensor | None = None
    empty_masks: Sequence[bool] = ()  # ShownPhotos whose mask is given but shows no defect

    def class_of(self, position: int) -> str:
        """Return the class of a photo, or nothing."""
        target = int(self.target[position])
        return self.classes[target] if target >= 0 else ""


@dataclass(frozen=True)
class Remark:
    """What is said about a mix beyond its numbers."""

    badge: Words = NOTHING  # a word or two, such as "label noise"; empty where there is none
    state: State = "ok"  # how serious it is
    lines: tuple[Words, ...] = ()  # sentences
    noisy: bool = False  # the label promises what is not seen


@dataclass(frozen=True)
class MixRow:
    """One pair and its mix."""

    original: int  # position of the original in the batch
    partner: int  # position of the partner
    names: tuple[str, str]  # what both are called
    classes: tuple[str, str]  # classes of both; empty words where there is no label
    lam: float  # weight of the original as drawn
    area: float  # area that the mask has
    weight: float  # share of the original that the label uses
    # classes of the soft label with their shares, the largest first
    label: tuple[tuple[str, float], ...]
    # original, partner, mask and mix: (3,H,W) or (1,H,W) in [0, 1]
    pictures: tuple[Tensor, Tensor, Tensor, Tensor]
    verdict: Remark = Remark()  # what is said about it
    # the same place of the batch after a guard has repaired the mix, where it has
    after: MixRow | None = None

    @property
    def label_words(self) -> Words:
        """Such as "64 % crack, 36 % good"."""
        shown = [pair for pair in self.label if pair[1] >= _SEEN / 10]
        named = any(self.classes)
        return commas(
            both(f"{rounded(share)} ") + (name if named else word(f"picture-{name}"))
            for name, share in shown
        )

    def record(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return {
            "original": {"photo": self.names[0], "class": self.classes[0] or None},
            "partner": {"photo": self.names[1], "class": self.classes[1] or None},
            "lam": self.lam,
            "area": self.area,
            "weight": self.weight,
            "label": dict(self.label),
            "badge": self.verdict.badge.en or None,
            "lines": [line.en for line in self.verdict.lines],
            **({} if self.after is None else {"after_guard": self.after.record()}),
        }


def mix_rows(
    photos: ShownPhotos,
    plan: MixPlan,
    verdicts: Sequence[Remark] = (),
    *,
    count: int | None = None,
    outlines: bool = True,
) -> list[MixRow]:
    """Return what a plan makes of the first photos of a batch, of all where count is None."""
    if len(plan) != len(photos.images) or (verdicts and len(verdicts) != len(plan)):
        raise ValueError(
            f"plan, verdicts: expected one for each of {len(photos.images)} photos, got "
            f"{len(plan)} and {len(verdicts)}"
        )
    plan = plan.detach().to("cpu")
    mixed = blend(photos.images, plan)
    regions = photos.regions if outlines else None
    moved = None if regions is None else moved_regions(regions, plan)
    rows = []
    for number in range(len(plan) if count is None else min(count, len(plan))):
        partner = int(plan.index[number])
        around = _around(number, plan, regions, moved)
        pictures = (
            enlarged(photos.images[number], around[0]),
            enlarged(photos.images[partner], around[1]),
            enlarged(plan.mask[number]),
            enlarged(mixed[number], around[2]),
        )
        row = MixRow(
            original=number,
            partner=partner,
            names=(photos.names[number], photos.names[partner]),
            classes=(photos.class_of(number), photos.class_of(partner)),
            lam=float(plan.lam[number]),
            area=float(plan.area[number]),
            weight=float(plan.weight[number]),
            label=_label(photos, plan, number),
            pictures=pictures,
            verdict=verdicts[number] if verdicts else Remark(),
        )
        rows.append(row)
    return rows


def _around(
    number: int, plan: MixPlan, regions: Tensor | None, moved: Tensor | None
) -> tuple[list[Outline], list[Outline], list[Outline]]:
    """Return the outlines on original, partner and mix; in the mix of those in the label."""
    if regions is None or moved is None:
        return [], [], []
    own, theirs = (regions[number], ORIGINAL), (moved[number], PARTNER)
    shares = plan.shares[number].tolist()
    in_mix = [one for one, share in zip((own, theirs), shares, strict=True) if share > 0]
    return [own], [(regions[int(plan.index[number])], PARTNER)], in_mix


def together(*verdicts: Remark) -> Remark:
    """Return several verdicts on one mix as one: all that they say, and the most serious state."""
    worst = _STATES[max((_STATES.index(verdict.state) for verdict in verdicts), default=0)]
    return Remark(
        commas(verdict.badge for verdict in verdicts if verdict.badge),
        worst,
        tuple(line for verdict in verdicts for line in verdict.lines),
        any(verdict.noisy for verdict in verdicts),
    )


def rule_lines(said: Mapping[str, tuple[Tensor, Tensor, Tensor]], place: int) -> tuple[Words, ...]:
    """Return what each rule of a guard says about one mix, with its numbers.

    ``said`` is what ``samix.guard.Guard.verdicts`` returns.
    """
    return tuple(
        word(
            "rule-said", rule=word(f"rule-{rule}"), number=float(number[place]),
            bound=word("rule-at-least" if rule in _AT_LEAST else "rule-at-most",
                       limit=float(limit[place])),
            state=word("rule-kept" if bool(passed[place]) else "rule-broken"),
        )
        for rule, (passed, number, limit) in said.items()
    )  # fmt: skip


def photo_words(side: str, name: str) -> Words:
    """Return "original: crack", or the side alone for a photo without a class."""
    told = word(f"picture-{side}")
    return word("picture-of", what=told, names=name) if name else told


def moved_regions(regions: Tensor, plan: MixPlan) -> Tensor:
    """Return (B,1,H,W) where the partners' defects lie in the mix, whether they are seen or not."""
    moved = blend(regions, replace(plan, mask=torch.zeros_like(plan.mask)))
    grid = plan.source.sampling
    if grid is None:
        return moved
    # beyond its border the partner is read as its outermost pixels
    inside = (grid.abs() < 1).all(-1).unsqueeze(1)
    return moved * inside


def _label(photos: ShownPhotos, plan: MixPlan, number: int) -> tuple[tuple[str, float], ...]:
    """Return the classes of a soft label with their shares; photos without label by their place."""
    if bool((photos.target >= 0).all()):
        classes = max(len(photos.classes), 2)  # photos of one class alone are shown, too
        soft = mix_targets(photos.target, plan, classes)[number].tolist()
        shares = list(zip(photos.classes, soft, strict=False))
    else:
        names = ("original", "partner")
        shares = list(zip(names, plan.shares[number].tolist(), strict=True))
    return tuple(sorted((pair for pair in shares if pair[1] > 0), key=lambda pair: -pair[1]))


_BLOCKS = 2  # pairs beside each other
_INCH = 1.55  # side of one picture
_SEEN = 5e-3  # numbers that differ by less look equal


def draw_mixes(
    path: str | Path,
    images: Tensor,
    plan: MixPlan,
    labels: Sequence[str],
    *,
    partner_images: Tensor | None = None,
    title: str = "",
    pairs: int = 8,
) -> None:
    """Draw pairs of photos (B,3,H,W) in [0, 1] with their mask and mix, and the plan's numbers.

    Partners are taken from ``partner_images`` where that is another view.
    """
    if not len(images) == len(plan) == len(labels):
        raise ValueError(
            f"images, plan, labels: expected the same number of each, got {len(images)}, "
            f"{len(plan)} and {len(labels)}"
        )
    images, plan = images.detach().float().cpu(), plan.detach().to("cpu")
    partners = images if partner_images is None else partner_images.detach().float().cpu()
    mixed = blend(images, plan, partner_images=partners).clamp(0, 1)
    count = min(pairs, len(images))
    rows = math.ceil(count / _BLOCKS)
    width, height = _INCH * 4 * _BLOCKS + 0.6, (_INCH + 0.62) * rows + 0.4
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    # one pair of axes for all pictures, in inches: a pair for each takes most of the time
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), frameon=False)
    axes.set_axis_off()
    for number in range(count):
        row, block = divmod(number, _BLOCKS)
        left, top = 0.2 + block * (width - 0.2) / _BLOCKS, height - 0.95 - row * (_INCH + 0.62)
        partner = int(plan.index[number])
        for column, (picture, text) in enumerate((
            (images[number], f"original\n{short(labels[number])}"),
            (partners[partner], f"partner\n{short(labels[partner])}"),
            (plan.mask[number], "mask\n(white: original)"),
            (mixed[number], f"mix\n{_numbers(plan, number)}"),
        )):  # fmt: skip
            _show(axes, picture, text, left + column * _INCH, top)
    save(figure, path)


def _numbers(plan: MixPlan, number: int) -> str:
    """Return lam and area of one pair; the label's share too where it is neither."""
    lam, area, weight = (float(v[number]) for v in (plan.lam, plan.area, plan.weight))
    text, rest = f"lam {lam:.2f}  area {area:.2f}", float(plan.partner_share[number])
    if abs(weight + rest - 1.0) >= _SEEN:
        return f"{text}\nlabel {weight:.2f} and {rest:.2f}"
    return text if abs(weight - lam) < _SEEN else f"{text}\nlabel {weight:.2f}"


def short(label: str, width: int = 16) -> str:
    """Return a label that fits above a picture, in which nothing is obeyed."""
    label = shown(label)
    return label if len(label) <= width else f"{label[: width - 1]}…"


def _show(axes: Axes, picture: Tensor, text: str, left: float, top: float) -> None:
    """Draw a (3,H,W) image or (1,H,W) mask in [0, 1], white is 1, with a text above it."""
    side = _INCH - 0.08
    height, width = (side * length / max(picture.shape[1:]) for length in picture.shape[1:])
    pixels = picture.expand(3, -1, -1).permute(1, 2, 0).numpy()
    place = (left, left + width, top - height, top)
    axes.imshow(pixels, extent=place, interpolation="nearest", aspect="auto")
    axes.add_patch(Rectangle((left, top - height), width, height, fill=False, color="0.6", lw=0.8))
    # class names are the user's: no mathematics between dollar signs
    axes.text(left + width / 2, top + 0.04, text, fontsize=7.5, linespacing=1.15, ha="center",
              va="bottom", parse_math=False)  # fmt: skip
