"""explain.html, its figures beside it, and explain.json's numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .explain_confusion import confusion_section, draw_confusion
from .explain_data import Explanation, Mix
from .explain_map import draw_map, draw_routes, map_section
from .explain_mixer import READ_MASKS, draw_area, draw_follows, mask_strips, mixer_section
from .explain_mixes import (
    READ_NEAR,
    READ_SURE,
    confidence_section,
    confidence_strips,
    draw_split,
    near_section,
    near_strips,
)
from .explain_pictures import draw_strips
from .explain_where import (
    READ_MIXES,
    READ_PHOTOS,
    mix_strips,
    photo_strips,
    where_mixes_section,
    where_section,
)
from .page import Strip, write_page

PAGE = "explain.html"


def write_explanation(
    folder: str | Path, whole: Explanation, *, facts: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """Write the page and its figures.

    Args:
        folder: An existing folder.
        whole: What was found.
        facts: Names and values in small print, such as the data and the seed.

    Returns:
        The names of the files, the page last.
    """
    to = Path(folder)
    figures = _figures(whole)
    for name, draw in figures.items():
        draw(to / name)

    def png(name: str) -> bytes | None:
        return (to / name).read_bytes() if name in figures else None

    sections = [
        where_section(whole),
        where_mixes_section(whole),
        mixer_section(whole, png("mixer_area.png") or b"", png("mixer_follows.png")),
        map_section(whole, png("map.png") or b"", png("map_ways.png") or b""),
        near_section(whole),
        confidence_section(whole, png("split.png")),
        confusion_section(whole, png("confusion.png")),
    ]
    write_page(to / PAGE, whole.title, sections, lead=_lead(whole), facts=facts)
    return [*figures, PAGE]


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
        "notes": list(whole.notes),
    }  # fmt: skip


def _figures(whole: Explanation) -> dict[str, Callable[[Path], None]]:
    """Return how to draw each figure that there is something to show in."""
    strips: dict[str, tuple[list[Strip], str, str]] = {
        "where_photos.png": (
            photo_strips(whole.seen, classifies=whole.classifies),
            f"Where the model looks ({whole.looker})",
            READ_PHOTOS,
        ),
        "where_mixes.png": (
            mix_strips(whole.seen_mixes),
            f"Where both sources are seen in a mix ({whole.asker})",
            READ_MIXES,
        ),
        "mixer_masks.png": (
            mask_strips(whole.mixer),
            f"Masks of {whole.policy} over lam",
            READ_MASKS if whole.mixer.looks else "The masks do not look at the photos.",
        ),
        "near.png": (
            [] if whole.near is None else near_strips(whole.near.shown),
            "Nearest real photos of half-and-half mixes",
            READ_NEAR,
        ),
        "confidence.png": (
            [] if whole.confidence is None else confidence_strips(whole.confidence),
            "Most and least confident mixes",
            READ_SURE,
        ),
    }
    found: dict[str, Callable[[Path], None]] = {
        name: _sheet(*sheet) for name, sheet in strips.items() if sheet[0]
    }
    found["mixer_area.png"] = lambda path: draw_area(path, whole.mixer)
    if whole.mixer.follows:
        found["mixer_follows.png"] = lambda path: draw_follows(path, whole.mixer)
    found["map.png"] = lambda path: draw_map(path, whole.map)
    found["map_ways.png"] = lambda path: draw_routes(path, whole.map)
    if (sure := whole.confidence) is not None:
        found["split.png"] = lambda path: draw_split(path, sure)
    if (confusion := whole.confusion) is not None:
        found["confusion.png"] = lambda path: draw_confusion(path, confusion)
    return found


def _sheet(strips: list[Strip], title: str, reading: str) -> Callable[[Path], None]:
    return lambda path: draw_strips(path, strips, title=title, reading=reading)


def _lead(whole: Explanation) -> str:
    """Return what a hurried reader must see."""
    looked, there = whole.photos
    which = f"{there:,}" if looked == there else f"{looked:,} of {there:,}"
    known = "The network knows no classes, so parts that need them are left out."
    if whole.accuracy is not None:
        known = f"The network is right on {whole.accuracy:.0%} of them."
    first = f"All pictures show {whole.part} photos ({which}), mixed by {whole.mixed_by}. {known}"
    seen = "" if whole.part == "train" else " It has not learned from any of these photos."
    return "\n".join([first + seen, *whole.notes])


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
