"""`samix preview`: mixes of several policies on the user's photos, before any training."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from samix.data import ImageSet, open_images
from samix.data.reading import MAX_MEGAPIXELS
from samix.data.views import check_size
from samix.errors import InputError
from samix.guard import Guard
from samix.mixing import draw_index, step_generator
from samix.pages.mixes import Photos, mix_rows
from samix.pages.parts import write_page
from samix.report.preview import PolicyMixes, preview_sections
from samix.report.preview_figure import draw_preview
from samix.training import Terminal
from samix.training.run_folder import write_json

from .guard_file import DEFAULT as DEFAULT_GUARD
from .output import create_folder, result_folder
from .preview_guard import guarded_rows, open_guard
from .preview_photos import candidates, choose, read_photos
from .preview_policies import DEFAULT, Shown, open_policies, parse_words
from .preview_summary import Look, facts_of, lead_of, print_look, record_of, title_of
from .preview_verdicts import LABEL_NOISE, count_defects, harm_verdicts
from .values import key_values

_PAIRS = 8
_MOST_PAIRS = 64
_MOST_PIXELS = 1024
_SHARED = ("alpha", "p")  # options of policies that have a flag of their own


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
    found = look(images, policies, given)
    create_folder(output)
    try:
        write_preview(output, found)
    except BaseException:
        for path in output.glob("preview.*"):  # the folder is ours: it was new or empty
            path.unlink()
        with suppress(OSError):
            output.rmdir()
        raise
    print_look(found, output, console)
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
    guard = _guard(given, images)
    positions, what = candidates(images, given.get("classes", ()))
    batch = min(max(pairs, 2), len(positions))
    # policies draw partners first: the photos can be laid out for those that they will draw
    index = draw_index(batch, generator=step_generator(seed, 0)).tolist()
    batch_of = choose(images.targets, positions, index, seed)
    photos = read_photos(images, batch_of, given.get("image_size"))
    outlines = photos.regions is not None and given.get("show_masks", True)
    mixes = [
        mix(shown, photos, seed, count=pairs, outlines=outlines, guard=guard) for shown in policies
    ]
    return Look(images.name, what, photos, mixes, seed, outlines)


@torch.no_grad()
def mix(
    shown: Shown,
    photos: Photos,
    seed: int,
    *,
    count: int,
    outlines: bool,
    guard: Guard | None = None,
) -> PolicyMixes:
    """Return what one policy makes of the photos; every policy has the same generator.

    Args:
        shown: The policy.
        photos: B photos.
        seed: Of partners and lam.
        count: How many rows, from the first.
        outlines: Draw outlines of defects.
        guard: Looks at the mixes.
    """
    generator = step_generator(seed, 0)
    plan = shown.policy.plan(photos.images, target=photos.target, generator=generator)
    verdicts = harm_verdicts(photos, plan)
    rows = mix_rows(photos, plan, verdicts, count=count, outlines=outlines)
    noisy = sum(LABEL_NOISE in row.verdict.badge for row in rows)
    label, defects = shown.policy.traits.label, count_defects(photos, plan, count)
    guarded = guard is not None and shown.policy.traits.mixes
    if guard is not None and guarded:
        rows = guarded_rows(
            guard, shown, photos, plan, rows, generator=generator, outlines=outlines
        )
    return PolicyMixes(shown.name, shown.text, shown.draw, label, rows, defects, noisy, guarded)


def write_preview(output: Path, found: Look) -> None:
    """Write the picture, the numbers and, last, the page.

    Raises:
        InputError: They cannot be written.
    """
    try:
        draw_preview(output / "preview.png", found.policies, title=title_of(found))
        write_json(output / "preview.json", record_of(found))
        write_page(
            output / "preview.html",
            f"Mixes of {found.data}",
            preview_sections(found.policies, outlines=found.outlines),
            lead=lead_of(found),
            facts=facts_of(found),
        )
    except OSError as error:
        raise InputError(
            f"--output '{output}' cannot be written ({error.strerror}); choose another folder"
        ) from error


def _guard(given: Mapping[str, Any], images: ImageSet) -> Guard | None:
    """Return the guard that was asked for."""
    return open_guard(given["guard"], images) if "guard" in given else None


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
        word = given.get("guard", DEFAULT_GUARD)
        taken = "" if word == DEFAULT_GUARD else f" (--guard took '{word}'; put DATA first)"
        raise InputError(
            f"DATA is missing{taken}; give a folder of photos, or 'demo' for built-in ones"
        )
    if not 1 <= given.get("pairs", _PAIRS) <= _MOST_PAIRS:
        raise InputError(f"--pairs must be 1 to {_MOST_PAIRS}, got {given['pairs']}")
    if given.get("seed", 0) < 0:
        raise InputError(f"--seed must be at least 0, got {given['seed']}")
    size = given.get("image_size", _MOST_PIXELS)
    check_size(size)
    if size > _MOST_PIXELS:
        raise InputError(f"--image-size must be at most {_MOST_PIXELS} px here, got {size}")


def _open(given: Mapping[str, Any], display: Terminal) -> ImageSet:
    """Return the photos; masks must be there where their outlines were asked for."""
    try:
        images = open_images(
            given["data"],
            need_labels=False,
            max_megapixels=given.get("max_megapixels", MAX_MEGAPIXELS),
            skip_corrupt=given.get("skip_corrupt", False),
            root=given.get("data_root"),
            download=given.get("download", False),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
    finally:
        display.rest()
    if given.get("show_masks", False) and images.read_mask is None:
        raise InputError(
            f"--show-masks: DATA '{images.name}' has no masks of defects; give a folder with "
            "images/ beside masks/, or leave it out"
        )
    return images
