"""The options of `samix mixer`."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_command, add_limit, add_option
from .run_options import RunWords, add_cost, add_machine, add_network, add_photos, add_training

_MIXER = """\
Pre-trained Mixers: small networks that compute how to mix two photos, with the frozen
encoder that feeds them. As the policy of a run or a loop they need no training, no labels
and no look at the model: --policy samix-p takes the one that comes with the package,
--policy FOLDER one of your own.
"""
_TRAIN = """\
Train a Mixer on photos without labels, and write it into the folder 'mixer' of the run.

DATA is what 'samix pretrain' takes; several are learned from together, each split by
itself. Test photos, as 'samix train' with the same seed sets them aside, are never
looked at. This is 'samix pretrain --policy samix' with photos standardised one by one, as
the Mixer will see them later, followed by 'samix mixer export'.

Settings are those of a preset, where none is given of 'mixer': photos of 32 px, batches of
128, 30 epochs, adamw with learning rate 0.003 and weight decay 0.01, alpha 2, cost full,
precision auto. Numbers in brackets below hold for what a preset leaves open.
"""
_TRAIN_EXAMPLES = """\
examples:
  samix mixer train photos/
  samix mixer train photos/ more-photos/ demo --seed 1
  samix mixer train --resume --output runs/photos-moco-samix
  samix train photos/ --policy runs/photos-moco-samix/mixer
"""
_EXPORT = """\
Take the Mixer out of a finished run of 'samix pretrain' or 'samix train', with the
momentum average that it read (up to its tap, without classifier), as one folder.
"""
_EXPORT_EXAMPLES = """\
examples:
  samix mixer export runs/photos-samix --output my-mixer
  samix mixer export runs/photos-moco-samix --output my-mixer --licence cc-by-4.0 --onnx
"""
_INSPECT = """\
Print the card of a pre-trained Mixer, check it, and draw what it does: masks and mixes of
a few pairs of photos for several lam, and area against lam.
"""
_INSPECT_EXAMPLES = """\
examples:
  samix mixer inspect natural
  samix mixer inspect my-mixer --data photos/ --output my-mixer.png
"""
_WORDS = RunWords(
    presets="mixer (a small ResNet at 32 px; the default), quick, ssl-resnet (224 px)",
    batch_size="256",
    lr="sgd 0.06, adamw 0.00015, times batch size / 256",
    weight_decay="sgd 0.0005, adamw 0.1",
)


def add_mixer(commands: Any) -> None:
    """Add the parser of `samix mixer` with its four actions.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = commands.add_parser(
        "mixer",
        help="train, export, inspect and list pre-trained Mixers",
        description=_MIXER,
        epilog="'samix mixer ACTION --help' explains an action.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_train(actions)
    _add_export(actions)
    _add_inspect(actions)
    _add_list(actions)


def _add_train(actions: Any) -> None:
    parser = add_command(
        actions,
        "train",
        usage="mixer train DATA [DATA ...] [options]",
        about="train one on photos without labels",
        description=_TRAIN,
        examples=_TRAIN_EXAMPLES,
    )
    group = parser.add_argument_group("run")
    data = "folder, parquet folder or file, timm name, or 'demo'; one or more"
    add_option(group, "data", data, nargs="*", metavar="DATA")
    preset = f"settings to start from: {_WORDS.presets}; options given here come before it"
    add_option(group, "--preset", preset, metavar="NAME")
    add_option(group, "--output", "run folder to create (a free name below runs/)", metavar="RUN")
    resume = "go on with the run in --output from its last checkpoint"
    add_option(group, "--resume", resume, action="store_true")
    add_option(group, "--seed", "seed of everything random (0)", type=int, metavar="N")
    _add_writing(group)
    add_photos(parser.add_argument_group("data"))
    method = parser.add_argument_group("method")
    add_option(method, "--method", "moco, simclr, byol or mocov3 (moco)", metavar="NAME")
    add_option(
        method,
        "--method-options",
        "options of the method, e.g. temperature=0.1 mixer_candidates=clusters",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    views = "how the two views of a photo are made: moco, simclr or byol (that of the method)"
    add_option(method, "--views", views, metavar="NAME")
    add_option(method, "--alpha", "lam comes from Beta(alpha, alpha) (1)", type=float, metavar="X")
    add_cost(method)
    eta = "weight of the global term for the Mixer (0.5)"
    add_option(method, "--eta", eta, type=float, metavar="X")
    add_network(parser.add_argument_group("network"))
    add_training(parser, _WORDS)
    add_machine(parser)


def _add_export(actions: Any) -> None:
    parser = add_command(
        actions,
        "export",
        usage="mixer export RUN --output FOLDER [options]",
        about="take one out of a finished run",
        description=_EXPORT,
        examples=_EXPORT_EXAMPLES,
    )
    group = parser.add_argument_group("export")
    add_option(group, "run", "folder of the run", metavar="RUN")
    folder = "folder to create"
    add_option(group, "--output", folder, required=True, metavar="FOLDER")
    _add_writing(group)


def _add_writing(group: Any) -> None:
    """Add what is written beside the weights."""
    add_option(group, "--licence", "licence for the card, e.g. apache-2.0", metavar="NAME")
    onnx = "also write model.onnx (needs pip install 'samix[onnx]')"
    add_option(group, "--onnx", onnx, action="store_true")


def _add_inspect(actions: Any) -> None:
    parser = add_command(
        actions,
        "inspect",
        usage="mixer inspect NAME|FOLDER [options]",
        about="look at one: card, checks, and a picture",
        description=_INSPECT,
        examples=_INSPECT_EXAMPLES,
    )
    group = parser.add_argument_group("inspect")
    name = "name of a Mixer in the package ('samix mixer list'), folder, or owner/name on the hub"
    add_option(group, "mixer", name, metavar="NAME|FOLDER")
    add_option(group, "--data", "photos to mix (the built-in 'demo')", metavar="DATA")
    add_limit(group)
    add_option(group, "--output", "picture to write (mixer-NAME.png)", metavar="FILE.png")
    add_option(group, "--seed", "seed of the choice of photos (0)", type=int, metavar="N")


def _add_list(actions: Any) -> None:
    parser = add_command(
        actions,
        "list",
        usage="mixer list [FOLDER]",
        about="list those in the package, and below a folder",
        description="List the Mixers that come with the package, and those below FOLDER.",
        examples="",
    )
    group = parser.add_argument_group("list")
    add_option(group, "folder", "where else to look", nargs="?", metavar="FOLDER")
