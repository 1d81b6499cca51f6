"""`samix check`: what is wrong with photos, before anything is learned from them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from samix.data import open_images
from samix.data.health import (
    Check,
    check_images,
    size_facts,
)
from samix.data.reading import MAX_MEGAPIXELS
from samix.pages.health import (
    check_sections,
    duplicate_lines,
    facts_of,
    judged_words,
    lead_of,
    needed_line,
    record_of,
    warnings_of,
)
from samix.pages.parts import write_page
from samix.training import Terminal
from samix.training.run_folder import write_json

from .output import create_folder, how_to_repeat, result_folder
from .summary import cell, say

_SHOWN_CLASSES = 12


def run_check(chosen: argparse.Namespace) -> int:
    """Write check.html and check.json, and print a summary.

    Returns:
        0, or 1 when something makes results untrustworthy.

    Raises:
        InputError: The data or an option cannot be used.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    console = Console(highlight=False)
    name = Path(given["data"]).name or "data"
    output = result_folder(given, f"check-{name}")
    found = _look(given, Terminal(console))
    fresh = not output.exists()
    create_folder(output)
    try:
        write_json(output / "check.json", {**record_of(found), **how_to_repeat("torch", "pillow")})
        write_page(
            output / "check.html",
            f"Check of {found.images.name}",
            check_sections(found),
            lead=lead_of(found),
            facts=facts_of(found),
        )
    except BaseException:
        for path in output.glob("check.*"):  # the folder is ours: it was new or empty
            path.unlink()
        if fresh:
            with suppress(OSError):
                output.rmdir()
        raise
    print_check(found, output, console)
    return 1 if found.problems() else 0


def _look(given: Mapping[str, Any], display: Terminal) -> Check:
    """Open the photos and check them, with a bar on long work."""
    corrupt: list[tuple[str, str]] = []
    try:
        images = open_images(
            given["data"],
            need_labels=False,
            max_megapixels=given.get("max_megapixels", MAX_MEGAPIXELS),
            skip_corrupt=True,
            root=given.get("data_root"),
            download=given.get("download", False),
            progress=lambda done, total: display.work("checking photos", done, total),
            left_out=lambda key, reason: corrupt.append((key, reason)),
        )
        return check_images(
            images, group_by=given.get("group_by"), corrupt=corrupt, announce=display.work
        )
    finally:
        display.rest()


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


def _range(values: Any) -> str:
    low, _, high = values
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
