"""`samix ui`: a page on this machine to look at mixes, and at the reports of runs and studies."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.training.config import TrainConfig

from .options import PHOTOS, add_command, add_fields, add_language, page_language
from .running import photo_options, say

if TYPE_CHECKING:
    from rich.console import Console

    from samix.data import ImageSet
    from samix.preview.live_mix import Offer
    from samix.preview.live_page import ShownPage
    from samix.training import Terminal


_RUNS = "runs"  # where commands write when nothing is said
_DATA = "demo:photos_per_class=12"
_ADDRESS = (
    "The address is the key to the page: whoever has it sees what you see, so keep it to yourself. "
    "Ctrl-C ends the page."
)
_UI = """\
A page in your browser: two photos, and beside them what each policy makes of them: mask,
mix, label and what the guard says. Move lam, choose policies, drop in photos of your own;
open the reports and the pages of your runs.

The page is served on this machine alone (127.0.0.1), to whoever has the address that is
printed: it holds a random token. Nothing is sent anywhere: no telemetry, no upload, no
share link, no fonts or scripts from elsewhere. Ctrl-C ends it.
"""
_EXAMPLES = """\
examples:
  samix ui
  samix ui --data photos/ --runs runs/poc-photos
  samix ui --policy runs/photos-samix --lang ja
"""


def run_ui(chosen: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    import secrets

    from rich.console import Console

    from samix.preview.live_mix import open_shown, policies_for_pairs
    from samix.preview.live_page import LivePage
    from samix.preview.server import HOST, bound

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    language = page_language(given)
    console = Console(highlight=False)
    further = tuple(dict.fromkeys(given.get("policy", ())))
    pages = _pages(given)
    open_shown(further)  # what cannot mix is refused now, not in the page
    offered = _offer({"data": _DATA, **given}, console)
    page = LivePage((*policies_for_pairs(), *further), offered, pages, language)
    token = secrets.token_hex(16)
    server = bound(given.get("port"), token, page.ways())
    page.text()  # what can go wrong goes wrong now, and the first answer is quick
    say(console, f"Look at: http://{HOST}:{server.server_port}/{token}/")
    say(console, _ADDRESS)
    server.serve()
    say(console, "Ended.")
    return 0


def _pages(given: Mapping[str, Any]) -> list[ShownPage]:
    from samix.preview.live_page import find_pages

    folder = Path(given.get("runs", _RUNS)).expanduser()
    if "runs" not in given and not folder.is_dir():
        return []
    if not folder.is_dir():
        raise InputError(f"--runs '{folder}' is no folder; give that of a run, a study, or of many")
    found = find_pages(folder)
    if not found and "runs" in given:
        raise InputError(
            f"--runs '{folder}' has no page in it or in the folders below it; give the --output of "
            "a finished samix poc, check, preview, explain, evaluate or train"
        )
    return found


def _offer(given: Mapping[str, Any], console: Console) -> Offer:
    """Return the photos to choose from, and say which links are not followed."""
    from samix.preview.live_mix import offer
    from samix.training import Terminal

    images = _photos(given, Terminal(console))
    named = Path(given["data"]).expanduser()
    folder = named.parent if named.is_file() else named
    is_demo = given["data"].strip().partition(":")[0] == "demo"
    root = folder.resolve() if folder.exists() and not is_demo else None
    found, outside = offer(images, root)
    if outside:
        say(console, f"Not offered: {outside} photos whose links lead out of '{named}'.")
    return found


def _photos(given: Mapping[str, Any], display: Terminal) -> ImageSet:
    from samix.data import open_images

    try:
        return open_images(
            given["data"],
            need_labels=False,
            **photo_options(given),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
    finally:
        display.rest()


def add_ui(commands: Any, about: str) -> None:
    """Add the parser of `samix ui`."""
    parser = add_command(
        commands, "ui", usage="ui [options]", about=about, description=_UI, examples=_EXAMPLES
    )
    group = parser.add_argument_group("what")
    data = "photos to choose from: folder, parquet folder, timm name, or 'demo' (demo)"
    group.add_argument("--data", help=data, metavar="DATA")
    add_fields(group, TrainConfig, *PHOTOS)
    policy = "a further policy: folder of a run or of a pre-trained Mixer; may be repeated"
    group.add_argument("--policy", help=policy, action="append", metavar="RUN")
    runs = "folder whose reports and runs are listed, its own and those below it (runs/)"
    group.add_argument("--runs", help=runs, metavar="DIR")
    add_language(group)
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--port", help="of the page (the first free one from 7860)", type=int, metavar="N"
    )
