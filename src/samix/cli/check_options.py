"""The options of `samix check`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_limit, add_option, add_switch

_CHECK = """\
Look at photos before anything is learned from them: class balance, sizes, corrupt files,
equal photos and near-duplicates (the same part photographed again, cropped, compressed,
mirrored), labels that disagree between duplicates, duplicates between given train, val
and test parts, and which classes have too few independent parts to be judged.

DATA is what 'samix train' takes: a folder of class folders, with or without train, val and
test above them, a flat folder, parquet files, a timm name, or 'demo'.

The exit code is 0 when nothing is wrong, 1 when something was found that makes results
untrustworthy (corrupt photos, given parts that share photos, labels that disagree, groups of
near-duplicates that are too large to be kept together), and 2 when the data or an option
cannot be used.
"""
_EXAMPLES = """\
examples:
  samix check photos/
  samix check photos/ --group-by 'part(\\d+)'      count parts by their names instead
  samix check photos/ --output report             report/check.html, report/check.json
"""


def add_check(commands: Any) -> None:
    """Add the parser of `samix check`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "check",
        usage="check DATA [options]",
        about="look at photos before training: duplicates, labels, splits, corrupt files",
        description=_CHECK,
        examples=_EXAMPLES,
    )
    data = parser.add_argument_group("data")
    words = "folder, parquet folder, timm name, or 'demo'"
    add_option(data, "data", words, metavar="DATA")
    add_option(data, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(data, "--download", "let timm names fetch their data")
    add_limit(data)
    add_option(
        data,
        "--group-by",
        "which photos show one part: a regular expression that finds the group in a photo's path, "
        "or a CSV file with columns path, group (near-duplicates)",
        metavar="REGEX|CSV",
    )
    group = parser.add_argument_group("output")
    add_option(group, "--output", "folder to create (a free name below runs/)", metavar="DIR")
