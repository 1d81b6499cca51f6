"""The options of `samix ui`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_option, add_reading, add_switch

_UI = """\
A page in your browser: drop in two photos, move lam, choose policies, and see mask, mix,
label and what the guard says side by side.

The page is served on this machine alone (127.0.0.1), to whoever has the address that is
printed: it holds a random token. Nothing is sent anywhere: no telemetry, no upload, no
share link, no fonts or scripts from elsewhere. Ctrl-C ends it.
"""
_EXAMPLES = """\
examples:
  samix ui
  samix ui --data photos/ --poc runs/poc-photos
  samix ui --data demo --policy runs/photos-samix
"""


def add_ui(commands: Any) -> None:
    """Add the parser of `samix ui`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "ui",
        usage="ui [options]",
        about="look at mixes in the browser, on this machine alone",
        description=_UI,
        examples=_EXAMPLES,
    )
    group = parser.add_argument_group("what")
    data = "photos to choose from: folder, parquet folder, timm name, or 'demo'"
    add_option(group, "--data", data, metavar="DATA")
    add_option(group, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(group, "--download", "let timm names fetch their data")
    add_reading(group)
    policy = "a further policy: folder of a run or of a pre-trained Mixer; may be repeated"
    add_option(group, "--policy", policy, action="append", metavar="RUN")
    add_option(group, "--poc", "folder of a samix poc, whose report is shown", metavar="POC")
    group = parser.add_argument_group("machine")
    add_option(group, "--port", "of the page (the first free one from 7860)", type=int, metavar="N")
