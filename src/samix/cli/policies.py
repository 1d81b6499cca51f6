"""`samix policies`: what there is to choose from."""

from __future__ import annotations

import inspect
import shutil
import textwrap

from samix.methods import RIVALS
from samix.policies import POLICIES


def run_policies() -> int:
    """Print every policy with one sentence and its options, and the self-supervised rivals."""
    for name, make in POLICIES.items():
        sentence = inspect.getdoc(make) or ""
        _print_policy(name, sentence.splitlines()[0].replace("`", ""), _options(make))
    print("\nFor samix pretrain alone, with the options of the policy that they are made of:\n")
    for name, rival in RIVALS.items():
        methods = f"made of {rival.policy}, for {', '.join(rival.methods)}"
        _print_policy(name, rival.about, methods)
    print("\nUse one with: samix train DATA --policy NAME, or samix pretrain DATA --policy NAME")
    return 0


def _print_policy(name: str, *paragraphs: str) -> None:
    """Print a name with paragraphs beside it, wrapped to the terminal."""
    width = max(len(known) for known in (*POLICIES, *RIVALS)) + 2
    columns = min(shutil.get_terminal_size().columns, 100)
    lines = [line for text in paragraphs for line in textwrap.wrap(text, max(columns - width, 20))]
    print(f"{name:<{width}}{lines[0]}")
    for line in lines[1:]:
        print(f"{'':<{width}}{line}")


def _options(make: object) -> str:
    """Return the options of a policy with their defaults, where they have one of their own."""
    options = [
        name
        if parameter.default in (None, inspect.Parameter.empty)
        else f"{name} {parameter.default}"
        for name, parameter in inspect.signature(make).parameters.items()  # type: ignore[arg-type]
        if name != "channels"  # a method fills it in
    ]
    return f"options: {', '.join(options)}" if options else "no options"
