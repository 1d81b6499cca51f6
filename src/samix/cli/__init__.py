"""The command line: `samix COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from signal import Signals

from samix.errors import InputError
from samix.shown import shown
from samix.stopping import ENDING, exit_code, signal_of, stop_on_signals

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
        0 on success, 1 when the work failed, 2 on bad input, 128 and the number of the signal when
        one stopped it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """
    from .parser import create_parser  # noqa: PLC0415 - the parser needs nothing else of samix

    chosen = create_parser().parse_args(arguments)
    with stop_on_signals(ENDING, at_once=True):
        return _answer(chosen)


def _answer(chosen: argparse.Namespace) -> int:
    """Run a command, and make one sentence of what it cannot do."""
    try:
        return run_command(chosen.command, chosen)
    except InputError as error:
        return _complain(str(error), 2)
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
    except KeyboardInterrupt as error:
        number = signal_of(error)
        return _complain(f"interrupted by {Signals(number).name}", exit_code(number))


def run_command(name: str, chosen: object) -> int:
    """Import and run one command; each imports only what it needs.

    Args:
        name: Of the command, and of its module here: ``train`` is ``run_train`` in ``train``, and
            ``check-policy`` is ``run_check_policy`` in ``check_policy``.
        chosen: What the parser found.
    """
    word = name.replace("-", "_")
    run = getattr(import_module(f".{word}", __name__), f"run_{word}")
    code: int = run(chosen)
    return code


def _complain(message: str, code: int) -> int:
    print(f"samix: {shown(' '.join(message.split()))}", file=sys.stderr)
    return code
