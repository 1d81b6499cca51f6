"""The parser of the command line. It imports nothing heavy, so that help is quick."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import NoReturn

from samix._version import __version__

from .evaluate_options import add_evaluate
from .options import FLAGS as _FLAGS
from .options import add_option as _add
from .options import add_switch as _switch

_TRAIN = """\
Train an image classifier with learned mixup (SAMix) or with a hand-made policy.

DATA is a folder with one folder of photos per class:

  photos/good/1.png  photos/scratch/2.png ...

or with train, val and test folders above the classes, a folder of parquet files in
Hugging Face layout, a timm name such as torch/cifar10, or the word 'demo' for built-in
photos. Everything that the run does is written into its run folder.
"""
_EXAMPLES = """\
examples:
  samix train demo
  samix train photos/ --preset small-resnet --epochs 60
  samix train photos/ --policy cutmix --seed 1 --output runs/cutmix-1
  samix train photos/ --group-by 'part(\\d+)'       photos of one part stay together
  samix train --resume --output runs/photos-samix  go on with a run that was stopped
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, with the nearest option where one is unknown."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with code 2."""
        unknown = message.removeprefix("unrecognized arguments: ")
        flag = unknown.split()[0].partition("=")[0] if unknown != message else ""
        near = difflib.get_close_matches(flag, _FLAGS, n=1, cutoff=0.5) if flag else []
        hint = f"; did you mean {near[0]}?" if near else f"; see '{self.prog} --help'"
        print(f"samix: {message}{hint}", file=sys.stderr)
        raise SystemExit(2)


def create_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; options that were not given are absent."""
    parser = _Parser(
        prog="samix",
        description="Learned mixup for image models.",
        epilog="'samix COMMAND --help' explains a command. Start with: samix train demo",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"samix {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    train = commands.add_parser(
        "train",
        usage="samix train DATA [options]",
        help="train a classifier on a folder of photos",
        description=_TRAIN,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_run(train)
    _add_data(train)
    _add_network(train)
    _add_mixing(train)
    _add_training(train)
    _add_machine(train)
    add_evaluate(commands)
    commands.add_parser(
        "policies",
        help="list the mixing policies",
        description="List every mixing policy with its options.",
    )
    return parser


def _add_run(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("run")
    _add(group, "data", "folder, parquet folder, timm name, or 'demo'", nargs="?", metavar="DATA")
    _add(
        group,
        "--preset",
        "settings to start from: small-resnet, imagenet-resnet, vit, fine-grained, openmixup, "
        "demo (taken for DATA 'demo'); options given here come before it",
        metavar="NAME",
    )
    _add(group, "--output", "run folder to create (a free name below runs/)", metavar="RUN")
    _add(
        group,
        "--resume",
        "go on with the run in --output from its last checkpoint",
        action="store_true",
    )
    _add(group, "--seed", "seed of everything random (0)", type=int, metavar="N")


def _add_data(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("data")
    _add(group, "--data-root", "folder of the data for timm names", metavar="DIR")
    _switch(group, "--download", "let timm names fetch their data")
    _switch(group, "--skip-corrupt", "leave out photos that cannot be read, instead of stopping")
    _add(
        group,
        "--group-by",
        "which photos belong together and stay on one side of every split: a regular expression "
        "that finds the group in a photo's path, or a CSV file with columns path, group",
        metavar="REGEX|CSV",
    )
    _add(group, "--labels-per-class", "use only N labels of each class", type=int, metavar="N")
    _add(group, "--label-fraction", "use only this share of labels", type=float, metavar="X")
    _add(group, "--val-fraction", "share for validation (0.15)", type=float, metavar="X")
    _add(group, "--test-fraction", "share for the test (0.2)", type=float, metavar="X")
    _add(group, "--image-size", "side in pixels that the network sees (224)", type=int, metavar="N")
    _add(
        group,
        "--augmentation",
        "none, light (flip, small shift), standard (flip, crop) or strong (and RandAugment)",
        metavar="NAME",
    )


def _add_network(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("network")
    _add(group, "--backbone", "any timm model (resnet18)", metavar="NAME")
    _switch(group, "--pretrained", "start from timm's weights")
    _add(group, "--stem", "'small' for photos of up to 64 pixels", metavar="small")
    _add(group, "--tap", "stage or block that the Mixer reads", type=int, metavar="N")
    _add(
        group,
        "--model-kwargs",
        "arguments of the timm model, e.g. layers=[1,1,1,1] drop_path_rate=0.1",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )


def _add_mixing(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("mixing")
    _add(group, "--policy", "how photos are mixed (samix); 'samix policies' lists", metavar="NAME")
    _add(group, "--alpha", "lam comes from Beta(alpha, alpha)", type=float, metavar="X")
    _add(group, "--p", "probability that a photo is mixed (1)", type=float, metavar="X")
    _add(
        group,
        "--policy-options",
        "further options of the policy, e.g. lam_margin=0.1",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    _add(group, "--eta", "weight of the global term for the Mixer (0.5)", type=float, metavar="X")
    _switch(group, "--clean-branch", "let the network also learn from unmixed photos")
    _switch(group, "--momentum-average", "keep an average of the network for any policy")
    _add(group, "--label-smoothing", "share spread over all classes (0)", type=float, metavar="X")


def _add_training(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("training")
    _add(group, "--epochs", "passes over the photos (100)", type=int, metavar="N")
    _add(group, "--batch-size", "photos per step, all processes (100)", type=int, metavar="N")
    _add(group, "--optimizer", "sgd or adamw (sgd)", metavar="NAME")
    _add(group, "--lr", "learning rate (sgd 0.1, adamw 0.001)", type=float, metavar="X")
    _add(group, "--mixer-lr", "learning rate of the Mixer (as --lr)", type=float, metavar="X")
    _add(group, "--weight-decay", "(sgd 0.0005, adamw 0.05)", type=float, metavar="X")
    _add(group, "--warmup", "share of steps with rising rate (0.05)", type=float, metavar="X")
    _add(group, "--final-lr", "share of the rate left at the end (0)", type=float, metavar="X")
    _add(
        group,
        "--validate-every",
        "epochs from one look at validation, with a checkpoint, to the next (chosen; mostly 1)",
        type=int,
        metavar="N",
    )
    _add(group, "--clip", "largest norm of the gradient", type=float, metavar="X")
    _add(group, "--accumulate", "batches per step (1)", type=int, metavar="N")


def _add_machine(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("machine")
    _add(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    _add(group, "--precision", "32, bf16 or 16 (32)", metavar="BITS")
    _add(group, "--devices", "processes on this machine (1)", type=int, metavar="N")
    _add(group, "--nodes", "machines, started by torchrun (1)", type=int, metavar="N")
    _add(group, "--workers", "processes that load photos (chosen)", type=int, metavar="N")
