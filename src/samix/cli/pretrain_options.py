"""The options of `samix pretrain`."""

from __future__ import annotations

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

_PRETRAIN = """\
Train an image encoder without labels, with learned mixup (SAMix) or another policy.

DATA is a folder of photos, flat or with one folder per class, with or without train, val
and test folders above, a folder of parquet files in Hugging Face layout, a timm name such
as torch/cifar10, or the word 'demo' for built-in photos.

Nothing is learned from labels and nothing is chosen by them. Where there are classes,
they serve for two things: the same test photos as in 'samix train' are set aside and never
looked at, and a kNN accuracy is shown after each epoch.
"""
_EXAMPLES = """\
examples:
  samix pretrain demo
  samix pretrain photos/ --preset quick
  samix pretrain photos/ --preset ssl-resnet --method byol --policy cutmix
  samix pretrain --resume --output runs/photos-moco-samix   go on with a stopped run
  samix train photos/ --init RUN --policy RUN               then use encoder and Mixer
  samix evaluate RUN --data photos/                         or measure what was learned
"""
_WORDS = RunWords(
    presets="quick (32 px; taken for DATA 'demo'), ssl-resnet (224 px), mixer (32 px)",
    batch_size="256",
    lr="sgd 0.06, adamw 0.00015, times batch size / 256",
    weight_decay="sgd 0.0005, adamw 0.1",
    policies=", and mixco, i-mix, un-mix, mochi, sdmp",
)


def add_pretrain(commands: Any) -> None:
    """Add the parser of `samix pretrain`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "pretrain",
        usage="pretrain DATA [options]",
        about="train an encoder on photos without labels",
        description=_PRETRAIN,
        examples=_EXAMPLES,
    )
    add_run(parser, _WORDS)
    data = parser.add_argument_group("data")
    add_photos(data)
    add_option(
        data,
        "--views",
        "how the two views of a photo are made: moco, simclr or byol (that of the method)",
        metavar="NAME",
    )
    add_option(
        data,
        "--view-size",
        "side of the views in pixels, at most that of --image-size (the same); smaller views are "
        "quicker to learn from",
        type=int,
        metavar="N",
    )
    add_switch(
        data,
        "--standardise",
        "show the network each photo with mean 0 and deviation 1, as a pre-trained Mixer sees it",
    )
    method = parser.add_argument_group("method")
    names = "moco, simclr, byol, or mocov3 for transformers (moco)"
    add_option(method, "--method", names, metavar="NAME")
    add_option(
        method,
        "--method-options",
        "options of the method, e.g. temperature=0.1 queue_size=16384 cross_view=true",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    add_network(parser.add_argument_group("network"))
    add_mixing(parser.add_argument_group("mixing"), _WORDS)
    add_training(parser, _WORDS)
    add_machine(parser)
