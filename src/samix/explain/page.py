"""explain.html and explain.json's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samix.pages.mixes import photo_words
from samix.pages.parts import Language, Part, Section, State, Strip, Table, Thumb, write_page
from samix.pages.pictures import heated, outlined, thumb
from samix.pages.words import (
    NOTHING,
    Text,
    Words,
    both,
    in_lines,
    paragraph,
    percent,
    rounded,
    word,
)

from .figures import confusion_section, map_section, mixer_section, names_words, split_chart
from .results import (
    Confidence,
    Explanation,
    HeatInside,
    Judged,
    Mix,
    NearMix,
    NearStudy,
    SeenMix,
    SeenPhoto,
)

PAGE = "explain.html"


def write_explanation(
    folder: str | Path,
    whole: Explanation,
    *,
    facts: Sequence[tuple[Text, Text]] = (),
    language: Language = "en",
) -> None:
    """Write the page."""
    sections = [
        where_section(whole),
        where_mixes_section(whole),
        mixer_section(whole),
        map_section(whole),
        near_section(whole),
        confidence_section(whole),
        confusion_section(whole),
    ]
    title = word("see-page", run=whole.run)
    write_page(
        Path(folder) / PAGE,
        title,
        sections,
        lead=in_lines(lead_of(whole)),
        facts=facts,
        language=language,
    )


def explanation_record(whole: Explanation) -> dict[str, Any]:
    """Return the numbers of an explanation as plain values."""
    near, sure, confusion = whole.near, whole.confidence, whole.confusion
    return {
        "policy": whole.policy,
        "mixed_by": whole.mixed_by,
        "part": whole.part,
        "photos": {"looked_at": whole.photos[0], "all": whole.photos[1]},
        "accuracy": whole.accuracy,
        "accuracy_of_guessing": whole.guess,
        "looks": {
            "by": whole.looker or None,
            "fields": list(whole.fields),
            "photos": [
                {
                    "path": one.key, "class": one.name, "said": one.said or None,
                    "probability": one.sure if one.said else None, "heat_in_defect": one.inside,
                }
                for one in whole.seen
            ],
            "heat_in_defects": [asdict(one) for one in whole.inside],
            "mixes_by": whole.asker or None,
            "mixes": [{**_mix(one.mix), "probability": one.sure} for one in whole.seen_mixes],
        },
        "mixer": {
            "looks_at_photos": whole.mixer.looks,
            "lam": list(whole.mixer.lam),
            "pairs": len(whole.mixer.area),
            "mask_deviation": whole.mixer.deviation,
            "area": whole.mixer.area.mean(0).tolist(),
            "area_away_from_lam": float(
                (whole.mixer.area - whole.mixer.area.new_tensor(whole.mixer.lam)).abs().mean()
            ),
            "correlation_with_heat": {k: list(v) for k, v in whole.mixer.follows.items()},
        },
        "map": {
            "axes": "principal components of the photos' embeddings of unit norm",
            "variance": list(whole.map.variance),
            "ways": [
                {"classes": list(one.names), "length": dict(one.detour), "stride": dict(one.stride)}
                for one in whole.map.routes
            ],
            **asdict(whole.map.spread),
        },
        "near": None
        if near is None
        else {
            "likeness_of_a_photo": near.usual,
            "likeness_of_a_mix": near.mixes,
            "mixes_measured": near.measured,
            "mixes": [
                {
                    **_mix(one.mix),
                    "neighbours": [
                        {"path": n.key, "class": n.name, "cosine": n.cosine} for n in one.neighbours
                    ],
                }
                for one in near.shown
            ],
        },
        "confidence": None
        if sure is None
        else {
            "mixes": len(sure.both),
            "both_classes": float(sure.both.mean()),
            "split_away_from_label": float((sure.split - sure.weight).abs().mean()),
            **{
                side: [
                    {**_mix(one.mix), "probability": one.sure, "other": one.other,
                     "other_probability": one.other_sure}
                    for one in getattr(sure, side)
                ]
                for side in ("most", "least")
            },
        },
        "confusion": None
        if confusion is None
        else {
            "classes": list(confusion.classes),
            "photos": list(confusion.photos),
            "photos_taken_for": confusion.clean.tolist(),
            "third_class": [list(row) for row in confusion.other],
            "third_class_probability": confusion.strength.tolist(),
            "mixes_of_a_pair": confusion.draws,
            "classes_left_out": confusion.left_out,
        },
        "notes": [note.en for note in whole.notes],
    }  # fmt: skip


def lead_of(whole: Explanation) -> list[Words]:
    """Return what a hurried reader must see, line by line."""
    looked, there = whole.photos
    part = word(f"part-{whole.part}")
    photos = word("see-photos-all", count=f"{there:,}", part=part)
    if looked != there:
        photos = word("see-photos-some", some=f"{looked:,}", count=f"{there:,}", part=part)
    known = word("see-no-classes")
    if whole.accuracy is not None:
        known = word("see-right", share=rounded(whole.accuracy))
    new = NOTHING if whole.part == "train" else word("see-new")
    first = paragraph([word("see-lead", photos=photos, policy=whole.mixed_by), known, new])
    return [first, *whole.notes]


def _mix(mix: Mix) -> dict[str, Any]:
    return {
        "original": mix.keys[0],
        "partner": mix.keys[1],
        "classes": list(mix.names),
        "lam": mix.lam,
        "area": mix.area,
        "weight": mix.weight,
        "partner_weight": mix.partner_weight,
    }


_VERDICTS: dict[bool, tuple[str, State]] = {
    True: ("see-is-right", "ok"), False: ("see-is-wrong", "bad"),
}  # fmt: skip


def where_section(whole: Explanation) -> Section:
    """Return where the network looks on photos."""
    title = word("see-where")
    if not whole.looker:
        return Section(title, word("see-where-none"), key="where")
    parts: list[Part] = list(photo_strips(whole.seen, classifies=whole.classifies))
    if whole.inside:
        parts.append(_inside_table(whole.inside))
    return Section(title, paragraph([word("see-where-read"), _how(whole)]), parts, key="where")


def where_mixes_section(whole: Explanation) -> Section:
    """Return where the two sources are seen in mixes."""
    title = word("see-mixes")
    if not whole.asker:
        return Section(title, word("see-where-none"), key="mixes")
    intro = word("see-mixes-read", policy=whole.mixed_by)
    return Section(title, intro, [_seen_mix(one) for one in whole.seen_mixes], key="mixes")


def photo_strips(seen: Sequence[SeenPhoto], *, classifies: bool) -> list[Strip]:
    """Return one strip a class, of photo and heat in turns, right photos apart from wrong ones."""
    strips = []
    for name in dict.fromkeys(one.name for one in seen):
        own = [one for one in seen if one.name == name]
        if not classifies:
            strips.append(Strip(_thumbs(own), title=name))
            continue
        for right in (True, False):
            some = [one for one in own if (one.said == one.name) is right]
            if some:
                badge, state = _VERDICTS[right]
                strips.append(Strip(_thumbs(some), name, badge=word(badge), state=state))
    return strips


def _seen_mix(one: SeenMix) -> Strip:
    mix = one.mix
    names = [both(mix.names[0] or word("see-first")), both(mix.names[1] or word("see-second"))]
    pictures = [*_sources(mix, word("see-area", area=mix.area))]
    for at, heat in enumerate(one.heats):
        label = word("see-speaks", name=names[at]) if len(one.heats) > 1 else word("see-heat")
        if float(heat.max()) <= 0:
            label = word("see-speaks-nothing", name=names[at])
        note = NOTHING if one.sure is None else word("see-gets", share=rounded(one.sure[at]))
        pictures.append(thumb(heated(mix.mixed, heat), label, note))
    return Strip(pictures, names_words(mix.names))


def _thumbs(seen: Sequence[SeenPhoto]) -> list[Thumb]:
    pictures = []
    for one in seen:
        photo = outlined(one.photo, one.defect)
        pictures.append(thumb(photo, word("picture-photo"), one.key.rpartition("/")[2]))
        label = word("see-heat")
        if one.said:
            label = word("see-taken", name=one.said, share=rounded(one.sure))
        if float(one.heat.max()) <= 0:
            label = word("see-cold", told=label)
        note = NOTHING if one.inside is None else word("see-inside", share=rounded(one.inside))
        pictures.append(thumb(heated(one.photo, one.heat, one.defect), label, note))
    return pictures


def _inside_table(inside: Sequence[HeatInside]) -> Table:
    rows: list[list[Text]] = []
    for one in inside:
        told = (
            rounded(one.share), percent(one.area), f"\u00d7{one.share / max(one.area, 1e-9):.1f}",
            rounded(one.hit),
        )  # fmt: skip
        numbers = told if one.photos else ("", "", "", "")
        rows.append([one.name or word("see-no-class"), str(one.photos), *numbers, str(one.cold)])
    keys = ("class", "photos", "heat-inside", "defect-share", "over-chance", "hottest", "cold")
    header = [word(f"col-{key}") for key in keys]
    title = word("see-inside-title")
    return Table(header, rows, word("see-inside-read"), title=title, words=[0])


def _how(whole: Explanation) -> Words:
    key = "see-by-class" if whole.classifies else "see-by-description"
    made = word(key if whole.looker == "Grad-CAM" else "see-by-attention")
    rows, columns = whole.fields
    return paragraph([made, word("see-coarse", rows=rows, columns=columns)])


def near_section(whole: Explanation) -> Section:
    """Return the nearest real photos."""
    title = word("see-near")
    if whole.near is None:
        return Section(title, word("see-near-none"), key="near")
    intro = paragraph([word("see-near-read"), near_sentence(whole.near)])
    return Section(title, intro, [_near(one) for one in whole.near.shown], key="near")


def near_sentence(near: NearStudy) -> Words:
    """Return how near mixes are, beside how near photos are."""
    return word("see-near-said", usual=near.usual, mixes=near.mixes, count=near.measured)


def _near(one: NearMix) -> Strip:
    names = [neighbour.name for neighbour in one.neighbours]
    third = sum(name not in one.mix.names for name in names)
    pictures = _sources(one.mix, f"lam {one.mix.lam:g}")
    for number, near in enumerate(one.neighbours, start=1):
        label = both(f"{number}. ") + (near.name or word("picture-photo"))
        pictures.append(thumb(near.photo, label, word("see-likeness", value=near.cosine)))
    title = names_words(one.mix.names)
    if not any(one.mix.names):
        return Strip(pictures, title)
    if not third:
        return Strip(pictures, title, badge=word("see-only-two"))
    badge = word("see-third", some=third, all=len(names))
    return Strip(pictures, title, badge=badge, state="changed")


def confidence_section(whole: Explanation) -> Section:
    """Return the most and least confident mixes."""
    title, found = word("see-sure"), whole.confidence
    if found is None:
        why = word("see-sure-none" if whole.classifies else "see-sure-no-classes")
        return Section(title, why, key="sure")
    off = float((found.split - found.weight).abs().mean())
    said = word(
        "see-sure-said", policy=whole.mixed_by, count=len(found.both),
        both=rounded(float(found.both.mean())), off=rounded(off),
    )  # fmt: skip
    intro = paragraph([word("see-sure-read"), said])
    return Section(title, intro, [*confidence_strips(found), split_chart(found)], key="sure")


def confidence_strips(found: Confidence) -> list[Strip]:
    """Return one strip a mix, the most confident ones first."""
    return [
        *(_judged(one, word("see-most"), "ok") for one in found.most),
        *(_judged(one, word("see-least"), "bad") for one in found.least),
    ]


def _judged(one: Judged, badge: Words, state: State) -> Strip:
    mix, (first, second) = one.mix, one.mix.names
    line = word(
        "see-judged", first=first, second=second, one=rounded(one.sure[0]),
        two=rounded(one.sure[1]), own=rounded(mix.weight), theirs=rounded(mix.partner_weight),
    )  # fmt: skip
    if one.other:
        line = paragraph([line, word("see-next", name=one.other, share=rounded(one.other_sure))])
    title = word("see-together", names=names_words(mix.names), share=rounded(one.both))
    pictures = _sources(mix, f"lam {round(mix.lam, 2):g}")
    mask = thumb(mix.mask, word("picture-mask"), word("see-area", area=mix.area))
    pictures.insert(2, mask)
    return Strip(pictures, title, [line], badge, state)


def _sources(mix: Mix, note: Text) -> list[Thumb]:
    return [
        thumb(mix.original, photo_words("original", mix.names[0])),
        thumb(mix.partner, photo_words("partner", mix.names[1])),
        thumb(mix.mixed, word("picture-mix"), note),
    ]
