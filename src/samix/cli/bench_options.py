"""The options of `samix bench`."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_command, add_option, add_switch

_BENCH = """\
Measure on this machine what training costs with each way of mixing: time of a step,
images a second and peak memory, as multiples of plain training, side by side.

A setting is one of:

  none, mixup, cutmix ...   a policy; 'samix policies' lists them
  samix-fast, samix-full    SAMix with a Mixer that learns from part of each batch, or all
  samix-seldom              SAMix with a Mixer that learns in every fourth step
  a folder                  a pre-trained Mixer
  mixco, i-mix ...          a rival, with a self-supervised --method

'NAME+clean' also trains on the unmixed images. Plain training is always measured: a loop
without samix, on the CPU also in the memory format channels-last where samix uses it.
No photos are needed: images are random, and reading photos is not part of the numbers.
It takes as long as 35 steps of each setting; --steps 8 is enough for a first look.
"""
_EXAMPLES = """\
examples:
  samix bench --stem small --image-size 32 --batch-size 100
  samix bench --backbone resnet50 --precision bf16 --settings cutmix,samix-full
  samix bench --method moco --settings mixco samix-fast samix-full+clean
  samix bench --images 50000 --epochs 100 --price 1.20 --currency EUR --power 350
"""


def add_bench(commands: Any) -> None:
    """Add the parser of `samix bench`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "bench",
        usage="bench [options]",
        about="measure what training costs on this machine: time, memory, hours, money",
        description=_BENCH,
        examples=_EXAMPLES,
    )
    _add_training(parser)
    _add_measuring(parser)
    _add_estimate(parser)
    _add_run(parser)


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is trained")
    add_option(group, "--backbone", "any timm model (resnet18)", metavar="NAME")
    add_option(
        group,
        "--model-kwargs",
        "arguments of the timm model, e.g. layers=[1,1,1,1]",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    add_option(group, "--stem", "'small' for photos of up to 64 pixels", metavar="small")
    add_option(
        group,
        "--image-size",
        "side in pixels that the network sees (224; 32 with --stem small)",
        type=int,
        metavar="N",
    )
    add_option(group, "--batch-size", "photos per step (32)", type=int, metavar="N")
    add_option(group, "--classes", "number of classes (10)", type=int, metavar="N")
    add_option(
        group,
        "--method",
        "supervised, moco, simclr, byol or mocov3 (supervised)",
        metavar="NAME",
    )


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is measured")
    add_option(
        group,
        "--settings",
        "what to measure beside plain training, separated by commas or spaces (cutmix, samix-p "
        "where it is there, samix-fast, samix-seldom, samix-full)",
        nargs="+",
        metavar="NAME",
    )
    add_option(group, "--steps", "measured steps of each setting (32)", type=int, metavar="N")
    add_option(group, "--warmup", "steps of each before them (3)", type=int, metavar="N")
    add_switch(group, "--memory", "measure peak memory (where it can be measured)")
    add_switch(
        group,
        "--channels-last",
        "plain training in this memory format too (on the CPU); on a GPU samix then uses it as "
        "well",
    )


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("estimate for a whole run")
    add_option(group, "--images", "photos to train on", type=int, metavar="N")
    add_option(group, "--epochs", "passes over the photos", type=int, metavar="N")
    add_option(group, "--price", "price of this machine for an hour", type=float, metavar="X")
    add_option(group, "--currency", "of the price, e.g. EUR", metavar="WORD")
    add_option(group, "--power", "what this machine draws, in watts", type=float, metavar="X")


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    add_option(group, "--output", "folder to create (a free name below runs/)", metavar="DIR")
    add_option(group, "--seed", "seed of weights, images and mixes (0)", type=int, metavar="N")
    add_option(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    add_option(group, "--precision", "32, bf16, 16, or auto (32)", metavar="BITS")
    add_option(group, "--threads", "threads of torch on the CPU (torch's choice)", type=int,
               metavar="N")  # fmt: skip
