"""The pictures of the report: the gallery of mixes, and where the model looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from samix.errors import InputError
from samix.pages.parts import State

from .poc_parts import Picture, Section
from .poc_text import NOTHING, Both, both, word

PARTS = ("mixes", "where")
_PNG = b"\x89PNG\r\n\x1a\n"


def picture_sections(rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Return the sections of the pictures; one without pictures says so.

    Args:
        rows: See ``samix.study.pictures.draw_pictures``: ``part`` ("mixes" or "where"), ``caption``
            with both languages, and ``png`` (the bytes) or ``path`` (a file); a row with neither
            has only words. Optional: ``title``, ``badge``, ``columns`` and ``lines`` with both
            languages, ``state`` ("ok", "changed" or "bad").

    Raises:
        InputError: A picture cannot be read, or is no PNG.
    """
    unknown = [row["part"] for row in rows if row["part"] not in PARTS]
    if unknown:
        raise InputError(f"pictures: part '{unknown[0]}' is unknown; expected {', '.join(PARTS)}.")
    return [_section(part, [row for row in rows if row["part"] == part]) for part in PARTS]


def _section(part: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    title = word(f"{part}-title")
    if not rows:
        return Section(part, title, word("no-pictures"))
    pictures = []
    before = NOTHING
    for row in rows:
        caption = both(row["caption"])
        pictures.append(_picture(row, NOTHING if caption == before else caption))
        before = caption
    return Section(part, title, word(f"{part}-intro"), pictures)


def _picture(row: Mapping[str, Any], caption: Both) -> Picture:
    state = row.get("state") or "ok"
    if state not in get_args(State):
        raise InputError(
            f"pictures: state '{state}' is unknown; expected {', '.join(get_args(State))}."
        )
    return Picture(
        png=_bytes(row),
        title=both(row.get("title")),
        badge=both(row.get("badge")),
        state=cast("State", state),
        columns=[both(one) for one in row.get("columns") or ()],
        lines=[both(one) for one in row.get("lines") or ()],
        caption=caption,
    )


def _bytes(row: Mapping[str, Any]) -> bytes:
    found = row.get("png")
    if found is None and row.get("path") is None:
        return b""
    if found is None:
        path = Path(row["path"])
        try:
            found = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"The picture '{path}' cannot be read ({error.strerror}); run samix poc again."
            ) from error
    if not found.startswith(_PNG):
        raise InputError(f"The picture '{row.get('path', 'png')}' is no PNG file.")
    return bytes(found)
