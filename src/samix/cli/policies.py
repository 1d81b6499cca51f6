"""`samix policies`: what there is to choose from."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from samix.errors import InputError

from .options import add_command

if TYPE_CHECKING:
    from samix.policies import PolicyFacts


_BATCH = (32, 3, 64, 64)
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


def run_policies(chosen: argparse.Namespace) -> int:
    """Print every policy with its options, source, needs and cost, and the rivals."""
    from samix.methods import RIVALS
    from samix.policies import POLICIES, about_policy, nearest

    names: Sequence[str] = getattr(chosen, "names", ())
    for name in names:
        if name not in POLICIES and name not in RIVALS:
            near = nearest(name, (*POLICIES, *RIVALS))
            raise InputError(f"there is no policy '{name}'; the nearest is '{near}'")
    shown = names or tuple(POLICIES)
    measured = getattr(chosen, "time", False)
    for name in shown:
        if name in POLICIES:
            _print_policy(about_policy(name), measured)
    rivals = [name for name in RIVALS if not names or name in names]
    if rivals:
        print("\nFor samix pretrain alone, with the options of the policy that they are made of:\n")
    for name in rivals:
        rival = RIVALS[name]
        methods = f"made of {rival.policy}, for {', '.join(rival.methods)}"
        _print_lines(name, [rival.about, methods])
    print("\nTrain with one: samix train DATA --policy NAME, or samix pretrain")
    print("Look at one:    samix preview DATA --policy NAME")
    print("                (one that needs a network draws its mixes in a run: mixes.png)")
    print("Test one:       samix check-policy NAME DATA")
    return 0


def _print_policy(facts: PolicyFacts, measured: bool) -> None:
    lines = [facts.card.sentence, options_line(facts)]
    if facts.card.source:
        lines.append(f"source: {facts.card.source}")
    lines += [f"needs: {facts.needs}", f"cost: {facts.cost}"]
    if measured and facts.traits.mixes:
        lines[-1] += f"; {_measured(facts)}"
    _print_lines(facts.name, lines)


def _measured(facts: PolicyFacts) -> str:
    import torch

    from samix.checking import mix_time, policy_of

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        images = torch.rand(*_BATCH, generator=torch.Generator().manual_seed(0))
        found = mix_time(policy_of(facts.name), images)
    finally:
        torch.set_num_threads(threads)
    batch, _, side, _ = _BATCH
    what = f"images of {side} px"
    if facts.traits.seam == "feature":
        what = "feature maps of 16 x 8 x 8"
    return f"{1000 * found.seconds:.1f} ms for {batch} {what}, {found.copies:.0f} times a copy"


def _print_lines(name: str, paragraphs: Sequence[str]) -> None:
    """Print a name with paragraphs beside it, wrapped to the terminal."""
    from samix.methods import RIVALS
    from samix.policies import POLICIES

    width = max(len(known) for known in (*POLICIES, *RIVALS)) + 2
    columns = min(shutil.get_terminal_size().columns, 100)
    lines = [line for text in paragraphs for line in textwrap.wrap(text, max(columns - width, 20))]
    print(f"{name:<{width}}{lines[0]}")
    for line in lines[1:]:
        print(f"{'':<{width}}{line}")


def options_line(facts: PolicyFacts) -> str:
    """Return the options of a policy with their defaults, where they have one of their own."""
    shown = [
        name if default is None else f"{name} {_short(default)}"
        for name, default in facts.options.items()
    ]
    return f"options: {', '.join(shown)}" if shown else "no options"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) and len(str(value)) > 5 else str(value)


def add_policies(commands: Any, about: str) -> None:
    """Add the parser of `samix policies`."""
    parser = add_command(
        commands, "policies", "policies [NAME ...] [options]", about, _POLICIES, _EXAMPLES
    )
    parser.add_argument("names", help="only these policies (all)", nargs="*", metavar="NAME")
    parser.add_argument(
        "--time",
        help="measure how long each takes to mix a batch on one CPU thread",
        action=argparse.BooleanOptionalAction,
    )
