"""The parts of preview.html: the same pairs of photos under several policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from samix.pages.mixes import MixRow, short
from samix.pages.parts import Section, Strip, Table, Thumb, image_png

_READ = (
    "Mask: white shows the original, black the partner. lam is the share of the original that was "
    "drawn, area the share that the mask gives it; the line above the pictures is the label."
)
_OUTLINES = "Outlines: orange around the defect of the original, blue around that of the partner."
_APART = 5e-4  # mean distance of area and lam that is none
_NAME = 40  # letters of a photo's name


@dataclass(frozen=True)
class PolicyMixes:
    """What one policy makes of the pairs.

    Attributes:
        name: What the policy is called.
        about: A few sentences about it.
        draw: Where lam comes from, such as "Beta(1, 1)".
        label: Which share the label uses: "area" or "lam".
        rows: The pairs.
        defects: How many rows have a defect class in the label whose defect is known; None where no
            defects are known.
        noisy: In how many of them the label promises a defect that is not seen.
        guarded: A guard looked at the mixes; ``after`` of a row is what it made of it.
    """

    name: str
    about: str
    draw: str
    label: str
    rows: Sequence[MixRow]
    defects: int | None = None
    noisy: int = 0
    guarded: bool = False

    @property
    def repaired(self) -> list[MixRow]:
        """The mixes that a guard put in the place of others."""
        return [row.after for row in self.rows if row.after is not None]

    @property
    def area_from_lam(self) -> float:
        """Mean distance of area and lam."""
        return fmean(abs(row.area - row.lam) for row in self.rows)

    @property
    def label_text(self) -> str:
        """What the label uses, where both are the same."""
        return self.label if self.area_from_lam >= _APART else "lam = area"

    def record(self) -> dict[str, Any]:
        """Return all but the pictures as plain values."""
        return {
            "about": self.about,
            "lam_from": self.draw,
            "label_uses": self.label,
            "mean_distance_of_area_and_lam": self.area_from_lam,
            "rows_with_defects": self.defects,
            "rows_with_label_noise": None if self.defects is None else self.noisy,
            **({"rows_repaired_by_guard": len(self.repaired)} if self.guarded else {}),
            "rows": [row.record() for row in self.rows],
        }


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
