"""The page of `samix check`, its sentences, and its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from samix.data.duplicates.leakage import Leakage, large_limit
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
from samix.data.sampling import in_turn
from samix.shown import flag_of, flagged

from .parts import Beside, Section, State, Strip, Table, Thumb, image_png
from .words import NOTHING, Text, Words, both, commas, either, in_lines, listed, paragraph, word

_SIDE = 132  # px, of a small picture
_STRIPS = 24  # groups that a section shows
_DOUBTFUL = 12  # pairs that are shown
_THUMBS = 7  # photos that a group shows
_LISTED = 50  # corrupt photos that are named
_MOST_PAIRS = 10_000  # in the record
_WORTH_TELLING = 0.01  # of the test photos


def lead_of(found: Check) -> Words:
    """Return what a hurried reader must see."""
    problems = problems_of(found)
    verdict = word("check-bad") if problems else word("check-good")
    return in_lines([verdict, *problems, *duplicate_lines(found)])


def facts_of(found: Check) -> list[tuple[Text, Text]]:
    """Return names and values for the small print."""
    sizes = size_facts(found)
    width, height = sizes["width"], sizes["height"]
    if not isinstance(width, list) or not isinstance(height, list):
        raise TypeError(f"size_facts: expected lists, got {width!r} and {height!r}")
    parts = word("check-parts-by", parts=f"{found.parts:,}", grouping=grouping_words(found))
    return [
        (word("col-photos"), f"{len(found.images):,}"),
        (word("check-parts"), parts),
        (word("check-sizes"), word("check-different", count=f"{sizes['different']:,}")),
        *(
            (word(f"check-{name}"), word("check-range", low=side[0], high=side[2], median=side[1]))
            for name, side in (("width", width), ("height", height))
        ),
    ]


def grouping_words(found: Check) -> Words:
    """Return what the parts are counted by."""
    if found.grouping == "group_by":
        return both(flag_of(found.grouping))
    return word(f"grouping-{found.grouping.replace(' ', '-')}")


def problems_of(found: Check) -> list[Words]:
    """Return what makes results untrustworthy, a sentence each."""
    grouping, sentences = grouping_words(found), []
    if found.corrupt:
        sentences.append(_counted("check-corrupt", len(found.corrupt)))
    if found.leakage is not None and found.leakage.groups:
        sentences.append(_leak(found.leakage))
    if found.shared_groups:
        name, count = found.shared_groups[0], len(found.shared_groups)
        sentences.append(_counted("check-shared", count, grouping=grouping, name=name))
    if found.disagreeing:
        sentences.append(_counted("check-disagree", len(found.disagreeing)))
    few = [count.name for count in found.classes if count.is_refused]
    if few and len(found.classes) > 1:
        sentences.append(word("check-refused", classes=_listed(few)))
    if found.grouping == "near-duplicates":
        sentences += _large(found, word("check-this-report"))
    if count := found.equal_divided():
        sentences.append(_counted("check-equal-divided", count, grouping=grouping))
    return sentences


def _counted(key: str, count: int, **values: Text) -> Words:
    return word(f"{key}-one" if count == 1 else key, count=f"{count:,}", **values)


def _leak(leak: Leakage) -> Words:
    train, val = _side("train"), _side("val")
    earlier = {"val": train, "test": either([train, val]) if "val" in leak.parts else train}
    sides = [
        word(
            "check-leak-side", count=f"{count:,}", photos=f"{leak.parts[side]:,}",
            side=_side(side), share=count / leak.parts[side], earlier=earlier[side],
        )
        for side, count in leak.affected.items()
        if count
    ]  # fmt: skip
    return word("check-leak", sides=listed(sides))


def _side(side: str) -> Words:
    """Return a given part: as folders are called in English."""
    return Words(side, word(f"part-{side}").ja)


def _large(found: Check, where: Words) -> list[Words]:
    """Return a sentence where groups are too large to be used without being asked for."""
    twins = found.duplicates
    if not twins.large:
        return []
    sizes = ", ".join(str(len(group)) for group in twins.large[:3])
    limit = str(large_limit(twins))
    return [_counted("check-large", len(twins.large), sizes=sizes, limit=limit, where=where)]


def check_sections(found: Check) -> list[Section]:
    """Return the parts of the page; those without anything to show are left out."""
    twins = found.duplicates
    strips = _Strips(found)
    notes = warnings_of(found)
    sections = [
        _classes(found),
        Section(word("notes"), in_lines(notes)) if notes else None,
        _corrupt(found),
        strips.section("leak", [] if found.leakage is None else found.leakage.groups, "bad"),
        strips.section("labels", found.disagreeing, "bad"),
        strips.section("large", twins.large, "changed"),
        strips.section("divided", found.divided, "changed"),
        strips.section("doubtful", _doubtful(found)),
        strips.section("groups", twins.groups),
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
        "problems": [one.en for one in problems_of(found)],
        "warnings": [one.en for one in warnings_of(found)],
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


def warnings_of(found: Check) -> list[Words]:
    """Return what the user should know though it is not wrong, a sentence each.

    What the opening of the data has to say is in English alone.
    """
    notes = [both(flagged(note)) for note in found.images.notes]
    if found.grouping != "near-duplicates":  # otherwise it is a problem
        notes += _large(found, word("check-this-report"))
    if len(found.images) > MOST_PHOTOS:
        notes.append(word("check-not-searched", most=f"{MOST_PHOTOS:,}"))
    if found.duplicates.apart:
        notes.append(word("check-apart", pairs=f"{found.duplicates.apart:,}"))
    if found.divided:
        grouping = grouping_words(found)
        notes.append(word("check-divided", grouping=grouping, groups=f"{len(found.divided):,}"))
    if not found.images.classes:
        notes.append(word("check-no-classes"))
    if found.unlabelled:
        notes.append(word("health-unlabelled", photos=f"{found.unlabelled:,}"))
    notes += [word(f"check-told-{w}", classes=_listed(c)) for w, c in found.telling.items()]
    few = [count.name for count in found.classes if count.name and count.test_parts < TOO_FEW]
    if few:
        notes.append(word("check-few", classes=_listed(few), least=TOO_FEW))
    return notes


def duplicate_lines(found: Check) -> list[Words]:
    """Return how many duplicates there are, and what they would do to a split at random."""
    twins = found.duplicates
    copies = sum(len(group) - 1 for group in twins.equal)
    equal = word("check-copies", copies=f"{copies:,}") if copies else NOTHING
    lines = [word("check-twins-none", equal=equal)]
    if twins.groups:
        photos = f"{twins.photos:,}"
        lines = [_counted("check-twins", len(twins.groups), photos=photos, equal=equal)]
    share = found.known_at_random
    if share is not None and share >= _WORTH_TELLING:
        lines.append(word("check-random", share=share))
    return lines


def judged_words(count: ClassCount) -> Text:
    """Return how well the recall of a class can be judged."""
    if count.test_parts < TOO_FEW:
        return word("check-cannot")
    return f"90 % ± {100 * count.precision:.0f}"


def needed_line() -> Words:
    """Return how many parts give which precision."""
    ten, five, two = (parts_needed(share) for share in (0.1, 0.05, 0.02))
    return word("check-needed", ten=ten, five=five, two=two)


def _classes(found: Check) -> Section:
    given = [side for side in ("train", "val", "test") if side in found.images.given_split]
    header = [
        word("col-class"), word("col-photos"), *map(_side, given), word("check-parts"),
        word("col-test-parts"), word("check-known-to"),
    ]  # fmt: skip
    rows: list[list[Text]] = [
        [
            count.name or word("check-no-labels"),
            f"{count.photos:,}",
            *(f"{count.by_split.get(side, 0):,}" for side in given),
            f"{count.parts:,}",
            f"{count.test_parts:,}",
            judged_words(count) if count.name else "",
        ]
        for count in found.classes
    ]
    tested = (
        word("check-tested-given")
        if "test" in given
        else word("check-tested-new", share=TEST_SHARE)
    )
    times = f"{imbalance(found.classes):.1f}"
    balance = word("health-imbalance", times=times) if len(found.classes) > 1 else NOTHING
    intro = paragraph([balance, word("check-counted", grouping=grouping_words(found))])
    table = Table(header, rows, paragraph([tested, needed_line()]))
    return Section(word("check-classes"), intro, [table])


def _corrupt(found: Check) -> Section | None:
    if not found.corrupt:
        return None
    rows = [[key, reason] for key, reason in found.corrupt[:_LISTED]]
    more = len(found.corrupt) - len(rows)
    caption = word("check-more-files", more=f"{more:,}") if more else NOTHING
    table = Table([word("col-photo"), word("check-why")], rows, caption)
    return Section(word("check-corrupt-title"), word("check-corrupt-intro"), [table])


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
    """Makes rows of small pictures; a photo that several rows show is read once."""

    def __init__(self, found: Check) -> None:
        self.found = found
        twins = found.duplicates
        rows = zip(twins.pairs.tolist(), twins.agreement, twins.mirrored, strict=True)
        self._how = {(a, b): (float(value), bool(mirror)) for (a, b), value, mirror in rows}
        self._pixels = {i: group[0] for group in twins.equal for i in group}
        self._pictures: dict[int, bytes] = {}

    def section(
        self, kind: str, groups: Sequence[Sequence[int]], state: State = "ok"
    ) -> Section | None:
        """Return a section with some of the groups, or None where there are none."""
        if not groups:
            return None
        badge = word(f"check-{kind}-badge") if state != "ok" else NOTHING
        strips = [self._strip(group, badge, state) for group in groups[:_STRIPS]]
        intro = self._intro(kind)
        if len(groups) > len(strips):
            told = word("check-shown", shown=len(strips), all=f"{len(groups):,}")
            intro = intro + "\n" + told
        title = word("check-titled", title=word(f"check-{kind}-title"), count=f"{len(groups):,}")
        pairs = all(len(group) == 2 for group in groups)
        return Section(title, intro, [Beside(strips)] if pairs else strips)

    def _intro(self, kind: str) -> Words:
        if kind == "large":
            return paragraph(_large(self.found, word("check-this-page")))
        return word(f"check-{kind}-intro", grouping=grouping_words(self.found))

    def _strip(self, group: Sequence[int], badge: Words, state: State) -> Strip:
        shown = self._varied(group)
        first = shown[0]
        thumbs = [Thumb(self._picture(i), self._label(i), self._note(first, i)) for i in shown]
        more = len(group) - len(shown)
        lines = (word("check-and-more", more=f"{more:,}"),) if more else ()
        return Strip(thumbs, word("photos-alone", photos=len(group)), lines, badge, state)

    def _varied(self, group: Sequence[int]) -> list[int]:
        """Return the first photo and some others, of as many labels and parts as there are."""
        images = self.found.images
        kinds: dict[tuple[int, str | None], list[int]] = {}
        for i in group:
            kinds.setdefault((images.targets[i], images.given_split[i]), []).append(i)
        turns = in_turn(kinds.values(), _THUMBS)
        return [group[0], *(i for i in turns if i != group[0])]

    def _label(self, photo: int) -> Text:
        side = self.found.images.given_split[photo]
        told = [self.found.images.class_of(photo), _side(side) if side else ""]
        return commas(one for one in told if one)

    def _note(self, first: int, photo: int) -> Text:
        name = self.found.images.keys[photo].rpartition("/")[2]
        if photo == first:
            return name
        one, other = self._pixels.get(first, first), self._pixels.get(photo, photo)
        if one == other:
            return word("check-equal", name=name)
        how = self._how.get((min(one, other), max(one, other)))
        if how is None:
            return name
        key = "check-mirrored" if how[1] else "check-agrees"
        return word(key, name=name, agreement=f"{how[0]:.2f}")

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


def _listed(names: Sequence[str]) -> Words:
    some = commas(names[:5])
    return word("check-and-others", names=some, more=len(names) - 5) if len(names) > 5 else some
