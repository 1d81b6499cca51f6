"""The command line: `samix COMMAND`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from samix.errors import InputError

_EXTRA = {
    "lightning", "torchmetrics", "tensorboard", "numpy", "pandas", "pyarrow", "matplotlib", "rich",
    "yaml", "safetensors", "lightly", "kornia", "sklearn",
}  # fmt: skip
_SSL = {"lightly", "kornia", "sklearn"}
_NEEDS_SSL = ("evaluate", "mixer", "pretrain")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Words after `samix`; None takes those of the process.

    Returns:
        0 on success, 1 when the work failed, 2 on bad input, 130 when it was interrupted.
    """
    from .parser import create_parser  # noqa: PLC0415 - the parser needs nothing else of samix

    chosen = create_parser().parse_args(arguments)
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
        return _complain(
            f"'samix {chosen.command}' needs the package '{package}', which is not installed; run "
            f"pip install 'samix[{extra}]'",
            2,
        )
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def run_command(name: str, chosen: object) -> int:
    """Import and run one command; each imports only what it needs."""
    if name == "train":
        from .train import run_train  # noqa: PLC0415

        return run_train(chosen)  # type: ignore[arg-type]
    if name == "pretrain":
        from .pretrain import run_pretrain  # noqa: PLC0415

        return run_pretrain(chosen)  # type: ignore[arg-type]
    if name == "evaluate":
        from .evaluate import run_evaluate  # noqa: PLC0415

        return run_evaluate(chosen)  # type: ignore[arg-type]
    if name == "bench":
        from .bench import run_bench  # noqa: PLC0415

        return run_bench(chosen)  # type: ignore[arg-type]
    if name == "mixer":
        from .mixer import run_mixer  # noqa: PLC0415

        return run_mixer(chosen)  # type: ignore[arg-type]
    from .policies import run_policies  # noqa: PLC0415

    return run_policies()


def _complain(message: str, code: int) -> int:
    print(f"samix: {' '.join(message.split())}", file=sys.stderr)
    return code
