"""`samix preview`: mixes of several policies on the user's photos, before any training."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from samix._version import __version__
from samix.data import ImageSet, open_images
from samix.data.views import check_size
from samix.errors import InputError
from samix.mixing import draw_index, step_generator
from samix.report.mix_rows import MixRow, Photos, mix_rows
from samix.report.page import write_page
from samix.report.preview import PolicyMixes, preview_sections
from samix.report.preview_figure import draw_preview
from samix.training import Terminal
from samix.training.runs import write_json

from .output import create_folder, how_to_repeat, result_folder
from .preview_photos import candidates, choose, read_photos
from .preview_policies import DEFAULT, Shown, open_policies, parse_words
from .preview_verdicts import LABEL_NOISE, count_defects, harm_verdicts
from .summary import say
from .values import key_values

_PAIRS = 8
_MOST_PAIRS = 64
_MOST_PIXELS = 1024
_SHARED = ("alpha", "p")  # options of policies that have a flag of their own


@dataclass(frozen=True)
class Look:
    """What is looked at.

    Attributes:
        data: Name of the image set.
        what: Which of its photos were chosen from.
        photos: Those that are mixed.
        policies: What each policy makes of them.
        seed: Of the choice of photos and of lam.
        outlines: Defects have an outline.
    """

    data: str
    what: str
    photos: Photos
    policies: Sequence[PolicyMixes]
    seed: int
    outlines: bool


def run_preview(chosen: argparse.Namespace) -> int:
    """Write preview.html, preview.png and preview.json, and print a table.

    Returns:
        0.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    _check(given)
    policies = open_policies(_names(given), _options(given))
    console = Console(highlight=False)
    images = _open(given, Terminal(console))
    output = result_folder(given, f"preview-{images.name}")
    create_folder(output)
    try:
        found = look(images, policies, given)
        write_preview(output, found)
    except BaseException:
        with suppress(OSError):  # it is still empty
            output.rmdir()
        raise
    _print(found, output, console)
    return 0


def look(images: ImageSet, policies: Sequence[Shown], given: Mapping[str, Any]) -> Look:
    """Mix the same pairs of photos with each policy.

    Args:
        images: The image set.
        policies: What is looked at.
        given: Options by name, only those that were given.

    Raises:
        InputError: Fewer than two photos, an unknown class, or a photo or mask that cannot be used.
    """
    seed, pairs = given.get("seed", 0), given.get("pairs", _PAIRS)
    positions, what = candidates(images, given.get("classes", ()))
    batch = min(max(pairs, 2), len(positions))
    # policies draw partners first: the photos can be laid out for those that they will draw
    index = draw_index(batch, generator=step_generator(seed, 0)).tolist()
    batch_of = choose(images.targets, positions, index, seed)
    photos = read_photos(images, batch_of, given.get("image_size"))
    outlines = photos.regions is not None and given.get("show_masks", True)
    mixes = [mix(shown, photos, seed, count=pairs, outlines=outlines) for shown in policies]
    return Look(images.name, what, photos, mixes, seed, outlines)


@torch.no_grad()
def mix(shown: Shown, photos: Photos, seed: int, *, count: int, outlines: bool) -> PolicyMixes:
    """Return what one policy makes of the photos; every policy has the same generator.

    Args:
        shown: The policy.
        photos: B photos.
        seed: Of partners and lam.
        count: How many rows, from the first.
        outlines: Draw outlines of defects.
    """
    generator = step_generator(seed, 0)
    plan = shown.policy.plan(photos.images, target=photos.target, generator=generator)
    verdicts = harm_verdicts(photos, plan)
    rows = mix_rows(photos, plan, verdicts, count=count, outlines=outlines)
    noisy = sum(LABEL_NOISE in row.verdict.badge for row in rows)
    label, defects = shown.policy.traits.label, count_defects(photos, plan)
    return PolicyMixes(shown.name, shown.about, shown.draw, label, rows, defects, noisy)


def write_preview(output: Path, found: Look) -> None:
    """Write the picture, the numbers and, last, the page.

    Raises:
        InputError: They cannot be written.
    """
    try:
        draw_preview(output / "preview.png", found.policies, title=_title(found))
        write_json(output / "preview.json", _record(found))
        write_page(
            output / "preview.html",
            f"Mixes of {found.data}",
            preview_sections(found.policies, outlines=found.outlines),
            lead=_lead(found),
            facts=_facts(found),
        )
    except OSError as error:
        raise InputError(
            f"--output '{output}' cannot be written ({error.strerror}); choose another folder"
        ) from error


