"""The command line: `samix COMMAND`. Each command is a file here, imported when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from importlib import import_module
from signal import Signals
from typing import Any, NoReturn

from samix._version import __version__
from samix.errors import InputError, nearest
from samix.files import no_room
from samix.shown import close_output, escape_letters, flagged, shown
from samix.stopping import ENDING, SIGPIPE, exit_code, signal_of, stop_on_signals

COMMANDS = {
    "check": "look for duplicates, conflicting labels and broken files among your photos",
    "preview": "look at mixes of your photos before any training",
    "train": "train a classifier on a folder of photos",
    "predict": "classify new photos with a trained run, or write it as ONNX",
    "poc": "find out whether mixing pays on your photos, with a report to decide by",
    "explain": "show what a run has learned: where it looks, what it confuses",
    "pretrain": "train an encoder on photos without labels",
    "evaluate": "measure what an encoder has learned: kNN, linear probe, fine-tuning",
    "policies": "list the ways of mixing, their sources and options",
    "check-policy": "test whether the labels of a mix match its pixels",
    "mixer": "train, export, inspect and list pre-trained Mixers",
    "bench": "measure what training costs on this machine: time, memory, money",
    "ui": "mix two photos in the browser, and open the pages of your runs",
}
"""Every command and its line in the help, in order; each is a file here."""
_EXTRA = {
    "lightning", "torchmetrics", "tensorboard", "numpy", "pandas", "pyarrow", "matplotlib", "rich",
    "yaml", "safetensors", "lightly", "kornia", "sklearn", "captum", "scipy", "filelock",
}  # fmt: skip
_SSL = {"lightly", "kornia", "sklearn"}
_POC = {"scipy", "filelock"}
_NEEDS_SSL = ("evaluate", "mixer", "pretrain")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Words after `samix`; None takes those of the process.

    Returns:
        0 on success, 1 when the work failed, 2 on bad input or a full disk, 128 and the number of
        the signal when one stopped it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, 141 where
        nobody reads what is printed.
    """
    escape_letters()
    try:
        code = _main(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        close_output()
        return exit_code(SIGPIPE)
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):  # which rich turns into this
            raise
        close_output()
        return exit_code(SIGPIPE)


def _main(arguments: Sequence[str] | None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        create_parser(()).print_help()
        print("samix: a COMMAND is missing; see 'samix --help'", file=sys.stderr)
        raise SystemExit(2)
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        near = nearest(words[0], COMMANDS)
        sentence = f"there is no command '{words[0]}'; did you mean 'samix {near}'?"
        print(f"samix: {shown(sentence)} 'samix --help' lists all", file=sys.stderr)
        raise SystemExit(2)
    parser = create_parser([word for word in words if word in COMMANDS][:1])
    chosen = parser.parse_args(words)
    told = _translator(parser, chosen)
    with stop_on_signals(ENDING, at_once=True):
        return _answer(chosen, told)


def create_parser(wanted: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Return the parser; options that were not given are absent."""
    parser = _Parser(
        prog="samix",
        description="Mix training images, and measure whether that pays on your photos.",
        epilog="'samix COMMAND --help' explains a command. Begin with: samix check demo",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"samix {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        if name in wanted:
            getattr(_module(name), f"add_{name.replace('-', '_')}")(commands, about)
        else:
            commands.add_parser(name, help=about)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and complain about a word that the command does not know in its own words."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            words = [self.prog, found.command, getattr(found, "action", "")]
            name = " ".join(filter(None, words))
            self.exit(2, f"samix: {_complaint(create_parser(), name, unknown)}\n")
        return found

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with code 2."""
        self.exit(2, f"samix: {message}; see '{self.prog} --help'\n")


def _complaint(root: argparse.ArgumentParser, name: str, unknown: list[str]) -> str:
    """Return what is wrong with the words that the command ``name`` did not know."""
    flag = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
    options = _options(root)
    others = [f"'{other}'" for other, flags in options.items() if flag in flags]
    if flag in options[name]:
        return f"{flag} stands before the command; write it after '{name}'"
    if others:
        some = others if len(others) < 4 else [*others[:3], f"{len(others) - 3} more"]
        return f"'{name}' has no {flag}, which is of {', '.join(some)}; see '{name} --help'"
    if not flag.startswith("-"):
        return f"'{name}' takes no further word, got '{flag}'; see '{name} --help'"
    import difflib

    near = difflib.get_close_matches(flag, options[name], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"see '{name} --help'"
    return f"'{name}' has no {flag}; {hint}"


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield a parser and those of the commands and actions below it, by what is typed for them."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers_of(below)


def _options(parser: argparse.ArgumentParser) -> dict[str, set[str]]:
    return {
        name: {flag for action in one._actions for flag in action.option_strings}
        for name, one in parsers_of(parser)
    }


def _answer(chosen: argparse.Namespace, told: Callable[[str], str]) -> int:
    """Run a command, and make one sentence of what it cannot do."""
    try:
        _name_own(chosen)
        return run_command(chosen.command, chosen)
    except InputError as error:
        return _complain(told(str(error)), 2)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        needs_ssl = chosen.command in _NEEDS_SSL or package in _SSL
        extra = "ssl" if needs_ssl else "train"
        extra = "poc" if package in _POC else extra
        extra = chosen.command if chosen.command in ("explain", "poc", "ui") else extra
        return _complain(
            f"'samix {chosen.command}' needs the package '{package}', which is not installed; run "
            f"pip install 'samix[{extra}]'",
            2,
        )
    except BrokenPipeError:
        raise
    except Exception as error:
        if (reason := no_room(error)) is None:
            raise
        return _complain(flagged(reason), 2)
    except KeyboardInterrupt as error:
        number = signal_of(error)
        return _complain(f"interrupted by {Signals(number).name}", exit_code(number))


def _name_own(chosen: argparse.Namespace) -> None:
    """Import the policies that the words of a command name as ``module:name``."""
    given = getattr(chosen, "policy", ())
    words = [given] if isinstance(given, str) else given
    names = [name for word in words for name in word.split(",") if ":" in name]
    if names:
        from samix.policies import is_own, register_own

        for name in filter(is_own, names):
            register_own(name)


def run_command(name: str, chosen: object) -> int:
    """Import and run one command; each imports only what it needs.

    Each returns 0; 1 when the work failed or a check did; 128 and the number of the signal that
    stopped it. Each raises an InputError where something that the user gave cannot be used.
    """
    code: int = getattr(_module(name), f"run_{name.replace('-', '_')}")(chosen)
    return code


def _module(name: str) -> Any:
    return import_module(f".{name.replace('-', '_')}", __name__)


def _translator(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace
) -> Callable[[str], str]:
    """Return what writes arguments in a message as the command that was chosen names them."""
    name = " ".join(filter(None, (parser.prog, chosen.command, getattr(chosen, "action", ""))))
    flags = _options(parser)[name]
    # a run that is not finished is told in commands that cannot go on with it, too
    names = {"data", "resume", *(flag.lstrip("-").replace("-", "_") for flag in flags)}
    return partial(flagged, names=names, positional=() if "--data" in flags else ("data",))


def _complain(message: str, code: int) -> int:
    print(f"samix: {shown(' '.join(message.split()))}", file=sys.stderr)
    return code
