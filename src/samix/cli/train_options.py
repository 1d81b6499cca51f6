"""The options of `samix train`."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_command, add_option, add_switch
from .run_options import (
    RunWords,
    add_machine,
    add_mixing,
    add_network,
    add_photos,
    add_run,
    add_training,
)

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
  samix train photos/ --policy cutmix --guard      harmful mixes are repaired
  samix train photos/ --init RUN --policy RUN      encoder and Mixer of an earlier run
  samix train --resume --output runs/photos-samix  go on with a run that was stopped
  samix train --from-poc runs/poc-photos           the final model, as the study recommends
"""
_WORDS = RunWords(
    presets="small-resnet, imagenet-resnet, vit, fine-grained, openmixup, demo (taken for DATA "
    "'demo')",
    batch_size="100",
    lr="sgd 0.1, adamw 0.001; a tenth of it with --pretrained or --init",
    weight_decay="sgd 0.0005, adamw 0.05",
)


def add_train(commands: Any) -> None:
    """Add the parser of `samix train`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "train",
        usage="train DATA [options]",
        about="train a classifier on a folder of photos",
        description=_TRAIN,
        examples=_EXAMPLES,
    )
    add_run(parser, _WORDS)
    _add_final(parser)
    data = parser.add_argument_group("data")
    add_photos(data)
    add_option(data, "--labels-per-class", "use only N labels of each class", type=int, metavar="N")
    add_option(data, "--label-fraction", "use only this share of labels", type=float, metavar="X")
    add_option(
        data,
        "--balance",
        "how evenly classes are drawn: 0 as often as they are, 1 equally often, 0.5 between (0)",
        type=float,
        metavar="X",
    )
    add_option(
        data,
        "--augmentation",
        "none, light (flip, small shift), standard (flip, crop) or strong (and RandAugment)",
        metavar="NAME",
    )
    network = parser.add_argument_group("network")
    add_network(network)
    add_option(
        network,
        "--init",
        "run of samix pretrain or samix train whose encoder is the start; its network settings are "
        "taken, its split too where the data is the same",
        metavar="RUN",
    )
    mixing = parser.add_argument_group("mixing")
    add_mixing(mixing, _WORDS)
    pairing = "who is mixed with whom, by class: any, same, different or balanced (any)"
    add_option(mixing, "--pairing", pairing, metavar="NAME")
    label = "what labels use instead of the policy's own: area, lam, saliency or attention"
    add_option(mixing, "--label", label, metavar="NAME")
    decoupled = "weight of the decoupled mixup loss (0)"
    add_option(mixing, "--decoupled", decoupled, type=float, metavar="X")
    add_switch(mixing, "--momentum-average", "keep an average of the network for any policy")
    add_option(
        mixing,
        "--teacher-statistics",
        "what batch norms of that average use: averaged, batch, or auto, which is batch until the "
        "averaged ones fit (auto)",
        metavar="WHICH",
    )
    smoothing = "share spread over all classes (0)"
    add_option(mixing, "--label-smoothing", smoothing, type=float, metavar="X")
    add_training(parser, _WORDS)
    add_machine(parser)


def _add_final(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("final model")
    add_option(
        group,
        "--from-poc",
        "folder of a finished samix poc: train what its verdict recommends, with its settings, on "
        "all labelled photos but those of val; options given here come before it",
        metavar="POC",
    )
    final = "learn from the test photos too: the model then has no test figure of its own"
    add_switch(group, "--final", final)
