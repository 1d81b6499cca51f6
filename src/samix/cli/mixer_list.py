"""`samix mixer list`: the pre-trained Mixers that are there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from samix.errors import InputError
from samix.networks import built_in_mixers, is_pretrained_mixer, read_configuration
from samix.networks.mixer_card import CONFIG, check_configuration
from samix.networks.pretrained_mixer import WEIGHTS
from samix.shown import shown


def run_mixer_list(chosen: argparse.Namespace) -> int:
    """Print a paragraph a Mixer: those of the package, then those below a folder.

    Returns:
        0.

    Raises:
        InputError: The folder is not there.
    """
    print("In this package (samix-p takes the first; another one: --policy-options mixer=NAME):\n")
    for name, folder in built_in_mixers().items():
        _print_mixer(name, folder)
    if "folder" not in chosen:
        return 0
    top = Path(chosen.folder).expanduser()
    if not top.is_dir():
        raise InputError(f"there is no folder '{chosen.folder}'; give one to look in")
    found = sorted(file.parent for file in top.rglob(CONFIG) if is_pretrained_mixer(file.parent))
    print(f"\nBelow '{shown(str(top))}' (take one with --policy FOLDER):\n")
    for folder in found:
        _print_mixer(str(folder), folder)
    if not found:
        print("  none")
    return 0


def _print_mixer(name: str, folder: Path) -> None:
    """Print what the folder says about a Mixer; its weights are not opened."""
    config = read_configuration(folder)
    record: dict[str, Any] = config.get("record") or {}
    weights = folder / WEIGHTS
    size = f"{weights.stat().st_size / 1e6:.2f} MB" if weights.is_file() else "weights are missing"
    _line(name)
    try:
        check_configuration(config)
    except ValueError as error:
        _line(f"  cannot be used ({error})")
        return
    _line(
        f"  {size}; {config['encoder']['backbone']} up to tap {config['tap']}, looks at "
        f"{config.get('resolution', 32)} px"
    )
    data = record.get("data", ())
    for line in (data,) if isinstance(data, str) else data:
        _line(f"  {line}")
    _line(
        f"  {record.get('objective', 'objective not stated')}; labels: "
        f"{record.get('labels', 'not stated')}; {record.get('date', 'no date')}"
    )
    for remark in record.get("remarks", ()):
        _line(f"  {remark}")


def _line(text: str) -> None:
    print(shown(text))
