"""Data health of a study: what `samix check` finds, beside the split of its trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from samix.data import ImageSet, Splits
from samix.data.duplicates.search import MOST_PHOTOS
from samix.data.health import TOO_FEW, Check, check_images, recall_precision
from samix.data.splits import sides_of
from samix.errors import InputError
from samix.pages.parts import Part, Points, Section, Table
from samix.pages.words import Text, Words, commas, count, number, word
from samix.progress import Announce
from samix.study.report.charts import balance_chart
from samix.study.report.view import columns

VERSION = 1
PARTS = ("train", "val", "test")
_EXAMPLES = 12  # groups of each kind that are named
_NAMED = 8  # photos of a group that are named
_CORRUPT = 50  # corrupt photos that are named

Row = dict[str, Any]


def data_health(
    images: ImageSet,
    splits: Splits,
    *,
    check: Check | None = None,
    corrupt: Sequence[tuple[str, str]] = (),
    announce: Announce | None = None,
) -> Row:
    """Return what can make the results of a study untrustworthy, ready for a JSON file.

    Without the ``check`` of the same photos they are looked at now; what was found for them before
    is not searched for again.

    Returns:
        ``version``, ``photos`` and those in no part (``unused``) or without a label
        (``unlabelled``); ``classes`` with photos and independent parts by part of the split,
        ``imbalance`` of the largest and the smallest; ``few``: classes whose recall cannot be
        judged; ``duplicates``: how many groups and photos, how many groups lie in several parts
        (``split``) and how many photos of val and test have a near-duplicate in an earlier part
        (``affected``); ``disagreeing`` groups, whose photos have several labels; ``skipped``
        photos. Long lists are cut, and their length stands beside them.
    """
    if check is None:
        check = check_images(images, corrupt=corrupt, announce=announce)
    if check.images.keys != images.keys or len(splits.groups) != len(images):
        raise InputError(
            f"The check and the split are not of these {len(images):,} photos; make them again."
        )
    side_of = sides_of(splits)
    classes = _classes(images, splits)
    everything = (*check.duplicates.groups, *check.duplicates.large)
    divided = [group for group in everything if len({*_sides(group, side_of)}) > 1]
    return {
        "version": VERSION,
        "photos": len(images),
        "unused": side_of.count("unused"),
        "unlabelled": check.unlabelled,
        "classes": classes,
        "imbalance": _imbalance(classes),
        "few": [
            {"class": row["class"], "test_parts": row["parts"]["test"], "least": TOO_FEW}
            for row in classes
            if row["parts"]["test"] < TOO_FEW
        ],
        "duplicates": {
            "searched": len(images) <= MOST_PHOTOS,
            "groups": len(everything),
            "photos": sum(len(group) for group in everything),
            "exact": sum(len(group) - 1 for group in check.duplicates.equal),
            "large": len(check.duplicates.large),
            "split": len(divided),
            "affected": _affected(divided, side_of),
            "examples": _named(images, divided, side_of),
        },
        "disagreeing": {
            "groups": len(check.disagreeing),
            "examples": _named(images, check.disagreeing, side_of),
        },
        "skipped": _skipped(images, [*corrupt, *check.corrupt]),
    }


def _classes(images: ImageSet, splits: Splits) -> list[Row]:
    rows = []
    for target, name in enumerate(images.classes):
        photos, parts = {}, {}
        for side in PARTS:
            own = [i for i in getattr(splits, side) if images.targets[i] == target]
            groups = {i if splits.groups[i] is None else splits.groups[i] for i in own}
            photos[side], parts[side] = len(own), len(groups)
        within = round(recall_precision(parts["test"]), 4)
        rows.append({"class": name, "photos": photos, "parts": parts, "recall_within": within})
    return rows


def _imbalance(classes: Sequence[Row]) -> float:
    """Return how many times the photos of the smallest class that has any the largest has."""
    counts = [sum(row["photos"].values()) for row in classes]
    there = [count for count in counts if count]
    return round(max(there) / min(there), 2) if there else 1.0


def _sides(group: Sequence[int], side_of: Sequence[str]) -> list[str]:
    return [side_of[i] for i in group if side_of[i] in PARTS]


def _affected(divided: Sequence[Sequence[int]], side_of: Sequence[str]) -> dict[str, int]:
    """Count the photos of val and test that have a near-duplicate in an earlier part."""
    found = {"val": 0, "test": 0}
    for group in divided:
        sides = _sides(group, side_of)
        first = next(side for side in PARTS if side in sides)
        for side in sides:
            if side != first:
                found[side] += 1
    return found


def _named(
    images: ImageSet, groups: Sequence[Sequence[int]], side_of: Sequence[str]
) -> list[list[Row]]:
    """Return the photos of some groups by name, of as many parts and labels as they have."""
    return [
        [
            {
                "photo": images.keys[i],
                "class": images.class_of(i),
                "part": side_of[i],
            }
            for i in _varied(images, group, side_of)
        ]
        for group in groups[:_EXAMPLES]
    ]


def _varied(images: ImageSet, group: Sequence[int], side_of: Sequence[str]) -> list[int]:
    """Return photos of a group, first one of each part and label, then others."""
    first: dict[tuple[str, int], int] = {}
    for i in group:
        first.setdefault((side_of[i], images.targets[i]), i)
    chosen = [*first.values(), *(i for i in group if i not in first.values())][:_NAMED]
    return sorted(chosen)


def _skipped(images: ImageSet, corrupt: Sequence[tuple[str, str]]) -> Row:
    reasons = {**dict.fromkeys(images.skipped, ""), **dict(corrupt)}
    named = [{"photo": key, "reason": why} for key, why in list(reasons.items())[:_CORRUPT]]
    return {"count": len(reasons), "photos": named}


def health_section(health: Mapping[str, Any] | None) -> Section:
    """Return the section; see ``samix.study.report.health.data_health``."""
    title = word("health-title")
    if health is None:
        return Section(title, word("health-none"), key="health")
    twins, others, skipped = (health[name] for name in ("duplicates", "disagreeing", "skipped"))
    parts: tuple[Part | None, ...] = (
        Points(_said(health)),
        balance_chart(health["classes"]),
        _groups("split", twins["examples"], twins["split"]),
        _groups("disagree", others["examples"], others["groups"]),
        _examples("skipped", skipped["photos"], skipped["count"], ("photo", "reason")),
    )
    shown = [part for part in parts if part is not None]
    return Section(title, word("health-intro"), shown, key="health")


def _said(health: Mapping[str, Any]) -> list[Words]:
    twins, lines = health["duplicates"], []
    if not twins["searched"]:
        lines.append(word("health-not-searched"))
    elif not twins["groups"]:
        lines.append(word("health-no-duplicates"))
    else:
        lines.append(word("health-duplicates", groups=count(twins["groups"]),
                          photos=count(twins["photos"]), exact=count(twins["exact"])))  # fmt: skip
        if twins["split"]:
            lines.append(word("health-split", groups=count(twins["split"]),
                              test=count(twins["affected"].get("test", 0)),
                              val=count(twins["affected"].get("val", 0))))  # fmt: skip
        else:
            lines.append(word("health-together"))
    if twins["large"]:
        lines.append(word("health-large", groups=count(twins["large"])))
    disagreeing = health["disagreeing"]["groups"]
    lines.append(
        word("health-disagree", groups=count(disagreeing)) if disagreeing else word("health-agree")
    )
    skipped = health["skipped"]["count"]
    lines.append(
        word("health-skipped", photos=count(skipped)) if skipped else word("health-all-read")
    )
    if health["unlabelled"]:
        lines.append(word("health-unlabelled", photos=count(health["unlabelled"])))
    if health["classes"]:
        lines.append(word("health-imbalance", times=number(health["imbalance"])))
    if health["few"]:
        named = [f"{row['class']} ({count(row['test_parts'])})" for row in health["few"]]
        lines.append(word("health-few", least=health["few"][0]["least"], classes=commas(named)))
    return lines


def _groups(kind: str, groups: Sequence[Sequence[Row]], whole: int) -> Table | None:
    """Return photos of the same, one row a photo; None where there are none."""
    rows = [
        {**one, "group": at, "part": word(f"part-{one['part']}")}
        for at, group in enumerate(groups, start=1)
        for one in group
    ]
    return _examples(kind, rows, whole, ("group", "photo", "class", "part"), shown=len(groups))


def _examples(
    kind: str, rows: Sequence[Row], whole: int, names: Sequence[str], shown: int | None = None
) -> Table | None:
    if not rows:
        return None
    cells: list[list[Text]] = [
        [one[name] if isinstance(one[name], Words) else str(one[name]) for name in names]
        for one in rows
    ]
    note = word("examples", shown=count(len(rows) if shown is None else shown), all=count(whole))
    title, heads = word(f"health-{kind}-title"), columns(*names)
    return Table(heads, cells, note, title=title, words=range(len(names)), folded=True)
