"""The parser of the command line. It imports nothing heavy, so that help is quick."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator
from typing import Any, NoReturn

from samix._version import __version__

from .bench_options import add_bench
from .check_options import add_check
from .check_policy_options import add_check_policy
from .evaluate_options import add_evaluate
from .explain_options import add_explain
from .mixer_options import add_mixer
from .poc_options import add_poc
from .policies_options import add_policies
from .predict_options import add_predict
from .pretrain_options import add_pretrain
from .preview_options import add_preview
from .train_options import add_train
from .ui_options import add_ui


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and complain about a word that the command does not know in its own words."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            words = [self.prog, found.command, getattr(found, "action", "")]
            self.exit(2, f"samix: {_complaint(self, ' '.join(filter(None, words)), unknown)}\n")
        return found

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with code 2."""
        self.exit(2, f"samix: {message}; see '{self.prog} --help'\n")


def _complaint(root: argparse.ArgumentParser, name: str, unknown: list[str]) -> str:
    """Return what is wrong with the words that the command ``name`` did not know."""
    flag = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
    options = dict(_options(root))
    others = [f"'{other}'" for other, flags in options.items() if flag in flags]
    if flag in options[name]:
        return f"{flag} stands before the command; write it after '{name}'"
    if others:
        some = others if len(others) < 4 else [*others[:3], f"{len(others) - 3} more"]
        return f"'{name}' has no {flag}, which is of {', '.join(some)}; see '{name} --help'"
    if not flag.startswith("-"):
        return f"'{name}' takes no further word, got '{flag}'; see '{name} --help'"
    near = difflib.get_close_matches(flag, options[name], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"see '{name} --help'"
    return f"'{name}' has no {flag}; {hint}"


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, set[str]]]:
    """Yield the name of each command below the parser, and its options."""
    yield parser.prog, {flag for action in parser._actions for flag in action.option_strings}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)


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
    add_poc(commands)
    add_check(commands)
    add_train(commands)
    add_pretrain(commands)
    add_evaluate(commands)
    add_predict(commands)
    add_explain(commands)
    add_mixer(commands)
    add_preview(commands)
    add_check_policy(commands)
    add_bench(commands)
    add_ui(commands)
    add_policies(commands)
    return parser
