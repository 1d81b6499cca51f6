"""The page of `samix check`, its sentences, and its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from samix.data.duplicates.leakage import large_notes
from samix.data.duplicates.search import MOST_PHOTOS
from samix.data.health import (
    TEST_SHARE,
    TOO_FEW,
    Check,
    ClassCount,
    imbalance,
    parts_needed,
    size_facts,
)
from samix.shown import shown

from .parts import Section, State, Strip, Table, Thumb, image_png

_SIDE = 132  # px, of a small picture
_STRIPS = 24  # groups that a section shows
_DOUBTFUL = 12  # pairs that are shown
_THUMBS = 7  # photos that a group shows
_LISTED = 50  # corrupt photos that are named
_MOST_PAIRS = 10_000  # in the record
_WORTH_TELLING = 0.01  # of the test photos


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


def record_of(found: Check) -> dict[str, Any]:
    """Return all numbers as plain values."""
    images, twins = found.images, found.duplicates
    return {
        "data": images.name,
        "photos": len(images),
        "independent_parts": found.parts,
        "parts_by": found.grouping,
        "problems": found.problems(),
        "warnings": warnings_of(found),
        "classes": [
            {
                "name": count.name,
                "photos": count.photos,
                "parts": count.parts,
                "test_parts": count.test_parts,
                "recall_within": round(count.precision, 4),
                "by_split": dict(count.by_split),
            }
            for count in found.classes
        ],
        "imbalance": round(imbalance(found.classes), 2),
        "unlabelled": found.unlabelled,
        "sizes": size_facts(found),
        "corrupt": [{"photo": key, "reason": reason} for key, reason in found.corrupt],
        "depth": None if images.depth is None else images.depth.record(),
        "notes": list(images.notes),
        "equal": _keys(found, twins.equal),
        "near_duplicates": {
            "searched": len(images) <= MOST_PHOTOS,
            "groups": _keys(found, twins.groups),
            "too_large": _keys(found, twins.large),
            "pairs": len(twins.pairs),
            "mirrored_pairs": int(twins.mirrored.sum()),
            "pairs_between_groups": twins.apart,
            "pairs_listed": [
                [images.keys[a], images.keys[b], round(float(agreement), 4), bool(mirrored)]
                for (a, b), agreement, mirrored in zip(
                    twins.pairs[:_MOST_PAIRS].tolist(),
                    twins.agreement[:_MOST_PAIRS],
                    twins.mirrored[:_MOST_PAIRS],
                    strict=True,
                )
            ],
        },
        "disagreeing_labels": _keys(found, found.disagreeing),
        "leakage": None
        if found.leakage is None
        else {
            "groups": _keys(found, found.leakage.groups),
            "affected": dict(found.leakage.affected),
            "parts": dict(found.leakage.parts),
            "shared_groups": list(found.shared_groups),
        },
        "divided_by_grouping": _keys(found, found.divided),
        "known_at_random": found.known_at_random,
    }


def warnings_of(found: Check) -> list[str]:
    """Return what the user should know though it is not wrong, a sentence each."""
    notes = list(found.images.notes)
    if found.grouping != "near-duplicates":  # otherwise it is a problem
        notes += large_notes(found.duplicates, "this report")
    if len(found.images) > MOST_PHOTOS:
        notes.append(
            f"Near-duplicates were not looked for: there are more than {MOST_PHOTOS:,} photos."
        )
    if found.duplicates.apart:
        notes.append(
            f"Pairs of photos that look alike but are in different groups, since joining them "
            f"would make chains: {found.duplicates.apart:,}; --group-by can keep them together."
        )
    if found.divided:
        notes.append(
            f"Groups of near-duplicates that lie in several groups of {found.grouping}: "
            f"{len(found.divided):,}."
        )
    if found.unlabelled:
        notes.append(f"Photos without a label: {found.unlabelled:,}.")
    few = [count.name for count in found.classes if count.name and count.test_parts < TOO_FEW]
    if few:
        notes.append(
            f"Too few independent test parts to judge the recall of {_listed(few)}: fewer than "
            f"{TOO_FEW}."
        )
    return notes


def duplicate_lines(found: Check) -> list[str]:
    """Return how many duplicates there are, and what they would do to a split at random."""
    twins = found.duplicates
    copies = sum(len(group) - 1 for group in twins.equal)
    near = "none"
    if twins.groups:
        many = len(twins.groups) > 1
        near = (
            f"{len(twins.groups):,} group{'s' if many else ''} of duplicates "
            f"hold{'' if many else 's'} {twins.photos:,} photos"
        )
    equal = f"; {copies:,} of the photos are exact copies of another" if copies else ""
    lines = [f"Duplicates: {near}{equal}."]
    share = found.known_at_random
    if share is not None and share >= _WORTH_TELLING:
        lines.append(
            f"With a split at random {share:.0%} of the test photos would show a part that was "
            "learned from; samix keeps each part on one side."
        )
    return lines


def judged_words(count: ClassCount) -> str:
    """Return how well the recall of a class can be judged."""
    if count.test_parts < TOO_FEW:
        return "cannot be judged"
    return f"90 % ± {100 * count.precision:.0f}"


def needed_line() -> str:
    """Return how many parts give which precision."""
    ten, five, two = (parts_needed(share) for share in (0.1, 0.05, 0.02))
    return (
        f"A recall of 90 % is known to ± 10 points with {ten} independent test parts of the class, "
        f"to ± 5 with {five}, to ± 2 with {two}."
    )


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


def _keys(found: Check, groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[found.images.keys[i] for i in group] for group in groups]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
