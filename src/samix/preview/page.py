"""preview.html: the same pairs of photos under several policies, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samix._version import __version__
from samix.pages.mixes import MixRow, photo_words, short
from samix.pages.parts import (
    Beside,
    Language,
    Part,
    Points,
    Section,
    Strip,
    Table,
    Thumb,
    image_png,
    write_page,
)
from samix.pages.words import NOTHING, Text, Words, both, commas, in_lines, listed, paragraph, word

from .mixes import Look, PolicyMixes

_NAME = 40  # letters of a photo's name


def preview_sections(policies: Sequence[PolicyMixes], *, outlines: bool) -> list[Section]:
    """Return the parts of the page: a table of all policies, then one section a pair."""
    read = [word("mixes-read-mask"), *([word("mixes-read-outlines")] if outlines else [])]
    abouts = [both(one.name) + Words(": ", "：") + one.about for one in policies]
    parts: list[Part] = [policy_table(policies), Points(abouts, word("about-title"))]
    sections = [Section(word("mixes-read"), paragraph(read), parts, key="read")]
    for number, row in enumerate(policies[0].rows, start=1):
        names = " + ".join(name for name in row.classes if name)
        key = "mixes-pair-title" if names else "mixes-pair-bare"
        title = word(key, number=number, names=names)
        mixes = [(policy.name, policy.rows[number - 1]) for policy in policies]
        sections.append(Section(title, NOTHING, [compared(mixes)], key=f"pair{number}"))
    return sections


def policy_table(policies: Sequence[PolicyMixes]) -> Table:
    """Return one row a policy: where lam comes from, what the label uses, and what went wrong."""
    known = any(policy.defects is not None for policy in policies)
    guarded = any(policy.guarded for policy in policies)
    keys = ["policy", "lam-from", "label-uses", "area-off"]
    keys += ["noise"] * known + ["repaired"] * guarded
    rows: list[list[Text]] = []
    for policy in policies:
        row: list[Text] = [
            policy.name, policy.draw, policy.label_words, f"{policy.area_from_lam:.2f}",
        ]  # fmt: skip
        if known:
            row.append(word("some-of", some=policy.noisy, all=str(policy.defects)))
        if guarded:
            some = word("some-of", some=len(policy.repaired), all=str(len(policy.rows)))
            row.append(some if policy.guarded else word("mixes-none-repaired"))
        rows.append(row)
    told = [word("mixes-area-off"), *([word("mixes-noise-is")] if known else [])]
    return Table([word(f"col-{key}") for key in keys], rows, paragraph(told), words=range(3))


def compared(mixes: Sequence[tuple[str, MixRow]]) -> Beside:
    """Return one pair of photos, and beside it what each policy makes of it."""
    row = mixes[0][1]
    photos = [_photo(row, 0), _photo(row, 1)]
    others = [_mix(name, one, row.partner) for name, one in mixes]
    return Beside([Strip(photos, word("mixes-photos")), *others])


def _photo(row: MixRow, side: int) -> Thumb:
    name = photo_words(("original", "partner")[side], row.classes[side])
    return Thumb(image_png(row.pictures[side]), name, short_name(row.names[side]))


def _mix(policy: str, row: MixRow, partner: int) -> Strip:
    mask, mix = (image_png(picture) for picture in row.pictures[2:])
    numbers = word("picture-numbers", lam=row.lam, area=row.area)
    thumbs = [
        Thumb(mask, word("picture-mask"), numbers),
        Thumb(mix, word("picture-mix"), row.label_words),
    ]
    if row.after is not None:
        after = image_png(row.after.pictures[3])
        thumbs.append(Thumb(after, word("mixes-after"), row.after.label_words))
    lines = list(row.verdict.lines)
    if row.partner != partner:
        thumbs.insert(0, _photo(row, 1))
        lines.insert(0, word("mixes-other-partner", name=short_name(row.names[1])))
    return Strip(thumbs, policy, lines, row.verdict.badge, row.verdict.state)


def short_name(name: str) -> str:
    """Return the file name of a photo, or its row in a table."""
    file, _, row = name.rpartition("#")
    last = f"row {row}" if file.endswith(".parquet") else name.rpartition("/")[2]
    return short(last, _NAME)


def record_of(found: Look) -> dict[str, Any]:
    """Return what preview.json holds."""
    return {
        "data": found.data,
        "photos": found.what.en,
        "seed": found.seed,
        "image_size": found.photos.images.shape[-1],
        "policies": {policy.name: policy.record() for policy in found.policies},
    }


def lead_of(found: Look) -> Words:
    """Return what a hurried reader must know, a sentence a line."""
    first, *others = found.policies
    count = len(first.rows)
    pairs = word("mixes-pair") if count == 1 else word("mixes-pairs", count=count)
    lines = [word("mixes-one", pairs=pairs)]
    if others:
        apart = [p.name for p in others if not _same_lam(first.rows, p.rows)]
        but = word("mixes-but", policies=listed(apart)) if apart else NOTHING
        lines = [word("mixes-same", pairs=pairs, policies=len(found.policies), but=but)]
    noisy = [_some(p.noisy, p.defects, p) for p in found.policies if p.noisy]
    if noisy:
        lines.append(word("mixes-noisy", policies=commas(noisy)))
    guarded = [p for p in found.policies if p.guarded]
    if guarded:
        told = [_some(len(p.repaired), len(p.rows), p) for p in guarded]
        lines.append(word("mixes-repaired", policies=commas(told)))
        left = sum((row.after or row).verdict.noisy for p in guarded for row in p.rows)
        if noisy:
            lines.append(word("mixes-noise-left", count=left))
    return in_lines(lines)


def _some(some: int, everything: int | None, policy: PolicyMixes) -> Words:
    return word("mixes-of-policy", some=some, all=str(everything), policy=policy.name)


def _same_lam(first: Sequence[MixRow], rows: Sequence[MixRow]) -> bool:
    return all(abs(one.lam - row.lam) < 1e-6 for one, row in zip(first, rows, strict=True))


def write_preview(output: Path, found: Look, language: Language = "en") -> None:
    """Write preview.html."""
    facts: list[tuple[Text, Text]] = [
        (word("mixes-data"), found.data),
        (word("mixes-photos"), found.what),
        (word("mixes-size"), f"{found.photos.images.shape[-1]} px"),
        (word("seed"), str(found.seed)),
        ("samix", __version__),
    ]
    write_page(
        output / "preview.html",
        word("mixes-page", data=found.data),
        preview_sections(found.policies, outlines=found.outlines),
        lead=lead_of(found),
        facts=facts,
        language=language,
    )
