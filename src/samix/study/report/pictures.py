"""The pictures of a PoC's report: mixes as they are trained on, and where the models look."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from samix.errors import InputError, UnreadableImageError
from samix.files import whole_file, within
from samix.options import Options, option
from samix.pages.parts import PictureRow, Section, State
from samix.pages.words import NOTHING, Words, both, word
from samix.plain_json import read_json
from samix.study.report.view import ReportView
from samix.study.statistics.tables import MODES
from samix.study.wording import policy_words
from samix.training.config import FROZEN

FOLDER = "pictures"
RECORD = "pictures.json"
VERSION = 1
BASELINE, FULL = "none", "samix"
# a training with labels, and one without, which all budgets share
_NAMES = {
    "supervised": re.compile(r"^(?P<policy>.+)-(?P<labels>\d+)-s(?P<seed>\d+)$"),
    "self-supervised": re.compile(r"^(?P<policy>.+)(?P<labels>)-s(?P<seed>\d+)$"),
}

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """What is shown."""

    pairs: int = option(4, least=1)  # mixes of each policy
    photos: int = option(6, least=1)  # test photos
    seed: int = option(0, least=0)  # of all choices


def draw_pictures(
    poc: str | Path,
    *,
    policy: str,
    wrong: Sequence[Mapping[str, Any]] = (),
    options: PictureOptions | None = None,
    **given: Any,
) -> list[Row]:
    """Draw the pictures of a PoC into its folder, write pictures.json, and return its rows.

    Mixes are those of the verdict's policy and of samix; where the models look is shown for plain
    training and for these two, on the same test photos. Of each policy the finished run with the
    most labels and the lowest seed is taken; pre-trainings are shown where nothing was trained with
    labels. What cannot be shown has a row that says why.

    ``wrong`` are test photos that the policy gets wrong; as many are shown as options say. Photos
    are opened as ``given``, see :func:`samix.explain.open_photos`.
    """
    poc, options = Path(poc), options or PictureOptions()
    folder = poc / FOLDER
    runs = find_runs(poc, (BASELINE, policy, FULL))
    rows = _drawn(poc, runs, policy, wrong, options, given)
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        if "png" in row:
            _write(folder / row["file"], row.pop("png"))
    text = json.dumps({"version": VERSION, "pictures": rows}, indent=1, ensure_ascii=False)
    _write(folder / RECORD, f"{text}\n".encode("utf-8", errors="replace"))
    return read_pictures(poc)


def read_pictures(poc: str | Path) -> list[Row]:
    """Return the rows of pictures.json, each with the ``path`` of its PNG file where it has one."""
    file = Path(poc) / FOLDER / RECORD
    try:
        found = read_json(file)
        version, rows = found["version"], found["pictures"]
        for row in rows:
            if "file" in row:
                within(file.parent, row["file"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise InputError(f"'{file}' cannot be read ({reason}); run samix poc again.") from error
    if version != VERSION:
        raise InputError(
            f"'{file}' has version {version}, expected {VERSION}; run samix poc again."
        )
    return [
        {**row, "path": str(file.parent / row["file"])} if "file" in row else row for row in rows
    ]


def find_runs(poc: str | Path, policies: Sequence[str]) -> dict[str, Path]:
    """Return a finished run of each policy: that with the most labels and the lowest seed.

    All are of one mode: supervised, unless no such run of any of the policies is finished. A policy
    without one is left out.
    """
    for mode in MODES:
        found: dict[str, tuple[int, int, Path]] = {}
        folder = Path(poc) / "cells" / mode
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = _NAMES[mode].match(path.name)
            if name is None or name["policy"] not in policies:
                continue
            if (path / "model.json").is_file():
                own = (-int(name["labels"] or 0), int(name["seed"]), path)
                found[name["policy"]] = min(found.get(name["policy"], own), own)
        if found:
            return {name: found[name][2] for name in policies if name in found}
    return {}


def _drawn(
    poc: Path,
    runs: Mapping[str, Path],
    policy: str,
    wrong: Sequence[Mapping[str, Any]],
    options: PictureOptions,
    given: Mapping[str, Any],
) -> list[Row]:
    wanted = list(dict.fromkeys((policy, FULL)))
    missing = [name for name in (BASELINE, *wanted) if name not in runs and name != FROZEN]
    lost = {name: word("picture-no-run", policy=policy_words(name)) for name in missing}
    try:
        # captum is an extra
        from samix.study.report.picture_rows import (  # noqa: PLC0415
            mix_pictures,
            open_runs,
            where_pictures,
            wrong_pictures,
        )
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "captum":
            raise
        return [_said(part, word("picture-no-captum")) for part in ("mixes", "where")]
    rows: list[Row] = []
    if runs:
        opened = open_runs(runs, dict(given))
        names = {name: str(path.relative_to(poc / "cells")) for name, path in runs.items()}
        try:
            for name in wanted:
                if name in opened.subjects:
                    rows += mix_pictures(opened, name, names[name], options.pairs, options.seed)
            rows += where_pictures(opened, names, options.photos, options.seed)
            rows += wrong_pictures(opened, names, wrong[: options.photos], policy)
        except UnreadableImageError as error:  # such as a mask that does not fit its photo
            return [_said(part, both(f"{error}")) for part in ("mixes", "where")]
    rows += [_said("mixes", lost[name]) for name in wanted if name in lost]
    rows += [_said("where", words) for words in lost.values()]
    return rows


def _said(part: str, words: Words) -> Row:
    return {"part": part, "caption": words.plain()}


def _write(path: Path, content: bytes) -> None:
    """Write a file that appears as a whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


PARTS = ("mixes", "where", "wrong")
_PNG = b"\x89PNG\r\n\x1a\n"


def picture_sections(rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Return the sections of mixes and of where the models look, as far as there are any.

    A row has ``part`` (of :data:`PARTS`), ``caption`` with both languages, and ``png`` (the bytes)
    or ``path`` (a file); with neither it has only words. Optional: ``title``, ``badge``,
    ``columns`` and ``lines`` with both languages, ``state`` ("ok", "changed" or "bad").
    """
    unknown = [row["part"] for row in rows if row["part"] not in PARTS]
    if unknown:
        raise InputError(f"pictures: part '{unknown[0]}' is unknown; expected {', '.join(PARTS)}.")
    return _sections(rows, ("mixes", "where"))


def wrong_sections(rows: Sequence[Mapping[str, Any]], view: ReportView) -> list[Section]:
    """Return the section of wrong test photos; none where there are no pictures of them."""
    return _sections(rows, ("wrong",), policy=policy_words(view.policy))


def _sections(
    rows: Sequence[Mapping[str, Any]], parts: Sequence[str], **values: Words
) -> list[Section]:
    found = []
    for part in parts:
        own = [row for row in rows if row["part"] == part]
        if own:
            title, intro = word(f"{part}-title"), word(f"{part}-intro", **values)
            found.append(Section(title, intro, _pictures(own), key=part))
    return found


def _pictures(rows: Sequence[Mapping[str, Any]]) -> list[PictureRow]:
    pictures = []
    before = NOTHING
    for row in rows:
        caption = both(row["caption"])
        pictures.append(_picture(row, NOTHING if caption == before else caption))
        before = caption
    return pictures


def _picture(row: Mapping[str, Any], caption: Words) -> PictureRow:
    state = row.get("state") or "ok"
    if state not in get_args(State):
        raise InputError(
            f"pictures: state '{state}' is unknown; expected {', '.join(get_args(State))}."
        )
    return PictureRow(
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
