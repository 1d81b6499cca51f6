"""`samix check`: what is wrong with photos, before anything is learned from them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.data import open_images
from samix.data.health import Check, check_images
from samix.data.reading import MAX_MEGAPIXELS
from samix.report.page import write_page
from samix.training import Terminal
from samix.training.run_folder import write_json

from .check_page import check_sections, facts_of, lead_of
from .check_summary import print_check, record_of
from .output import create_folder, how_to_repeat, result_folder


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
