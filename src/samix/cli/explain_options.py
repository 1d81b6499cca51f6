"""The options of `samix explain`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_option, add_reading, add_switch

_EXPLAIN = """\
Show what a run has learned, on test photos that it has never seen: where the network
looks, how the Mixer's masks follow it, the map of the representation with the way of a
mix from one photo to another, the real photos nearest to mixes, the most and least
confident mixes, and what is taken for what.

RUN is the folder of a finished 'samix train', or of 'samix pretrain' (without the parts
that need classes). One page explain.html, its figures as PNG, and explain.json.
"""
_EXAMPLES = """\
examples:
  samix explain runs/photos-samix
  samix explain runs/photos-samix --data /new/place/of/photos --output explained
  samix explain runs/photos-moco-samix --pairs 10 --seed 1
"""


def add_explain(commands: Any) -> None:
    """Add the parser of `samix explain`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "explain",
        usage="explain RUN [options]",
        about="show what a run has learned: where it looks, how it mixes, what it confuses",
        description=_EXPLAIN,
        examples=_EXAMPLES,
    )
    group = parser.add_argument_group("run")
    add_option(group, "run", "folder of a finished run", metavar="RUN")
    add_option(group, "--output", "folder to create (a free name below runs/)", metavar="DIR")
    add_option(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    group = parser.add_argument_group("photos")
    add_option(group, "--data", "where the run's photos are (where they were)", metavar="DATA")
    add_option(group, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(group, "--download", "let timm names fetch their data")
    add_reading(group)
    part = "part of the run's photos that is explained: test, val or train (test)"
    add_option(group, "--part", part, metavar="PART")
    group = parser.add_argument_group("what is shown")
    photos = "photos of each class that are right, and as many that are wrong (2)"
    add_option(group, "--photos", photos, type=int, metavar="N")
    add_option(group, "--pairs", "mixes in each part (6)", type=int, metavar="N")
    add_option(group, "--seed", "seed of the choice of photos and pairs (0)", type=int, metavar="N")
