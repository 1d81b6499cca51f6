"""explain.html, its figures beside it, and explain.json's numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from samix.pages.parts import Figure, Section, State, Strip, Table, Thumb, image_png, write_page
from samix.pages.pictures import (
    between,
    draw_strips,
    enlarged,
    heated,
    outlined,
    percent,
    save,
    thumb,
)

from .figures import (
    READ_MASKS,
    confusion_section,
    draw_area,
    draw_confusion,
    draw_follows,
    draw_map,
    draw_routes,
    map_section,
    mask_strips,
    mixer_section,
)
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


NOTHING = (
    "For this kind of network there is no dependable way to show where it looks: it has neither a "
    "feature map for Grad-CAM nor attention between all parts of the photo. This part is left out."
)
READ_PHOTOS = (
    "Yellow and red is where the network finds what makes it decide; grey did not matter to it. "
    "It should be hot where you would look yourself."
)
READ_MIXES = (
    "In a mix of two photos, the left heat shows what speaks for the first source, the right one "
    "what speaks for the second; each should be hot where that photo is seen."
)

_VERDICTS: dict[bool, tuple[str, State]] = {True: ("right", "ok"), False: ("wrong", "bad")}


def where_section(whole: Explanation) -> Section:
    """Return where the network looks on photos."""
    if not whole.looker:
        return Section("Where the model looks", NOTHING)
    strips = photo_strips(whole.seen, classifies=whole.classifies)
    parts: list[Strip | Table] = [*strips, *([_table(whole.inside)] if whole.inside else [])]
    return Section("Where the model looks", f"{READ_PHOTOS} {_how(whole)}", parts)


def where_mixes_section(whole: Explanation) -> Section:
    """Return where the two sources are seen in mixes."""
    title = "Where both sources are seen in a mix"
    if not whole.asker:
        return Section(title, NOTHING)
    intro = f"{READ_MIXES} The mixes are half and half, by {whole.mixed_by}."
    return Section(title, intro, mix_strips(whole.seen_mixes))


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
                strips.append(Strip(_thumbs(some), title=name, badge=badge, state=state))
    return strips


def mix_strips(seen: Sequence[SeenMix]) -> list[Strip]:
    """Return one strip a mix: its photos, the mix, and where each source is seen."""
    strips = []
    for one in seen:
        mix = one.mix
        words = [mix.names[0] or "first photo", mix.names[1] or "second photo"]
        notes = ["", ""] if one.sure is None else [f"gets {percent(sure)}" for sure in one.sure]
        pictures = [
            thumb(mix.original, f"original: {mix.names[0]}".rstrip(": ")),
            thumb(mix.partner, f"partner: {mix.names[1]}".rstrip(": ")),
            thumb(mix.mixed, "mix", f"area {mix.area:.2f}"),
        ]
        for at, heat in enumerate(one.heats):
            label = f"speaks for {words[at]}" if len(one.heats) > 1 else "looked at"
            label = label if float(heat.max()) > 0 else f"nothing speaks for {words[at]}"
            pictures.append(thumb(heated(mix.mixed, heat), label, notes[at]))
        strips.append(Strip(pictures, title=f"{between(mix.names)}"))
    return strips


def _thumbs(seen: Sequence[SeenPhoto]) -> list[Thumb]:
    pictures = []
    for one in seen:
        verdict = f"taken for {one.said}, {percent(one.sure)}" if one.said else ""
        pictures.append(
            Thumb(image_png(outlined(one.photo, one.defect)), "photo", one.key.rpartition("/")[2])
        )
        label = verdict or "heat"
        if float(one.heat.max()) <= 0:
            label = f"{label}; no place speaks for it"
        note = "" if one.inside is None else f"{percent(one.inside)} of heat in the defect"
        picture = heated(one.photo, one.heat, one.defect)
        pictures.append(Thumb(image_png(enlarged(picture)), label, note))
    return pictures


def _table(inside: Sequence[HeatInside]) -> Table:
    rows = [
        [
            one.name or "(no class)",
            str(one.photos),
            *(
                (
                    f"{one.share:.0%}",
                    f"{one.area:.1%}",
                    f"{one.share / max(one.area, 1e-9):.1f}x",
                    f"{one.hit:.0%}",
                )
                if one.photos
                else ("", "", "", "")
            ),
            str(one.cold),
        ]
        for one in inside
    ]
    header = (
        "class", "photos", "heat in the defect", "defect's share of the photo", "over chance",
        "hottest point in the defect",
        "photos without heat",
    )  # fmt: skip
    caption = (
        "How much of the heat lies inside the marked defect (blue outline). Looking everywhere "
        "alike would give the defect's share of the photo, which is 1x. In photos without heat "
        "nothing speaks for their class; they are not counted."
    )
    return Table(header, rows, caption)


def _how(whole: Explanation) -> str:
    """Return how the heat was made, and what it is not."""
    rows, columns = whole.fields
    coarse = f"The map has {rows} x {columns} fields, so it shows an area and not an edge."
    if whole.looker == "Grad-CAM":
        asked = (
            "asked about the class that it takes the photo for"
            if whole.classifies
            else "asked what in the photo makes the network describe it as it does"
        )
        made = f"Made by Grad-CAM, {asked}."
    else:
        made = (
            "Made by attention roll-out: what information reaches the end of the network from "
            "where, whatever class it then decides for."
        )
    chosen = "Photos are drawn at random, none is picked. It is a hint, not a proof."
    return f"{made} {coarse} {chosen}"


READ_NEAR = (
    "Beside each half-and-half mix stand the real training photos that the network finds most like "
    "it, with their likeness (1 is the same). Neighbours of a third class mean that the mix looks "
    "like something that it is not."
)
READ_SURE = (
    "In the most confident mixes nearly all probability goes to the two sources (compare with the "
    "label: often to one of them alone); in the least confident ones the network sees something "
    "else, and they are the ones to look at before mixing is trusted."
)
READ_SPLIT = (
    "Each dot is a mix: on the dotted line the network shares its probability between the two "
    "classes as the label does; dots in the corners are mixes that it takes for one photo alone."
)


def near_section(whole: Explanation) -> Section:
    """Return the nearest real photos."""
    title = "Nearest real photos"
    if whole.near is None:
        return Section(title, "The training photos are not in the data, so there is no neighbour.")
    return Section(title, f"{READ_NEAR} {near_sentence(whole.near)}", near_strips(whole.near.shown))


def near_sentence(near: NearStudy) -> str:
    """Return how near mixes are, beside how near photos are."""
    return (
        f"A real photo of the part has a likeness of {near.usual:.3f} to its nearest training "
        f"photo; a mix has {near.mixes:.3f} (medians, {near.measured} mixes)."
    )


def near_strips(shown: Sequence[NearMix]) -> list[Strip]:
    """Return one strip a mix: the mix and its neighbours."""
    strips = []
    for one in shown:
        names = [neighbour.name for neighbour in one.neighbours]
        third = sum(name not in one.mix.names for name in names)
        labelled = any(one.mix.names)
        pictures = [*_sources(one.mix)]
        for number, near in enumerate(one.neighbours, start=1):
            label = f"{number}. {near.name}" if near.name else f"photo {number}"
            pictures.append(thumb(near.photo, label, f"likeness {near.cosine:.3f}"))
        badge = "" if not labelled else f"{third} of {len(names)} third class"
        if labelled and not third:
            badge = "only its two classes"
        state: State = "changed" if labelled and third else "ok"
        strips.append(Strip(pictures, title=between(one.mix.names), badge=badge, state=state))
    return strips


def confidence_section(whole: Explanation, split: bytes | None) -> Section:
    """Return the most and least confident mixes.

    Args:
        whole: The explanation.
        split: The PNG of :func:`draw_split`; None where there is nothing to show.
    """
    title = "Most and least confident mixes"
    found = whole.confidence
    if found is None or split is None:
        why = "The run has no classes, so it cannot be sure of one."
        if whole.classifies:
            why = "None of the drawn mixes is of two classes that both have 20 % of the label."
        return Section(title, why)
    intro = (
        f"{READ_SURE} Mixes are drawn as in training, by {whole.mixed_by}; of {len(found.both)} in "
        "which both classes have 20 % of the label or more, the network gives the two together "
        f"{float(found.both.mean()):.0%} on average, and its "
        f"shares are {float((found.split - found.weight).abs().mean()):.0%} away from the label's."
    )
    picture = Figure(split, READ_SPLIT, "share of the network against share of the label")
    return Section(title, intro, [*confidence_strips(found), picture])


def confidence_strips(found: Confidence) -> list[Strip]:
    """Return one strip a mix, the most confident ones first."""
    return [
        *(_judged(one, "most confident", "ok") for one in found.most),
        *(_judged(one, "least confident", "bad") for one in found.least),
    ]


def draw_split(path: str | Path, found: Confidence) -> None:
    """Draw the network's share of the original against that of the label.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        found: What was measured.
    """
    canvas = Canvas(figsize=(5.6, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1.0, linestyle=":")
    dots = axes.scatter(
        found.weight.tolist(), found.split.tolist(), c=found.both.tolist(), s=14, vmin=0, vmax=1,
        cmap="viridis", linewidths=0, alpha=0.85,
    )  # fmt: skip
    bar = canvas.colorbar(dots, ax=axes)
    bar.set_label("probability of the two classes together", fontsize=9)
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.set_xlabel("share of the original in the label", fontsize=10)
    axes.set_ylabel("share that the network gives it", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    save(canvas, path)


def _judged(one: Judged, badge: str, state: State) -> Strip:
    mix = one.mix
    other = f"; next: {one.other} {percent(one.other_sure)}" if one.other else ""
    line = (
        f"Network: {mix.names[0]} {percent(one.sure[0])}, {mix.names[1]} {percent(one.sure[1])}"
        f"{other}. Label: {percent(mix.weight)} and {percent(mix.partner_weight)}."
    )
    title = f"{between(mix.names)}: {percent(one.both)} together"
    pictures = _sources(mix)
    pictures.insert(2, thumb(mix.mask, "mask", f"area {mix.area:.2f}"))
    return Strip(pictures, title=title, lines=[line], badge=badge, state=state)


def _sources(mix: Mix) -> list[Thumb]:
    first, second = mix.names
    return [
        thumb(mix.original, f"original: {first}" if first else "original"),
        thumb(mix.partner, f"partner: {second}" if second else "partner"),
        thumb(mix.mixed, "mix", f"lam {mix.lam:.2f}"),
    ]
