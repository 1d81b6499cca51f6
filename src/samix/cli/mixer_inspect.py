"""`samix mixer inspect`: the card of a pre-trained Mixer, its checks, and a picture."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from samix.data import ImageSet, open_images
from samix.data.reading import MAX_MEGAPIXELS
from samix.data.views import squeeze
from samix.errors import InputError
from samix.networks import (
    DEFAULT_MIXER,
    TOLERANCE,
    PretrainedMixer,
    built_in_mixers,
    card_facts,
    is_pretrained_mixer,
    open_mixer,
)
from samix.pages.mixer import Looks, draw_mixer
from samix.training import Terminal

from .mixer_train import FOLDER
from .summary import cell, say

_PAIRS = 4
_SIZE = 128  # px, of the photos that are drawn
_LAM = (0.1, 0.3, 0.5, 0.7, 0.9)
_SWEPT = 41  # values of lam in the curve of the area
_DEMO = "demo:photos_per_class=20,size=128"


def run_mixer_inspect(chosen: argparse.Namespace) -> int:
    """Print the card and the checks, and draw the picture.

    Returns:
        0.

    Raises:
        InputError: No Mixer, or one that does not fit; no photos; or the picture cannot be written.
    """
    given = vars(chosen)
    console = Console(highlight=False)
    mixer = _open(given["mixer"])
    output = _output(given)
    _print_card(mixer, given["mixer"], console)
    images = _photos(given, console)
    looks = look(mixer, images, seed=given.get("seed", 0))
    try:
        draw_mixer(output, looks, title=f"Mixer {_name(given)} on {images.name}")
    except OSError as error:
        raise InputError(
            f"--output '{output}' cannot be written ({error.strerror}); choose another file"
        ) from error
    say(console, f"Picture: {output}")
    return 0


@torch.no_grad()
def look(mixer: PretrainedMixer, images: ImageSet, *, seed: int = 0) -> Looks:
    """Mix a few pairs of photos of an image set, of different classes where there are any.

    Args:
        mixer: The Mixer.
        images: Two photos or more.
        seed: Seed of the choice of photos.

    Raises:
        InputError: Fewer than two photos, or one that cannot be read.
    """
    if len(images) < 2:
        raise InputError(f"--data '{images.name}' has {len(images)} photo; a pair needs two")
    pairs = _pairs(images, seed)
    first, second = (
        torch.stack([squeeze(images.read_for(i, _SIZE), _SIZE) for i in side]).float() / 255
        for side in zip(*pairs, strict=True)
    )
    swept = torch.linspace(0, 1, _SWEPT)
    areas = [mixer(first, second, _all(lam, first)).mean((1, 2, 3)) for lam in swept.tolist()]
    names = [(_class(images, a), _class(images, b)) for a, b in pairs]
    masks = torch.stack([mixer(first, second, _all(lam, first)) for lam in _LAM])
    return Looks(first, second, names, _LAM, masks, swept, torch.stack(areas))


def _open(source: str) -> PretrainedMixer:
    """Open a Mixer, or say in one sentence why it cannot be."""
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    folder = Path(source).expanduser()
    if (folder / "config.yaml").is_file() and not is_pretrained_mixer(folder):
        inner = folder / FOLDER
        raise InputError(
            f"'{source}' is a run; "
            + (
                f"its Mixer is '{inner}'"
                if is_pretrained_mixer(inner)
                else f"take its Mixer out first: samix mixer export {source} --output FOLDER"
            )
        )
    try:
        return open_mixer(source)
    except ValueError as error:
        raise InputError(str(error)) from error


def _print_card(mixer: PretrainedMixer, source: str, console: Console) -> None:
    """Print what is known of a Mixer that was loaded, which includes its checks."""
    parameters = list(mixer.parameters())
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = card_facts(mixer.config, sum(p.numel() for p in parameters))
    size = sum(p.numel() * p.element_size() for p in parameters) / 1e6
    for name, value in rows:
        table.add_row(name, cell(f"{value} ({size:.2f} MB)" if name == "Weights" else value))
    table.add_row("Checksum", cell(f"ok (SHA-256 {mixer.record['sha256'][:16]}...)"))
    apart = mixer.compatibility()
    passed = f"passed: masks of 3 pairs differ by {apart:.1g} from the stored ones, at most "
    table.add_row("Compatibility", cell(f"{passed}{TOLERANCE} is allowed"))
    default = " (built in; samix-p takes it)" if source == DEFAULT_MIXER else ""
    built_in = " (built in)" if source in built_in_mixers() else ""
    say(console, f"Mixer {source}{default or built_in}")
    console.print(table)


def _photos(given: Mapping[str, Any], console: Console) -> ImageSet:
    display = Terminal(console)
    try:
        return open_images(
            given.get("data", _DEMO),
            need_labels=False,
            max_megapixels=given.get("max_megapixels", MAX_MEGAPIXELS),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
    finally:
        display.rest()


def _name(given: Mapping[str, Any]) -> str:
    return Path(given["mixer"]).resolve().name


def _output(given: Mapping[str, Any]) -> Path:
    """Return the picture's file: the one that was given, or a free name."""
    if "output" not in given:
        stem = f"mixer-{_name(given)}"
        names = (f"{stem}{f'-{n}' if n > 1 else ''}.png" for n in range(1, 10**6))
        return next(path for name in names if not (path := Path(name)).exists())
    path = Path(given["output"]).expanduser()
    if path.suffix.lower() != ".png":
        raise InputError(f"--output must be a .png file, got '{path}'")
    if path.exists():
        raise InputError(f"--output '{path}' exists already; choose another file")
    if not path.parent.is_dir():
        raise InputError(f"--output '{path}': there is no folder '{path.parent}'; create it")
    return path


def _pairs(images: ImageSet, seed: int) -> list[tuple[int, int]]:
    """Return positions of a few pairs, of different classes where there are any."""
    order = np.random.default_rng(seed).permutation(len(images)).tolist()
    pairs: list[tuple[int, int]] = []
    while len(order) > 1 and len(pairs) < _PAIRS:
        first = order.pop()
        others = [i for i in order if images.targets[i] != images.targets[first]]
        second = others[-1] if others else order[-1]
        order.remove(second)
        pairs.append((first, second))
    return pairs


def _all(lam: float, images: Tensor) -> Tensor:
    return torch.full((len(images),), lam)


def _class(images: ImageSet, index: int) -> str:
    target = images.targets[index]
    return images.classes[target] if target >= 0 else ""
