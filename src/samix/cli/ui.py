"""`samix ui`: a page on this machine to look at mixes, and at the report of a study."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from samix.errors import InputError
from samix.training.config import TrainConfig

from .options import PHOTOS, add_command, add_fields
from .running import photo_options, say

if TYPE_CHECKING:
    from rich.console import Console

    from samix.data import ImageSet
    from samix.preview.live_mix import Offer
    from samix.training import Terminal


HOST = "127.0.0.1"
_FIRST_PORT = 7860
_PORTS = 100  # that are tried
_PACKAGES = ("gradio", "fastapi", "uvicorn")
_ADDRESS = (
    "The address is the key to the page: whoever has it sees what you see, so keep it to yourself. "
    "Ctrl-C ends the page."
)
_UI = """\
A page in your browser: drop in two photos, move lam, choose policies, and see mask, mix,
label and what the guard says side by side.

The page is served on this machine alone (127.0.0.1), to whoever has the address that is
printed: it holds a random token. Nothing is sent anywhere: no telemetry, no upload, no
share link, no fonts or scripts from elsewhere. Ctrl-C ends it.
"""
_EXAMPLES = """\
examples:
  samix ui
  samix ui --data photos/ --poc runs/poc-photos
  samix ui --data demo --policy runs/photos-samix
"""


def run_ui(chosen: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Returns:
        0.

    Raises:
        InputError: Something the user gave cannot be used, or the extra is missing.
    """
    from rich.console import Console

    from samix.preview.live_mix import open_shown, policies_for_pairs
    from samix.preview.uploads import Uploads

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    _check_packages()
    console = Console(highlight=False)
    further = tuple(dict.fromkeys(given.get("policy", ())))
    offered = _offer(given, console)
    report = _report(given["poc"]) if "poc" in given else None
    open_shown(further)  # what cannot mix is refused now, not in the page
    with _bound(given.get("port")) as there, _private_folder() as folder:
        from samix.preview.live_page import Context, create_app, new_token, serve

        policies = (*policies_for_pairs(), *further)
        token = new_token()
        app = create_app(Context(policies, Uploads(folder), offered, report), token)
        say(console, f"Look at: http://{HOST}:{there.getsockname()[1]}/{token}/")
        say(console, _ADDRESS)
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


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a folder for the photos that are dropped in; it is removed at the end, however it ends.

    gradio is told to use it before it is imported, and not to send or keep anything.
    """
    ends = signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory(prefix="samix-ui-") as name:
            folder = Path(name).resolve()
            os.environ |= {
                "GRADIO_ANALYTICS_ENABLED": "False",
                "GRADIO_SHARE": "False",
                "GRADIO_RUN_HISTORY": "False",
                "GRADIO_TEMP_DIR": str(folder),
                "HF_HUB_DISABLE_TELEMETRY": "1",
            }
            yield folder
    finally:
        signal.signal(signal.SIGTERM, ends)


def _end(number: int, _: Any) -> NoReturn:
    """End as a signal asks, by way of all that cleans up."""
    raise SystemExit(128 + number)


def _offer(given: Mapping[str, Any], console: Console) -> Offer | None:
    """Return the photos to choose from, and say which links are not followed."""
    from samix.preview.live_mix import offer
    from samix.training import Terminal

    if "data" not in given:
        return None
    images = _photos(given, Terminal(console))
    named = Path(given["data"]).expanduser()
    folder = named.parent if named.is_file() else named
    is_demo = given["data"].strip().partition(":")[0] == "demo"
    root = folder.resolve() if folder.exists() and not is_demo else None
    found, outside = offer(images, root)
    if outside:
        say(console, f"Not offered: {outside} photos whose links lead out of '{named}'.")
    return found


def _photos(given: Mapping[str, Any], display: Terminal) -> ImageSet:
    """Return all photos that were named."""
    from samix.data import open_images

    try:
        return open_images(
            given["data"],
            need_labels=False,
            **photo_options(given),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
    finally:
        display.rest()


def _report(path: str) -> Path:
    """Return the report of a study.

    Raises:
        InputError: There is none.
    """
    from samix.preview.uploads import inside

    folder = Path(path).expanduser().resolve()
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
    if inside(folder, page) is None:
        raise InputError(
            f"--poc '{path}': {page.name} is a link that leads out of the folder, which the page "
            "does not follow; give the folder that holds the report"
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


def add_ui(commands: Any, about: str) -> None:
    """Add the parser of `samix ui`.

    Args:
        commands: From ``add_subparsers``.
        about: Its line in the list of commands.
    """
    parser = add_command(
        commands,
        "ui",
        usage="ui [options]",
        about=about,
        description=_UI,
        examples=_EXAMPLES,
    )
    group = parser.add_argument_group("what")
    data = "photos to choose from: folder, parquet folder, timm name, or 'demo'"
    group.add_argument("--data", help=data, metavar="DATA")
    add_fields(group, TrainConfig, *PHOTOS)
    policy = "a further policy: folder of a run or of a pre-trained Mixer; may be repeated"
    group.add_argument("--policy", help=policy, action="append", metavar="RUN")
    group.add_argument("--poc", help="folder of a samix poc, whose report is shown", metavar="POC")
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--port", help="of the page (the first free one from 7860)", type=int, metavar="N"
    )
