"""The options of `samix evaluate`."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_command, add_option, add_reading, add_switch
from .run_options import add_duplicates

_EVALUATE = """\
Measure how good the features of an image encoder are, with few labels and with all.

SOURCE is what to judge:

  runs/photos-samix             run folder of samix train or samix pretrain
  resnet18.a1_in1k              name of a timm model, with its published weights
  weights.pth --backbone NAME   checkpoint of a timm model (.safetensors, .pth, .pt, .pth.tar)

Protocols: 'knn' compares each photo with the labelled photos nearest to it, and shows
random encoders and bare pixels beside it; 'linear' fits a linear classifier on the
frozen features; 'finetune' trains the whole network with few labels, several times.
"""
_EXAMPLES = """\
examples:
  samix evaluate runs/photos-samix --data photos/ --protocol knn
  samix evaluate runs/photos-samix --data photos/ --output runs/judged
  samix evaluate resnet18.a1_in1k --data photos/ --protocol linear
  samix evaluate weights.pth --backbone resnet18 --stem small --image-size 32 --data demo
  samix evaluate RUN --data photos/ --protocol finetune --labels 1% 10% 20 --draws 5
"""


def add_evaluate(commands: Any) -> None:
    """Add the parser of `samix evaluate`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "evaluate",
        usage="evaluate SOURCE --data DATA [options]",
        about="measure what an encoder has learned: kNN, linear probe, fine-tuning",
        description=_EVALUATE,
        examples=_EXAMPLES,
    )
    _add_source(parser)
    _add_data(parser)
    _add_protocol(parser)
    _add_run(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("source")
    add_option(group, "source", "run folder, timm name or checkpoint file", metavar="SOURCE")
    add_switch(group, "--average", "judge the momentum average of a run instead of its encoder")
    add_option(group, "--backbone", "timm model that a checkpoint file is of", metavar="NAME")
    add_option(
        group,
        "--model-kwargs",
        "arguments of the timm model, e.g. layers=[1,1,1,1]",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    add_option(group, "--stem", "'small' where the checkpoint has that stem", metavar="small")
    add_option(
        group,
        "--image-size",
        "side in pixels that the network sees (that of the run or of the timm model; 32 with "
        "--stem small)",
        type=int,
        metavar="N",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add_option(
        group,
        "--data",
        "folder with one folder of photos per class, parquet folder, timm name, or 'demo'",
        required=True,
        metavar="DATA",
    )
    add_option(group, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(group, "--download", "let timm names fetch their data")
    add_reading(group)
    add_option(
        group,
        "--group-by",
        "which photos stay on one side of every split: a regular expression over the path, or a "
        "CSV file with columns path, group (not used where the run brings its splits)",
        metavar="REGEX|CSV",
    )
    add_duplicates(group)
    add_option(group, "--val-fraction", "share for validation (0.15)", type=float, metavar="X")
    add_option(group, "--test-fraction", "share for the test (0.2)", type=float, metavar="X")


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol")
    add_option(group, "--protocol", "knn, linear, finetune or all (all)", metavar="NAME")
    add_option(group, "--part", "part that kNN is measured on: test or val (test)", metavar="PART")
    add_option(group, "--neighbours", "k of kNN (20)", type=int, metavar="K")
    add_option(
        group,
        "--labels",
        "label budgets of linear probe and fine-tuning: '10%%' is a share of the labels, '20' is "
        "20 labels of each class (1%% 5%% 10%% 25%%)",
        nargs="+",
        metavar="BUDGET",
    )
    add_option(group, "--draws", "draws of the labels at each budget (3)", type=int, metavar="N")
    add_option(
        group,
        "--epochs",
        "fine-tuning: passes over the labelled photos (30)",
        type=int,
        metavar="N",
    )
    add_option(group, "--least-steps", "fine-tuning: steps at least (300)", type=int, metavar="N")
    add_option(group, "--batch-size", "fine-tuning: photos per step (64)", type=int, metavar="N")
    add_option(
        group,
        "--lr",
        "fine-tuning: learning rate of the body (0.02; 0.0002 without batch norm)",
        type=float,
        metavar="X",
    )
    add_option(
        group, "--head-lr", "fine-tuning: learning rate of the head (10 x --lr)", type=float,
        metavar="X",
    )  # fmt: skip
    add_option(
        group,
        "--augmentation",
        "fine-tuning: none, light, standard or strong (by image size)",
        metavar="NAME",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    add_option(group, "--output", "folder to create (a free name below runs/)", metavar="DIR")
    add_option(group, "--seed", "seed of splits, labels, heads, random encoders (0)", type=int,
               metavar="N")  # fmt: skip
    add_option(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    add_option(group, "--precision", "32, bf16 or 16 (32)", metavar="BITS")
