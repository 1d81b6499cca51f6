"""The parser of the command line. It imports nothing heavy, so that help is quick."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import NoReturn

from samix._version import __version__

from .bench_options import add_bench
from .check_options import add_check
from .check_policy_options import add_check_policy
from .evaluate_options import add_evaluate
from .explain_options import add_explain
from .mixer_options import add_mixer
from .options import FLAGS
from .poc_options import add_poc
from .policies_options import add_policies
from .predict_options import add_predict
from .pretrain_options import add_pretrain
from .preview_options import add_preview
from .train_options import add_train
from .ui_options import add_ui


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, with the nearest option where one is unknown."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with code 2."""
        unknown = message.removeprefix("unrecognized arguments: ")
        flag = unknown.split()[0].partition("=")[0] if unknown != message else ""
        near = difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.5) if flag else []
        hint = f"; did you mean {near[0]}?" if near else f"; see '{self.prog} --help'"
        print(f"samix: {message}{hint}", file=sys.stderr)
        raise SystemExit(2)


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
