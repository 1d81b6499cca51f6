"""The options of `samix check-policy`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_option, add_reading, add_switch

_CHECK_POLICY = """\
Prove on your own photos that a mixing transform does what its labels say: that the label
names the photos that the pixels show, with the shares that they have; that shape, dtype and
range stay, and what is given to it; that it mixes with the probability that it states; and
that its draws can be repeated. Photos of one colour each tell where every pixel came from.

NAME is one of:

  cutmix, fmix ...      a policy; 'samix policies' lists them
  a folder              a pre-trained Mixer
  module:name           a transform of another library or your own, called as
                        (images, target) -> (images, soft target); a class is made with
                        the values of --policy-options

DATA is what 'samix train' takes: a folder of class folders, a flat folder, parquet files,
a timm name, or 'demo' (the default). A few photos are read.

The exit code is 0 when all holds, 1 when a check failed, and 2 when something cannot be used.
"""
_EXAMPLES = """\
examples:
  samix check-policy cutmix
  samix check-policy samix-p photos/ --image-size 224
  samix check-policy torchvision.transforms.v2:CutMix --policy-options num_classes=6
  samix check-policy timm.data:Mixup --policy-options num_classes=6 mode=elem --in-place
  samix check-policy mymixes:my_cutmix photos/ --json check.json
"""


def add_check_policy(commands: Any) -> None:
    """Add the parser of `samix check-policy`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "check-policy",
        usage="check-policy NAME [DATA] [options]",
        about="prove that a mix does what its labels say, on your photos",
        description=_CHECK_POLICY,
        examples=_EXAMPLES,
    )
    group = parser.add_argument_group("policy")
    add_option(group, "name", "policy, folder of a Mixer, or module:name", metavar="NAME")
    add_option(
        group,
        "--policy-options",
        "options of the policy, or arguments of the class, e.g. alpha=0.2 num_classes=6",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
    )
    add_option(
        group,
        "--p",
        "share of photos, or of batches, that must be mixed (what the transform says)",
        type=float,
        metavar="X",
    )
    add_switch(group, "--in-place", "allow that it changes what is given to it")
    add_option(
        group,
        "--tolerance",
        "difference up to which a label's share is that of the pixels, beyond a pixel (0.001)",
        type=float,
        metavar="X",
    )
    add_option(group, "--seed", "seed of the draws and of the choice of photos (0)", type=int)
    data = parser.add_argument_group("photos")
    words = "folder, parquet folder or file, timm name, or 'demo' (demo)"
    add_option(data, "data", words, nargs="?", metavar="DATA")
    add_option(
        data,
        "--image-size",
        "side in pixels that the transform will see (that of the photos, at most 224)",
        type=int,
        metavar="N",
    )
    add_option(data, "--data-root", "folder of the data for timm names", metavar="DIR")
    add_switch(data, "--download", "let timm names fetch their data")
    add_reading(data)
    output = parser.add_argument_group("output")
    add_option(output, "--json", "also write what was found to this file", metavar="FILE")
