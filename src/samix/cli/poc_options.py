"""The options of `samix poc`."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_command, add_option
from .run_options import add_network, add_photos

_POC = """\
Find out whether learned mixing pays on your photos, and write a report to decide by.

samix times each policy for some seconds, plans the grid of trainings that fits into --budget
(policies x learning modes x label budgets x seeds, each hand-made policy also for as long as
SAMix takes), says what that can tell and what not, trains, and judges by rules that are written
down in docs/statistics.md. A study that is stopped goes on with --resume.
"""
_EXAMPLES = """\
examples:
  samix poc demo --budget 9m
  samix poc photos/ --budget 90m --good ok --escape-price 200 --overkill-price 3
  samix poc photos/ --budget 2h --plan
  samix poc --resume --output runs/poc-photos
"""


def add_poc(commands: Any) -> None:
    """Add the parser of `samix poc`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "poc",
        usage="poc DATA [options]",
        about="from photos to a decision: does learned mixing pay here? (with a report)",
        description=_POC,
        examples=_EXAMPLES,
    )
    _add_run(parser)
    _add_grid(parser)
    photos = parser.add_argument_group("photos")
    add_photos(photos, image_size="32 for photos below 100 px, else 96 on a CPU, 224 on a GPU")
    _add_worth(parser)
    network = parser.add_argument_group("network (chosen by the size of the photos)")
    add_network(network, backbone="resnet18; on a CPU a narrow one of ten layers")
    add_option(network, "--batch-size", "photos per step (64)", type=int, metavar="N")
    add_option(network, "--lr", "largest learning rate (0.1)", type=float, metavar="X")
    _add_machine(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    data = "folder, parquet folder, timm name, or 'demo'"
    add_option(group, "data", data, nargs="?", metavar="DATA")
    add_option(
        group,
        "--budget",
        "wall time that it may take, such as 45m or 1h30m (2h; 9m for 'demo')",
        metavar="TIME",
    )
    add_option(group, "--plan", "print the plan and stop", action="store_true")
    add_option(group, "--output", "folder to create (a free name below runs/)", metavar="DIR")
    add_option(group, "--resume", "go on with the study in --output", action="store_true")
    add_option(group, "--lang", "language of the report: en, ja or both (both)", metavar="LANG")


def _add_grid(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("grid")
    add_option(
        group,
        "--policies",
        "to compare (none, mixup, cutmix, mixup-cutmix, samix-p, samix)",
        nargs="+",
        metavar="NAME",
    )
    add_option(group, "--modes", "supervised, self-supervised (both)", nargs="+", metavar="MODE")
    add_option(
        group,
        "--labels",
        "label budgets in %% of the training photos (5 10 25 100)",
        nargs="+",
        metavar="X",
    )
    add_option(group, "--seeds", "trainings of each kind (3, or up to 5 that fit)", type=int,
               metavar="N")  # fmt: skip
    add_option(
        group,
        "--guard",
        "check every mix and repair harmful ones; a YAML file says how, nothing takes the defaults",
        nargs="?",
        const="default",
        metavar="FILE",
    )


def _add_worth(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it is worth")
    add_option(
        group,
        "--good",
        "classes that are good parts; all others are defects, and escapes and overkill are told",
        nargs="+",
        metavar="CLASS",
    )
    add_option(group, "--escape-price", "of a defect that is passed (1)", type=float, metavar="X")
    add_option(
        group, "--overkill-price", "of a good part that is rejected (1)", type=float, metavar="X"
    )
    add_option(
        group,
        "--defect-share",
        "of the parts in production that are defective (as in the photos)",
        type=float,
        metavar="X",
    )
    add_option(group, "--price", "of this machine for an hour", type=float, metavar="X")
    add_option(group, "--currency", "of all prices, e.g. EUR", metavar="WORD")
    add_option(group, "--power", "what this machine draws, in watts", type=float, metavar="X")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine")
    add_option(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    add_option(
        group,
        "--workers",
        "trainings at a time (one a core; one on a GPU)",
        type=int,
        metavar="N",
    )
    add_option(
        group,
        "--engine",
        "local, or ray: on the cluster that RAY_ADDRESS names (local)",
        metavar="NAME",
    )
