"""What `samix check` found, as a record and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from samix.data.duplicates.leakage import large_notes
from samix.data.duplicates.search import MOST_PHOTOS
from samix.data.health import (
    TOO_FEW,
    Check,
    ClassCount,
    imbalance,
    parts_needed,
    size_facts,
)

from .summary import cell, say

_MOST_PAIRS = 10_000  # in the record
_SHOWN_CLASSES = 12
_WORTH_TELLING = 0.01  # of the test photos


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
    notes = list(large_notes(found.duplicates, "this report"))
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


def print_check(found: Check, output: Path, console: Console) -> None:
    """Print what was found, and where to look."""
    sizes = size_facts(found)
    widths, heights = sizes["width"], sizes["height"]
    say(
        console,
        f"{found.images.name}: {len(found.images):,} photos, {found.parts:,} independent parts by "
        f"{found.grouping}; width {_range(widths)}, height {_range(heights)} px",
    )
    if found.images.classes:
        _print_classes(found, console)
    for line in duplicate_lines(found):
        say(console, line)
    for note in warnings_of(found):
        say(console, f"Note: {note}")
    problems = found.problems()
    for problem in problems:
        say(console, f"WRONG: {problem}")
    for key, reason in found.corrupt[:3]:
        say(console, f"  {reason if key in reason else f'{key}: {reason}'}")
    if not problems:
        say(console, "Nothing was found that makes results untrustworthy.")
    say(console, f"Page with pictures: {output / 'check.html'}")
    say(console, f"All numbers:        {output / 'check.json'}")


def _print_classes(found: Check, console: Console) -> None:
    given = "test" in found.images.given_split
    table = Table()
    for heading in ("class", "photos", "parts", "test parts", "recall is known to"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    classes = sorted(found.classes, key=lambda count: count.test_parts)
    for count in classes[:_SHOWN_CLASSES]:
        parts = f"{count.test_parts:,}" if given else f"~{count.test_parts:,}"
        table.add_row(
            cell(count.name), f"{count.photos:,}", f"{count.parts:,}", parts, judged_words(count)
        )
    console.print(table)
    if len(classes) > _SHOWN_CLASSES:
        say(console, f"and {len(classes) - _SHOWN_CLASSES} classes with more parts")
    say(console, needed_line())


def _keys(found: Check, groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[found.images.keys[i] for i in group] for group in groups]


def _range(values: Any) -> str:
    low, _, high = values
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
