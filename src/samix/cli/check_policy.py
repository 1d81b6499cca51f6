"""`samix check-policy`: does a mixing transform do what its labels say?"""

from __future__ import annotations

import argparse
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.checking import Photos, PolicyCheck, check_with, cut_batches
from samix.data import ImageSet, open_images
from samix.data.reading import MAX_MEGAPIXELS
from samix.data.views import check_size
from samix.errors import InputError
from samix.mixing import draw_index, step_generator
from samix.preview.photos import candidates, choose, read_photos
from samix.training import Terminal
from samix.training.run_folder import write_json

from .check_policy_named import open_named
from .output import how_to_repeat
from .summary import say, say_lines
from .values import key_values

_PHOTOS = 32
_MOST_PIXELS = 1024
_NUMBERS = ("p", "tolerance", "seed", "in_place")


def run_check_policy(chosen: argparse.Namespace) -> int:
    """Print what was found, and write it where a file was named.

    Returns:
        0, or 1 when a check failed.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    _check(given)
    with warnings.catch_warnings():
        # a library's advice about a transform that is only looked at
        warnings.simplefilter("ignore", DeprecationWarning)
        transform = open_named(
            given["name"], key_values(given.get("policy_options", ()), "policy_options")
        )
    console = Console(highlight=False)
    display = Terminal(console)
    numbers = {name: given[name] for name in _NUMBERS if name in given}
    try:
        images = _open(given, display)
        batches = _batches(images, given)
        where = f"photos of {images.name}"
        found = check_with(transform, batches, where, announce=display.work, **numbers)
    finally:
        display.rest()
    _print(found, console)
    if "json" in given:
        _write(Path(given["json"]).expanduser(), found, batches)
        say(console, f"Written to {given['json']}")
    return 0 if found.passed else 1


def _print(found: PolicyCheck, console: Console) -> None:
    width = min(shutil.get_terminal_size().columns, 100)
    say_lines(console, found.text(max(width, 40)))
    say(console, "")
    done = [result for result in found.results if result.verdict != "not applicable"]
    if found.passed:
        say(console, f"All {len(done)} checks passed.")
    else:
        names = ", ".join(result.name for result in found.failures)
        say(console, f"FAILED: {names} ({len(found.failures)} of {len(done)} checks).")


def _write(path: Path, found: PolicyCheck, batches: list[Photos]) -> None:
    """Write what was found as JSON.

    Raises:
        InputError: It cannot be written.
    """
    photos = {
        "photos": sum(len(photos.images) for photos in batches),
        "image_size": batches[0].images.shape[-1],
    }
    try:
        write_json(path, {**how_to_repeat("torch"), **found.record(), **photos})
    except OSError as error:
        raise InputError(
            f"--json '{path}' cannot be written ({error.strerror}); choose another file"
        ) from error


def _batches(images: ImageSet, given: Mapping[str, Any]) -> list[Photos]:
    """Return a few photos with their classes, as many classes as possible in each batch."""
    seed = given.get("seed", 0)
    positions, _ = candidates(images, ())
    count = min(_PHOTOS, len(positions))
    index = draw_index(count, generator=step_generator(seed, 0)).tolist()
    photos = read_photos(
        images, choose(images.targets, positions, index, seed), given.get("image_size")
    )
    return cut_batches(photos.images, photos.target)


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what can be refused before anything is opened."""
    if given.get("seed", 0) < 0:
        raise InputError(f"--seed must be at least 0, got {given['seed']}")
    if "p" in given and not 0.0 <= given["p"] <= 1.0:
        raise InputError(f"--p must be a probability in [0, 1], got {given['p']}")
    if not given.get("tolerance", 0.0) >= 0.0:
        raise InputError(f"--tolerance must be at least 0, got {given['tolerance']}")
    size = given.get("image_size", _MOST_PIXELS)
    check_size(size)
    if size > _MOST_PIXELS:
        raise InputError(f"--image-size must be at most {_MOST_PIXELS} px here, got {size}")
    if "json" in given and Path(given["json"]).expanduser().is_dir():
        raise InputError(f"--json '{given['json']}' is a folder; give a file")


def _open(given: Mapping[str, Any], display: Terminal) -> ImageSet:
    return open_images(
        given.get("data", "demo"),
        need_labels=False,
        max_megapixels=given.get("max_megapixels", MAX_MEGAPIXELS),
        skip_corrupt=given.get("skip_corrupt", False),
        root=given.get("data_root"),
        download=given.get("download", False),
        progress=lambda done, total: display.work("checking photos", done, total),
    )
