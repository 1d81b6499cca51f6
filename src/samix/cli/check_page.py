"""The page of `samix check`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from samix.data.duplicates.leakage import large_notes
from samix.data.health import TEST_SHARE, Check, imbalance, size_facts
from samix.report.page import Section, State, Strip, Table, Thumb, image_png
from samix.shown import shown

from .check_summary import duplicate_lines, judged_words, needed_line, warnings_of

_SIDE = 132  # px, of a small picture
_STRIPS = 24  # groups that a section shows
_DOUBTFUL = 12  # pairs that are shown
_THUMBS = 7  # photos that a group shows
_LISTED = 50  # corrupt photos that are named


def lead_of(found: Check) -> str:
    """Return what a hurried reader must see."""
    problems = found.problems()
    verdict = (
        "Something was found that makes results on these photos untrustworthy."
        if problems
        else "Nothing was found that makes results on these photos untrustworthy."
    )
    return "\n".join(map(shown, [verdict, *problems, *duplicate_lines(found)]))


def facts_of(found: Check) -> list[tuple[str, str]]:
    """Return names and values for the small print."""
    sizes = size_facts(found)
    width, height = sizes["width"], sizes["height"]
    if not isinstance(width, list) or not isinstance(height, list):
        raise TypeError(f"size_facts: expected lists, got {width!r} and {height!r}")
    return [
        ("photos", f"{len(found.images):,}"),
        ("independent parts", f"{found.parts:,} by {found.grouping}"),
        ("sizes", f"{sizes['different']:,} different"),
        ("width", f"{width[0]} to {width[2]} px, median {width[1]}"),
        ("height", f"{height[0]} to {height[2]} px, median {height[1]}"),
    ]


def check_sections(found: Check) -> list[Section]:
    """Return the parts of the page; those without anything to show are left out."""
    twins = found.duplicates
    strips = _Strips(found)
    notes = warnings_of(found)
    sections = [
        _classes(found),
        Section("Notes", "\n".join(map(shown, notes))) if notes else None,
        _corrupt(found),
        strips.section(
            "Near-duplicates between given parts",
            "Each row shows photos of the same in several parts. What is tested on was learned "
            "from, so that the test says more than is true. Remove them from one side.",
            [] if found.leakage is None else found.leakage.groups,
            "leakage",
            "bad",
        ),
        strips.section(
            "Labels that disagree",
            "Each row shows photos of the same under several labels. Either a label is wrong, or "
            "what tells the classes apart is not visible in every photo.",
            found.disagreeing,
            "labels",
            "bad",
        ),
        strips.section(
            "Groups that are too large to be used without being asked for",
            " ".join(large_notes(twins, "this page")),
            twins.large,
            "not used",
            "changed",
        ),
        strips.section(
            "Near-duplicates that the given groups divide",
            f"Photos of the same in several groups of {found.grouping}.",
            found.divided,
            "divided",
            "changed",
        ),
        strips.section(
            "The most doubtful near-duplicates",
            "One pair of a group in each row, the least sure first: if these show the same, the "
            "others very likely do too. 'agrees' is the correlation of the two photos, without "
            "light and contrast, once one is laid over the other: 1 is the same, and from 0.8 on "
            "they count as near-duplicates.",
            _doubtful(found),
        ),
        strips.section(
            "The largest groups of duplicates",
            "'samix train' and 'samix pretrain' keep each of these groups on one side of a split.",
            twins.groups,
        ),
    ]
    return [section for section in sections if section is not None]


def _classes(found: Check) -> Section:
    """Return the table of classes, and what can be judged."""
    given = [side for side in ("train", "val", "test") if side in found.images.given_split]
    header = ["class", "photos", *given, "independent parts", "test parts", "recall is known to"]
    rows = [
        [
            count.name or "(no labels)",
            f"{count.photos:,}",
            *(f"{count.by_split.get(side, 0):,}" for side in given),
            f"{count.parts:,}",
            f"{count.test_parts:,}",
            judged_words(count) if count.name else "",
        ]
        for count in found.classes
    ]
    tested = (
        "Test parts are those of the given test part that are in no other part."
        if "test" in given
        else f"Test parts are the {TEST_SHARE:.0%} that a new split takes."
    )
    balance = (
        f"The largest class has {imbalance(found.classes):.1f} times the photos of the smallest. "
        if len(found.classes) > 1
        else ""
    )
    intro = (
        f"{balance}Photos of one part say the same thing again: what counts for a judgement are "
        f"independent parts, counted by {found.grouping}."
    )
    return Section("Classes", intro, [Table(header, rows, f"{tested} {needed_line()}")])


def _corrupt(found: Check) -> Section | None:
    if not found.corrupt:
        return None
    rows = [[key, reason] for key, reason in found.corrupt[:_LISTED]]
    more = len(found.corrupt) - len(rows)
    caption = f"{more:,} more are in check.json." if more else ""
    intro = "These files were left out of everything below. Repair or remove them."
    return Section("Photos that cannot be read", intro, [Table(["photo", "why"], rows, caption)])


def _doubtful(found: Check) -> list[Sequence[int]]:
    """Return pairs, those that agree least first, one a group."""
    twins = found.duplicates
    place = {i: n for n, group in enumerate((*twins.groups, *twins.large)) for i in group}
    seen: set[int] = set()
    pairs: list[Sequence[int]] = []
    for row in np.argsort(twins.agreement, kind="stable"):
        first, second = twins.pairs[row].tolist()
        group = place.get(first, -1)
        if group not in seen and len(pairs) < _DOUBTFUL:
            seen.add(group)
            pairs.append((first, second))
    return pairs


class _Strips:
    """Makes rows of small pictures; a photo that several rows show is read once.

    Args:
        found: What was found.
    """

    def __init__(self, found: Check) -> None:
        self.found = found
        twins = found.duplicates
        rows = zip(twins.pairs.tolist(), twins.agreement, twins.mirrored, strict=True)
        self._how = {(a, b): (float(value), bool(mirror)) for (a, b), value, mirror in rows}
        self._pixels = {i: group[0] for group in twins.equal for i in group}
        self._pictures: dict[int, bytes] = {}

    def section(
        self,
        title: str,
        intro: str,
        groups: Sequence[Sequence[int]],
        badge: str = "",
        state: State = "ok",
    ) -> Section | None:
        """Return a section with some of the groups, or None where there are none."""
        if not groups:
            return None
        strips = [self._strip(group, badge, state) for group in groups[:_STRIPS]]
        more = len(groups) - len(strips)
        ending = (
            f"\n{len(strips)} of {len(groups):,} are shown; check.json has all." if more else ""
        )
        return Section(f"{title} ({len(groups):,})", intro + ending, strips)

    def _strip(self, group: Sequence[int], badge: str, state: State) -> Strip:
        shown = self._varied(group)
        first = shown[0]
        thumbs = [Thumb(self._picture(i), self._label(i), self._note(first, i)) for i in shown]
        more = len(group) - len(shown)
        lines = (f"and {more:,} more photos",) if more else ()
        return Strip(thumbs, f"{len(group)} photos", lines, badge, state)

    def _varied(self, group: Sequence[int]) -> list[int]:
        """Return the first photo and some others, of as many labels and parts as there are."""
        images = self.found.images
        kinds: dict[tuple[int, str | None], list[int]] = {}
        for i in group:
            kinds.setdefault((images.targets[i], images.given_split[i]), []).append(i)
        columns = [iter(members) for members in kinds.values()]
        turns: list[int] = []
        while columns and len(turns) < _THUMBS:
            for column in list(columns):
                photo = next(column, None)
                if photo is None:
                    columns.remove(column)
                elif len(turns) < _THUMBS:
                    turns.append(photo)
        return [group[0], *(i for i in turns if i != group[0])]

    def _label(self, photo: int) -> str:
        images = self.found.images
        target, side = images.targets[photo], images.given_split[photo]
        words = [images.classes[target] if target >= 0 else "", side or ""]
        return ", ".join(word for word in words if word)

    def _note(self, first: int, photo: int) -> str:
        name = self.found.images.keys[photo].rpartition("/")[2]
        if photo == first:
            return name
        one, other = self._pixels.get(first, first), self._pixels.get(photo, photo)
        if one == other:
            return f"{name}: equal"
        how = self._how.get((min(one, other), max(one, other)))
        if how is None:
            return name
        return f"{name}: agrees {how[0]:.2f}{', mirrored' if how[1] else ''}"

    def _picture(self, photo: int) -> bytes:
        if photo not in self._pictures:
            image = self.found.images.read_for(photo, 2 * _SIDE).copy()
            image.thumbnail((2 * _SIDE, 2 * _SIDE), Image.Resampling.LANCZOS)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            small = max(image.size) < _SIDE // 2
            self._pictures[photo] = image_png(pixels, side=_SIDE, smooth=not small)
        return self._pictures[photo]
