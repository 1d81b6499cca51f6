"""`samix check`: what is wrong with photos, before anything is learned from them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.training.config import TrainConfig

from .options import add_command, add_fields, add_language, page_language, spoken
from .running import (
    create_folder,
    how_to_repeat,
    photo_options,
    print_table,
    result_folder,
    say,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from samix.data.health import Check
    from samix.pages.words import Words
    from samix.training import Terminal


_CHECK = """\
Look at photos before anything is learned from them: class balance, sizes, corrupt files,
equal photos and near-duplicates (the same part photographed again, cropped, compressed,
mirrored), labels that disagree between duplicates, duplicates between given train, val
and test parts, and which classes have too few independent parts to be judged.

DATA is what 'samix train' takes: a folder of class folders, with or without train, val and
test above them, a flat folder, parquet files, a timm name, or 'demo'.

The exit code is 0 when nothing is wrong, 1 when something was found that makes results
untrustworthy (corrupt photos, given parts that share photos, labels that disagree, classes
too small to be divided, groups of near-duplicates that are too large to be kept together), and
2 when the data or an option cannot be used.
"""
_EXAMPLES = """\
examples:
  samix check photos/
  samix check photos/ --group-by 'part(\\d+)'      count parts by their names instead
  samix check photos/ --output report             report/check.html, report/check.json
"""
_SHOWN_CLASSES = 12


def run_check(chosen: argparse.Namespace) -> int:
    """Write check.html and check.json; return 1 when something makes results untrustworthy."""
    from rich.console import Console

    from samix.pages.health import check_sections, facts_of, lead_of, problems_of, record_of
    from samix.pages.parts import write_page
    from samix.pages.words import word
    from samix.training import Terminal
    from samix.training.run_folder import write_json

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    language = page_language(given)
    console = Console(highlight=False)
    name = Path(given["data"]).name or "data"
    output = result_folder(given, f"check-{name}")
    found = _look(given, Terminal(console, spoken(given)))
    fresh = not output.exists()
    create_folder(output)
    try:
        write_json(output / "check.json", {**record_of(found), **how_to_repeat("torch", "pillow")})
        write_page(
            output / "check.html",
            word("check-title", data=found.images.name),
            check_sections(found),
            lead=lead_of(found),
            facts=facts_of(found),
            language=language,
        )
    except BaseException:
        for path in output.glob("check.*"):  # the folder is ours: it was new or empty
            path.unlink()
        if fresh:
            with suppress(OSError):
                output.rmdir()
        raise
    print_check(found, output, console, spoken(given))
    return 1 if problems_of(found) else 0


def _look(given: Mapping[str, Any], display: Terminal) -> Check:
    from samix.data import open_images
    from samix.data.health import check_images
    from samix.data.verifying import Keep

    corrupt: list[tuple[str, str]] = []
    try:
        images = open_images(
            given["data"],
            need_labels=False,
            skip_corrupt=True,
            **photo_options(given),
            progress=lambda done, total: display.work("checking photos", done, total),
            left_out=lambda key, reason: corrupt.append((key, reason)),
            keep=Keep(prints=True),
        )
        return check_images(
            images, group_by=given.get("group_by"), corrupt=corrupt, announce=display.work
        )
    finally:
        display.rest()


def add_check(commands: Any, about: str) -> None:
    """Add the parser of `samix check`."""
    parser = add_command(
        commands,
        "check",
        usage="check DATA [options]",
        about=about,
        description=_CHECK,
        examples=_EXAMPLES,
    )
    data = parser.add_argument_group("data")
    words = "folder, parquet folder, timm name, or 'demo'"
    data.add_argument("data", help=words, metavar="DATA")
    add_fields(
        data, TrainConfig, "data_root", "download", "max_megapixels", "labels", "label_column"
    )
    add_fields(
        data,
        TrainConfig,
        "group_by",
        group_by="which photos show one part: a regular expression that finds the "
        "group in a photo's path, "
        "or a table with columns path, group (near-duplicates)",
    )
    group = parser.add_argument_group("output")
    group.add_argument("--output", help="folder to create (a free name below runs/)", metavar="DIR")
    add_language(group)


def print_check(found: Check, output: Path, console: Console, lang: str) -> None:
    """Print what was found, and where to look, in one language."""
    from samix.data.health import size_facts
    from samix.pages.health import duplicate_lines, grouping_words, problems_of, warnings_of
    from samix.pages.words import word

    sizes = size_facts(found)
    tell(
        console, word(
            "check-said", data=found.images.name, photos=f"{len(found.images):,}",
            parts=f"{found.parts:,}", grouping=grouping_words(found),
            width=_range(sizes["width"]), height=_range(sizes["height"]),
        ), lang,
    )  # fmt: skip
    if found.images.classes:
        _print_classes(found, console, lang)
    for line in duplicate_lines(found):
        tell(console, line, lang)
    for note in warnings_of(found):
        tell(console, word("check-note", note=note), lang)
    problems = problems_of(found)
    for problem in problems:
        tell(console, word("check-wrong", problem=problem), lang)
    for key, reason in found.corrupt[:3]:
        say(console, f"  {reason if key in reason else f'{key}: {reason}'}")
    if not problems:
        tell(console, word("check-nothing"), lang)
    tell(console, word("check-page", path=str(output / "check.html")), lang)
    tell(console, word("check-numbers", path=str(output / "check.json")), lang)


def _print_classes(found: Check, console: Console, lang: str) -> None:
    from samix.pages.health import judged_words, needed_line
    from samix.pages.parts import Table
    from samix.pages.words import word

    given = "test" in found.images.given_split
    header = [
        word(f"col-{key}") if key != "parts" else word("check-parts-short")
        for key in ("class", "photos", "parts", "test-parts")
    ]
    classes = sorted(found.classes, key=lambda count: count.test_parts)
    rows = [
        [
            count.name, f"{count.photos:,}", f"{count.parts:,}",
            f"{count.test_parts:,}" if given else f"~{count.test_parts:,}", judged_words(count),
        ]
        for count in classes[:_SHOWN_CLASSES]
    ]  # fmt: skip
    print_table(console, Table([*header, word("check-known-to")], rows, words=[0]), lang)
    if len(classes) > _SHOWN_CLASSES:
        tell(console, word("check-more-classes", more=len(classes) - _SHOWN_CLASSES), lang)
    tell(console, needed_line(), lang)


def _range(values: Any) -> Words:
    from samix.pages.words import Words

    low, _, high = values
    ends = f"{low:,}", f"{high:,}"
    return Words(ends[0], ends[0]) if low == high else Words(" to ".join(ends), "〜".join(ends))