def _names(given: Mapping[str, Any]) -> tuple[str, ...]:
    names = parse_words(given.get("policy", DEFAULT))
    if not names:
        raise InputError("--policy names no policy; give one such as mixup")
    return names


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the policies; those with a flag of their own come last."""
    options = key_values(given.get("policy_options", ()), "policy_options")
    return {**options, **{name: given[name] for name in _SHARED if name in given}}


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what can be refused before anything is opened."""
    if "data" not in given:
        raise InputError("DATA is missing; give a folder of photos, or 'demo' for built-in ones")
    if not 1 <= given.get("pairs", _PAIRS) <= _MOST_PAIRS:
        raise InputError(f"--pairs must be 1 to {_MOST_PAIRS}, got {given['pairs']}")
    if given.get("seed", 0) < 0:
        raise InputError(f"--seed must be at least 0, got {given['seed']}")
    size = given.get("image_size", _MOST_PIXELS)
    check_size(size)
    if size > _MOST_PIXELS:
        raise InputError(f"--image-size must be at most {_MOST_PIXELS} px here, got {size}")


def _open(given: Mapping[str, Any], display: Terminal) -> ImageSet:
    try:
        return open_images(
            given["data"],
            need_labels=False,
            skip_corrupt=given.get("skip_corrupt", False),
            root=given.get("data_root"),
            download=given.get("download", False),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
    finally:
        display.rest()


def _record(found: Look) -> dict[str, Any]:
    return {
        **how_to_repeat("torch"),
        "data": found.data,
        "photos": found.what,
        "seed": found.seed,
        "image_size": found.photos.images.shape[-1],
        "policies": {policy.name: policy.record() for policy in found.policies},
    }


def _title(found: Look) -> str:
    size = found.photos.images.shape[-1]
    return f"Mixes of {found.data}, {size} px, seed {found.seed} (mask: white shows the original)"


def _lead(found: Look) -> str:
    """Return what a hurried reader must know."""
    first, *others = found.policies
    count = len(first.rows)
    pairs = "1 pair" if count == 1 else f"{count} pairs"
    text = f"{pairs} of photos as a network would see them, mixed before any training"
    if others:
        lam = [row.lam for row in first.rows]
        apart = [p.name for p in others if not _close(lam, p.rows)]
        same = "the same lam" if not apart else f"the same lam except in {', '.join(apart)}"
        text += f": the same pairs with {same} under {len(found.policies)} policies"
    noisy = [f"{p.noisy} of {p.defects} with {p.name}" for p in found.policies if p.noisy]
    if noisy:
        text += (
            ".\nLabel noise (the label promises a defect that can hardly be seen) in mixes with a "
            f"defect: {', '.join(noisy)}"
        )
    return f"{text}."


def _close(lam: Sequence[float], rows: Sequence[MixRow]) -> bool:
    return all(abs(value - row.lam) < 1e-6 for value, row in zip(lam, rows, strict=True))


def _facts(found: Look) -> list[tuple[str, str]]:
    return [
        ("data", found.data),
        ("photos", found.what),
        ("image size", f"{found.photos.images.shape[-1]} px"),
        ("seed", str(found.seed)),
        ("samix", __version__),
    ]


def _print(found: Look, output: Path, console: Console) -> None:
    """Print a line a policy and where to look."""
    say(console, _lead(found))
    known = found.policies[0].defects is not None
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("policy", "lam from", "label uses", "area away from lam"):
        table.add_column(name, justify="right" if name.startswith("area") else "left")
    if known:
        table.add_column("label noise", justify="right")
    for policy in found.policies:
        cells = [policy.name, policy.draw, policy.label_text, f"{policy.area_from_lam:.2f}"]
        cells += [f"{policy.noisy} of {policy.defects}"] if known else []
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    say(console, f"Page:    {output / 'preview.html'}")
    say(console, f"Picture: {output / 'preview.png'}")
    say(console, f"Numbers: {output / 'preview.json'}")
