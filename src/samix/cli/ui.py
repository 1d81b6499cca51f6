"""`samix ui`: a page on this machine to look at mixes, and at the report of a study."""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.data import ImageSet, open_images
from samix.errors import InputError
from samix.training import Terminal

from .summary import say
from .ui_context import Context
from .ui_mix import open_shown, policies_for_pairs

HOST = "127.0.0.1"
_FIRST_PORT = 7860
_PORTS = 100  # that are tried
_PACKAGES = ("gradio", "fastapi", "uvicorn")
_DATA = {
    "data_root": "root", "download": "download", "skip_corrupt": "skip_corrupt",
    "max_megapixels": "max_megapixels",
}  # fmt: skip


def run_ui(chosen: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Returns:
        0.

    Raises:
        InputError: Something the user gave cannot be used, or the extra is missing.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    _check_packages()
    console = Console(highlight=False)
    further = tuple(dict.fromkeys(given.get("policy", ())))
    context = Context(
        policies=(*policies_for_pairs(), *further),
        images=_photos(given, Terminal(console)),
        report=_report(given["poc"]) if "poc" in given else None,
    )
    open_shown(further)  # what cannot mix is refused now, not in the page
    with _bound(given.get("port")) as there, tempfile.TemporaryDirectory() as folder:
        _keep_private(folder)
        from .ui_server import create_app, serve  # noqa: PLC0415 - it needs the extra

        app = create_app(context)
        say(console, f"Look at: http://{HOST}:{there.getsockname()[1]}   (Ctrl-C ends it)")
        serve(app, there)
    say(console, "Ended.")
    return 0


def _check_packages() -> None:
    """Refuse to begin where the extra is missing.

    Raises:
        InputError: It is.
    """
    missing = next((name for name in _PACKAGES if not _is_there(name)), None)
    if missing is not None:
        raise InputError(
            f"'samix ui' needs the package '{missing}', which is not installed; run pip install "
            "'samix[ui]'"
        )


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # imported without a specification
        return False


def _keep_private(folder: str) -> None:
    """Switch off what gradio would send or keep, before it is imported.

    Args:
        folder: For the photos that are dropped in; it is removed at the end.
    """
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SHARE": "False",
        "GRADIO_RUN_HISTORY": "False",
        "GRADIO_TEMP_DIR": folder,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def _photos(given: Mapping[str, Any], display: Terminal) -> ImageSet | None:
    """Return the photos to choose from."""
    if "data" not in given:
        return None
    try:
        return open_images(
            given["data"],
            need_labels=False,
            **{to: given[name] for name, to in _DATA.items() if name in given},
            progress=lambda done, total: display.work("checking photos", done, total),
        )
    finally:
        display.rest()


def _report(path: str) -> Path:
    """Return the report of a study.

    Raises:
        InputError: There is none.
    """
    folder = Path(path).expanduser().absolute()
    page = folder / "report.html"
    if not (folder / "poc.yaml").is_file():
        raise InputError(
            f"--poc '{path}' is no folder of samix poc (it has no poc.yaml); give the --output of "
            "one"
        )
    if not page.is_file():
        raise InputError(
            f"--poc '{path}' has no {page.name}: the study is not finished; go on with samix poc "
            f"--resume --output {path}"
        )
    return page


def _bound(port: int | None) -> socket.socket:
    """Return a socket of this machine alone, which the page will be served on.

    Raises:
        InputError: The port is no port, or taken.
    """
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"--port must be 1 to 65535, got {port}")
    ports = range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port is None else (port,)
    reason = ""
    for number in ports:
        there = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            there.bind((HOST, number))
            there.listen()
            return there
        except OSError as error:
            there.close()
            reason = error.strerror or str(error)
    what = f"port {port}" if port else f"none of the ports {ports[0]} to {ports[-1]}"
    raise InputError(f"--port: {what} can be used ({reason}); choose another one")
