"""The options of `samix policies`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_option, add_switch

_POLICIES = """\
List every mixing policy: what it does, its options, where it comes from, what it needs to
know beyond the images, and what a training step costs with it.
"""
_EXAMPLES = """\
examples:
  samix policies
  samix policies cutmix fmix       only these
  samix policies --time            also measure how long each takes on this machine
"""


def add_policies(commands: Any) -> None:
    """Add the parser of `samix policies`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "policies",
        usage="policies [NAME ...] [options]",
        about="list the mixing policies: source, cost, what they need",
        description=_POLICIES,
        examples=_EXAMPLES,
    )
    add_option(parser, "names", "only these policies (all)", nargs="*", metavar="NAME")
    add_switch(parser, "--time", "measure how long each takes to mix a batch on one CPU thread")
