"""preview.html and preview.png: the same pairs of photos under several policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from samix._version import __version__
from samix.pages.mixes import MixRow, percent, short
from samix.pages.parts import Section, Strip, Table, Thumb, image_png, write_page
from samix.pages.pictures import save

from .mixes import Look, PolicyMixes
from .verdicts import LABEL_NOISE

_READ = (
    "Mask: white shows the original, black the partner. lam is the share of the original that was "
    "drawn, area the share that the mask gives it; the line above the pictures is the label."
)
_OUTLINES = "Outlines: orange around the defect of the original, blue around that of the partner."
_NAME = 40  # letters of a photo's name


def preview_sections(policies: Sequence[PolicyMixes], *, outlines: bool) -> list[Section]:
    """Return the parts of the page: a table of all policies, then one section a policy.

    Args:
        policies: With the same pairs.
        outlines: Defects have an outline in the pictures.
    """
    read = f"{_READ} {_OUTLINES}" if outlines else _READ
    sections = [Section("How to read the rows", read, [_table(policies)])]
    for policy in policies:
        strips = [_strip(row, place) for place, row in enumerate(policy.rows, start=1)]
        sections.append(Section(policy.name, policy.about, strips))
    return sections


def _table(policies: Sequence[PolicyMixes]) -> Table:
    header = ["policy", "lam from", "label uses", "area off lam"]
    known = any(policy.defects is not None for policy in policies)
    guarded = any(policy.guarded for policy in policies)
    header += ["label noise"] * known + ["repaired"] * guarded
    rows = []
    for policy in policies:
        row = [
            policy.name,
            policy.draw.replace(", ", ",\u00a0"),
            policy.label_text,
            f"{policy.area_from_lam:.2f}",
        ]
        row += [f"{policy.noisy} of {policy.defects}"] * known
        repaired = f"{len(policy.repaired)} of {len(policy.rows)}" if policy.guarded else "none"
        rows.append(row + [repaired] * guarded)
    caption = "Area off lam: mean distance of the two."
    if known:
        caption += (
            " Label noise: of the mixes with a defect in their label, those where a class has 20 % "
            "of the label or more, but less than 10 % of its defect is visible. So few mixes show "
            "what happens, not how often."
        )
    return Table(header, [[_whole(cell) for cell in row] for row in rows], _whole(caption))


def _strip(row: MixRow, place: int) -> Strip:
    """Return one pair as pictures with its lines."""
    original, partner, mask, mix = (image_png(picture) for picture in row.pictures)
    numbers = f"lam {row.lam:.2f}, area {row.area:.2f}"
    after = []
    if row.after is not None:
        after = [Thumb(image_png(row.after.pictures[3]), "after the guard", row.after.label_text)]
    return Strip(
        thumbs=[
            Thumb(original, _named("original", row.classes[0]), short_name(row.names[0])),
            Thumb(partner, _named("partner", row.classes[1]), short_name(row.names[1])),
            Thumb(mask, "mask", numbers),
            Thumb(mix, "mix"),
            *after,
        ],
        title=_whole(f"{place}. {row.label_text}"),
        lines=[_whole(line) for line in row.verdict.lines],
        badge=row.verdict.badge,
        state=row.verdict.state,
        large=True,
    )


def short_name(name: str) -> str:
    """Return the file name of a photo, or its row in a table."""
    file, _, row = name.rpartition("#")
    last = f"row {row}" if file.endswith(".parquet") else name.rpartition("/")[2]
    return short(last, _NAME)


def _whole(text: str) -> str:
    """Return a text whose percents stay with their number at the end of a line."""
    return text.replace(" %", "\u00a0%")


def _named(what: str, name: str) -> str:
    return f"{what}: {name}" if name else what


_SIDE = 1.25  # of one picture, in inches; all lengths here are
_GAP = 0.1  # between pictures of one policy
_WIDE_GAP = 0.3  # before those of the next one
_LINES = 0.56  # above each picture, for two or three lines of text
_HEAD = 0.66  # above all
_EDGE = 0.15
_COLOURS = {"ok": "0.6", "changed": "#a4650b", "bad": "#b3282d"}


@dataclass(frozen=True)
class _Sheet:
    """Places pictures of a fixed size on a figure.

    Attributes:
        figure: The figure.
        each: Pictures of each policy in a row.
    """

    figure: Figure
    each: int

    def at(self, place: int, column: int, row: int) -> Axes:
        """Return axes for a picture of a policy; place 0 has original and partner."""
        width, height = (float(length) for length in self.figure.get_size_inches())
        left = _left(place, self.each) + column * (_SIDE + _GAP)
        bottom = height - _HEAD - (row + 1) * (_SIDE + _LINES)
        return self.figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))

    def say(self, left: float, down: float, text: str, size: float, weight: str = "normal") -> None:
        """Write a line at a distance from the left and the upper edge."""
        width, height = (float(length) for length in self.figure.get_size_inches())
        self.figure.text(
            left / width, 1 - down / height, text, fontsize=size, weight=weight, va="top",
            parse_math=False,
        )  # fmt: skip


def draw_preview(path: str | Path, policies: Sequence[PolicyMixes], *, title: str = "") -> None:
    """Draw original and partner of each pair, then mask and mix of each policy.

    Where a guard looked at the mixes, what it put in the place of a mix stands beside it.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        policies: With the same pairs in their rows.
        title: Line above all.

    Raises:
        ValueError: No policy, or not the same number of rows, at least one.
    """
    counts = {len(policy.rows) for policy in policies}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"policies: expected one or more rows, equally many, got {counts}")
    each = 3 if any(policy.guarded for policy in policies) else 2
    width = _left(len(policies) + 1, each) - _WIDE_GAP + _EDGE
    figure = Figure(figsize=(width, _HEAD + counts.pop() * (_SIDE + _LINES) + _EDGE), dpi=110)
    FigureCanvasAgg(figure)
    sheet = _Sheet(figure, each)
    sheet.say(_EDGE, 0.12, title, 11)
    for number, row in enumerate(policies[0].rows):
        _photos(sheet.at(0, 0, number), sheet.at(0, 1, number), row, number)
    for place, policy in enumerate(policies, start=1):
        sheet.say(_left(place, each), 0.5, short(policy.name, 30), 10, "bold")
        for number, row in enumerate(policy.rows):
            same = row.partner == policies[0].rows[number].partner
            _mix(sheet.at(place, 0, number), sheet.at(place, 1, number), row, same)
            if row.after is not None:
                done = row.verdict.badge.rpartition(": ")[2]
                _after(sheet.at(place, 2, number), row.after, done)
    save(figure, path)


def _left(place: int, each: int) -> float:
    """Return where the pictures of a policy begin; place 0 has original and partner."""
    pictures, groups = (2 + (place - 1) * each, place) if place else (0, 0)
    return _EDGE + pictures * (_SIDE + _GAP) + groups * (_WIDE_GAP - _GAP)


def _photos(left: Axes, right: Axes, row: MixRow, number: int) -> None:
    """Draw original and partner."""
    _show(left, row.pictures[0], f"{number + 1}. original\n{short(row.classes[0])}")
    _show(right, row.pictures[1], f"partner\n{short(row.classes[1])}")


def _mix(left: Axes, right: Axes, row: MixRow, same_partner: bool) -> None:
    """Draw mask and mix with lam, area, label and badge."""
    numbers = f"lam {row.lam:.2f}\narea {row.area:.2f}"
    _show(left, row.pictures[2], numbers if same_partner else f"another partner\n{numbers}")
    label = _label(row)
    badge, state = row.verdict.badge.partition(":")[0], row.verdict.state
    colour = _COLOURS[state] if badge else _COLOURS["ok"]
    _show(right, row.pictures[3], f"{short(badge, 22)}\n{label}" if badge else label, colour)
    if badge and state != "ok":
        right.title.set_color(colour)


def _after(axes: Axes, row: MixRow, done: str) -> None:
    """Draw what a guard put in the place of a mix, and what it did."""
    _show(axes, row.pictures[3], f"{short(row.verdict.badge or done, 22)}\n{_label(row)}")


def _label(row: MixRow) -> str:
    return "\n".join(f"{percent(share)} {short(name, 12)}" for name, share in row.label[:2])


def _show(axes: Axes, picture: Tensor, text: str, colour: str = "0.6") -> None:
    """Draw a picture in [0, 1] with a text above it and a frame."""
    values = picture.permute(1, 2, 0).numpy()
    axes.imshow(values, cmap="gray", vmin=0.0, vmax=1.0, interpolation="antialiased")
    # class names are the user's: no mathematics between dollar signs
    axes.set_title(text, fontsize=7.5, linespacing=1.15, pad=3, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(0.8 if colour == _COLOURS["ok"] else 2.5)


def record_of(found: Look) -> dict[str, Any]:
    """Return what preview.json holds."""
    return {
        "data": found.data,
        "photos": found.what,
        "seed": found.seed,
        "image_size": found.photos.images.shape[-1],
        "policies": {policy.name: policy.record() for policy in found.policies},
    }


def title_of(found: Look) -> str:
    """Return the line above preview.png."""
    size = found.photos.images.shape[-1]
    return f"Mixes of {found.data}, {size} px, seed {found.seed} (mask: white shows the original)"


def lead_of(found: Look) -> str:
    """Return what a hurried reader must know."""
    first, *others = found.policies
    count = len(first.rows)
    pairs = "1 pair" if count == 1 else f"{count} pairs"
    text = f"{pairs} of photos as a network would see them, mixed before any training"
    if others:
        lam = [row.lam for row in first.rows]
        apart = [p.name for p in others if not _close(lam, p.rows)]
        but = f" except in {' and '.join(apart)}" if apart else ""
        text += f": the same pairs under {len(found.policies)} policies, with the same lam{but}"
    noisy = [f"{p.noisy} of {p.defects} with {p.name}" for p in found.policies if p.noisy]
    if noisy:
        text += (
            ".\nLabel noise (the label promises a defect that can hardly be seen) in mixes with a "
            f"defect: {', '.join(noisy)}"
        )
    guarded = [p for p in found.policies if p.guarded]
    if guarded:
        repaired = [f"{len(p.repaired)} of {len(p.rows)} with {p.name}" for p in guarded]
        rows = [row.after or row for p in guarded for row in p.rows]
        left = sum(LABEL_NOISE in row.verdict.badge for row in rows)
        text += f".\nThe guard repaired {', '.join(repaired)}"
        text += f"; label noise is left in {left}" if noisy else ""
    return f"{text}."


def _close(lam: Sequence[float], rows: Sequence[MixRow]) -> bool:
    return all(abs(value - row.lam) < 1e-6 for value, row in zip(lam, rows, strict=True))


def facts_of(found: Look) -> list[tuple[str, str]]:
    """Return the small print of the page."""
    return [
        ("data", found.data),
        ("photos", found.what),
        ("image size", f"{found.photos.images.shape[-1]} px"),
        ("seed", str(found.seed)),
        ("samix", __version__),
    ]


def write_preview(output: Path, found: Look) -> None:
    """Write preview.png and, last, preview.html.

    Args:
        output: An existing folder.
        found: What was looked at.
    """
    draw_preview(output / "preview.png", found.policies, title=title_of(found))
    write_page(
        output / "preview.html",
        f"Mixes of {found.data}",
        preview_sections(found.policies, outlines=found.outlines),
        lead=lead_of(found),
        facts=facts_of(found),
    )
