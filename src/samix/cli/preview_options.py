"""The options of `samix preview`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_option, add_reading, add_switch

_PREVIEW = """\
Look at mixes before any training: the same pairs of photos under several policies, with
original, partner, mask, mix, lam and area, and the soft label by class names.

DATA is what 'samix train' takes: a folder of class folders, a flat folder, parquet files,
a timm name, or 'demo'. Photos need no labels and no split; where the data gives a split,
train photos are taken. A policy is one of:

  mixup, cutmix, samix-p ...   a policy; 'samix policies' lists them
  RUN                          a run of 'samix train' or 'samix pretrain': its Mixer
  a folder                     a pre-trained Mixer
  mixco, i-mix ...             a rival of self-supervised learning

Where the data brings masks of the defects (images/ beside masks/), their outlines are
drawn, and each row says how much of each defect is visible and what the label says.
"""
_EXAMPLES = """\
examples:
  samix preview demo
  samix preview photos/ --policy cutmix,resizemix,samix-p --pairs 12
  samix preview photos/ --policy mixup,runs/photos-samix --image-size 224
  samix preview photos/ --classes crack,good --seed 1 --output look
  samix preview photos/ --policy cutmix --guard    what would be repaired, and how
"""


def add_preview(commands: Any) -> None:
    """Add the parser of `samix preview`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "preview",
        usage="preview DATA [options]",
        about="look at mixes before any training: one page of pictures",
        description=_PREVIEW,
        examples=_EXAMPLES,
    )
    _add_policies(parser.add_argument_group("policies"))
    _add_guard(parser.add_argument_group("guard"))
    _add_photos(parser.add_argument_group("photos"))
    group = parser.add_argument_group("output")
    add_option(group, "--output", "folder to create (a free name below runs/)", metavar="DIR")


def _add_policies(group: Any) -> None:
    add_option(
        group,
        "--policy",
        "what to look at, separated by commas; may be repeated (mixup,cutmix,samix-p)",
        action="append",
        metavar="NAME,...",
    )
    add_option(
        group,
        "--alpha",
        "lam of every policy comes from Beta(alpha, alpha), so that rows can be compared (1)",
        type=float,
        metavar="X",
    )
    add_option(group, "--p", "probability that a photo is mixed (1)", type=float, metavar="X")
    add_option(
        group,
        "--policy-options",
        "further options of each policy that has them, e.g. scale=[0.2,0.6]; of one alone, e.g. "
        "cutmix.alpha=0.5",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )


def _add_guard(group: Any) -> None:
    add_option(
        group,
        "--guard",
        "also say what a guard finds wrong with each mix and what it makes of it; with its rules "
        "from a YAML file, or the defaults where no file is named",
        nargs="?",
        const="default",
        metavar="FILE",
    )


def _add_photos(group: Any) -> None:
    data = "folder, parquet folder or file, timm name, or 'demo'"
    add_option(group, "data", data, nargs="?", metavar="DATA")
    add_option(group, "--pairs", "how many pairs to show (8)", type=int, metavar="N")
    add_option(
        group,
        "--classes",
        "only pairs of these classes, separated by commas; may be repeated (all)",
        action="append",
        metavar="NAME,...",
    )
    add_option(
        group,
        "--image-size",
        "side in pixels that the network will see (that of the photos, at most 224)",
        type=int,
        metavar="N",
    )
    add_option(
        group, "--seed", "seed of the choice of photos and of lam (0)", type=int, metavar="N"
    )
    add_switch(group, "--show-masks", "outlines of the defects (where masks are given)")
    add_option(group, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(group, "--download", "let timm names fetch their data")
    add_reading(group)
