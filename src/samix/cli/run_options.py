"""The options that runs of all kinds share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from .options import add_option, add_reading, add_switch


@dataclass(frozen=True)
class RunWords:
    """What the help of one kind of run says differently.

    Attributes:
        presets: Names of its presets, and which one the demo takes.
        batch_size: Default batch size.
        lr: Default learning rates.
        weight_decay: Default weight decays.
        policies: What else --policy takes.
    """

    presets: str
    batch_size: str
    lr: str
    weight_decay: str
    policies: str = ""


def add_run(parser: argparse.ArgumentParser, words: RunWords) -> None:
    """Add what to run on, where to write, and how to go on."""
    group = parser.add_argument_group("run")
    data = "folder, parquet folder, timm name, or 'demo'"
    add_option(group, "data", data, nargs="?", metavar="DATA")
    add_option(
        group,
        "--preset",
        f"settings to start from: {words.presets}; options given here come before it",
        metavar="NAME",
    )
    add_option(group, "--output", "run folder to create (a free name below runs/)", metavar="RUN")
    add_option(
        group,
        "--resume",
        "go on with the run in --output from its last checkpoint",
        action="store_true",
    )
    add_option(group, "--seed", "seed of everything random (0)", type=int, metavar="N")


def add_photos(group: Any, *, image_size: str = "224") -> None:
    """Add which photos are taken and how they are split; ``image_size`` is the default's word."""
    add_option(group, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(group, "--download", "let timm names fetch their data")
    add_reading(group)
    add_option(
        group,
        "--group-by",
        "which photos belong together and stay on one side of every split: a regular expression "
        "that finds the group in a photo's path, or a CSV file with columns path, group",
        metavar="REGEX|CSV",
    )
    add_duplicates(group)
    add_option(
        group,
        "--splits",
        "the train, val and test photos of an earlier run: its splits.csv (they are divided anew)",
        metavar="CSV",
    )
    add_option(group, "--val-fraction", "share for validation (0.15)", type=float, metavar="X")
    add_option(group, "--test-fraction", "share for the test (0.2)", type=float, metavar="X")
    add_option(
        group,
        "--image-size",
        f"side in pixels that the network sees ({image_size})",
        type=int,
        metavar="N",
    )


def add_duplicates(group: Any) -> None:
    """Add what is done about near-duplicates."""
    add_option(
        group,
        "--duplicates",
        "near-duplicate photos: 'group' keeps them on one side of a new split (group), 'ignore' "
        "does not look for them; --group-by comes before it",
        metavar="group|ignore",
    )


def add_network(group: Any, *, backbone: str = "resnet18") -> None:
    """Add which network is trained; ``backbone`` is the default's word."""
    add_option(group, "--backbone", f"any timm model ({backbone})", metavar="NAME")
    add_switch(group, "--pretrained", "start from timm's weights of that backbone")
    add_option(
        group,
        "--weights",
        "weights to start from: a .safetensors or .pth file, the name of a timm model "
        "(tf_efficientnet_lite0 needs no download), or of a set of torchvision such as "
        "ResNet18_Weights.IMAGENET1K_V1",
        metavar="FILE|NAME",
    )
    add_option(group, "--stem", "'small' for photos of up to 64 pixels", metavar="small")
    add_option(group, "--tap", "stage or block that the Mixer reads", type=int, metavar="N")
    add_option(
        group,
        "--model-kwargs",
        "arguments of the timm model, e.g. layers=[1,1,1,1] drop_path_rate=0.1",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )


def add_mixing(group: Any, words: RunWords) -> None:
    """Add how photos are mixed."""
    add_option(
        group,
        "--policy",
        f"how photos are mixed (samix); 'samix policies' lists{words.policies}; or the folder of "
        "a run whose Mixer is taken",
        metavar="NAME|RUN",
    )
    add_switch(group, "--freeze-mixer", "do not train the Mixer that --policy RUN brings")
    add_option(group, "--alpha", "lam comes from Beta(alpha, alpha)", type=float, metavar="X")
    add_option(group, "--p", "probability that a photo is mixed (1)", type=float, metavar="X")
    add_option(
        group,
        "--mix-epochs",
        "passes over the photos, from the first, in which they are mixed (all)",
        type=float,
        metavar="X",
    )
    add_option(
        group,
        "--policy-options",
        "further options of the policy, e.g. lam_margin=0.1",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    add_option(
        group,
        "--guard",
        "check every mix and repair harmful ones; a YAML file says how, nothing takes the defaults",
        nargs="?",
        const="default",
        metavar="FILE",
    )
    add_cost(group)
    add_option(
        group, "--eta", "weight of the global term for the Mixer (0.5)", type=float, metavar="X"
    )
    add_option(
        group, "--area-weight", "weight of the Mixer's area loss (0)", type=float, metavar="X"
    )
    add_clean(group)


def add_clean(group: Any) -> None:
    """Add whether and how the network also learns from unmixed photos."""
    add_option(
        group,
        "--clean-branch",
        "let the network also learn from unmixed photos: nothing or branch (a pass of their own), "
        "half (of them), share (half of each batch stays unmixed), own-head, cheap (the Mixer "
        "reads what that pass sees), or fields such as fraction=0.25,head=own",
        nargs="?",
        const=True,
        metavar="HOW",
    )
    group.add_argument(
        "--no-clean-branch",
        dest="clean_branch",
        action="store_const",
        const=False,
        help="learn from mixed photos alone",
    )


def add_cost(group: Any) -> None:
    """Add what learning to mix may cost."""
    cost = "what learning to mix may cost: fast, seldom, or full, the paper's way (fast)"
    add_option(group, "--cost", cost, metavar="NAME")


def add_training(parser: argparse.ArgumentParser, words: RunWords) -> None:
    """Add how long and how fast is learned."""
    group = parser.add_argument_group("training")
    add_option(group, "--epochs", "passes over the photos (100)", type=int, metavar="N")
    batch = f"photos per step, all processes ({words.batch_size})"
    add_option(group, "--batch-size", batch, type=int, metavar="N")
    add_option(group, "--optimizer", "sgd or adamw (sgd)", metavar="NAME")
    add_option(group, "--lr", f"learning rate ({words.lr})", type=float, metavar="X")
    add_option(group, "--mixer-lr", "learning rate of the Mixer (as --lr)", type=float, metavar="X")
    add_option(group, "--weight-decay", f"({words.weight_decay})", type=float, metavar="X")
    add_option(
        group, "--mixer-weight-decay", "weight decay of the Mixer (0)", type=float, metavar="X"
    )
    add_option(group, "--warmup", "share of steps with rising rate (0.05)", type=float, metavar="X")
    add_option(
        group, "--final-lr", "share of the rate left at the end (0)", type=float, metavar="X"
    )
    add_option(
        group,
        "--validate-every",
        "epochs from one look at validation, with a checkpoint, to the next (chosen; mostly 1)",
        type=int,
        metavar="N",
    )
    add_option(group, "--clip", "largest norm of the gradient", type=float, metavar="X")
    add_option(group, "--accumulate", "batches per step (1)", type=int, metavar="N")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add where is computed."""
    group = parser.add_argument_group("machine")
    add_option(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    add_option(group, "--precision", "32, bf16, 16, or auto (32)", metavar="BITS")
    add_option(group, "--devices", "processes on this machine (1)", type=int, metavar="N")
    add_option(group, "--nodes", "machines, started by torchrun (1)", type=int, metavar="N")
    add_option(group, "--workers", "processes that load photos (chosen)", type=int, metavar="N")
