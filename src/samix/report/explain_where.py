"""Where the network looks: strips of photos and of mixes, and a table of heat inside defects."""

from __future__ import annotations

from collections.abc import Sequence

from .explain_data import Explanation, Inside, Seen, SeenMix
from .explain_pictures import between, heated, outlined, percent, thumb
from .outline import enlarged
from .page import Section, State, Strip, Table, Thumb, image_png

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


def photo_strips(seen: Sequence[Seen], *, classifies: bool) -> list[Strip]:
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


def _thumbs(seen: Sequence[Seen]) -> list[Thumb]:
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


def _table(inside: Sequence[Inside]) -> Table:
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
