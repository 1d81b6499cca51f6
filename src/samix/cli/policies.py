"""`samix policies`: what there is to choose from."""

from __future__ import annotations

import inspect
import shutil
import textwrap

from samix.policies import POLICIES


def run_policies() -> int:
    """Print every policy with one sentence and its options."""
    width = max(len(name) for name in POLICIES) + 2
    columns = min(shutil.get_terminal_size().columns, 100)
    for name, make in POLICIES.items():
        sentence = inspect.getdoc(make) or ""
        lines = textwrap.wrap(sentence.splitlines()[0].replace("`", ""), max(columns - width, 20))
        lines += textwrap.wrap(_options(make), max(columns - width, 20))
        print(f"{name:<{width}}{lines[0]}")
        for line in lines[1:]:
            print(f"{'':<{width}}{line}")
    print("\nUse one with: samix train DATA --policy NAME")
    return 0


def _options(make: object) -> str:
    """Return the options of a policy with their defaults."""
    options = [
        f"{name} {default}"
        for name, parameter in inspect.signature(make).parameters.items()  # type: ignore[arg-type]
        if (default := parameter.default) is not None and default is not inspect.Parameter.empty
    ]
    return f"options: {', '.join(options)}" if options else "no options"
