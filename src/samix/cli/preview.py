"""`samix preview`: mixes of several policies on the user's photos, before any training."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.training.config import TrainConfig

from .options import (
    DEFAULT_GUARD,
    PHOTOS,
    add_command,
    add_fields,
    add_language,
    key_values,
    page_language,
    read_guard,
    spoken,
)
from .running import (
    create_folder,
    how_to_repeat,
    photo_options,
    print_table,
    result_folder,
    say_lines,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from samix.data import ImageSet
    from samix.guard import Guard
    from samix.pages.parts import Language
    from samix.preview.mixes import Look
    from samix.training import Terminal


_MOST_PAIRS = 64
_MOST_PIXELS = 1024
_LOOK = {
    "pairs": "pairs", "classes": "classes", "image_size": "image_size", "seed": "seed",
    "show_masks": "outlines",
}  # fmt: skip
_SHARED = ("alpha", "p")  # options of policies that have a flag of their own
_PREVIEW = """\
Look at mixes before any training: the same pairs of photos under several policies, with
original, partner, mask, mix, lam and area, and the soft label by class names.

DATA is what 'samix train' takes: a folder of class folders, a flat folder, parquet files,
a timm name, or 'demo'. Photos need no labels and no split; where the data gives a split,
train photos are taken. A policy is one of:

  mixup, cutmix, samix-p ...   a policy; 'samix policies' lists them
  RUN                          a run of 'samix train' or 'samix pretrain': its Mixer
  a folder                     a pre-trained Mixer
  mixco, i-mix ...             a rival of self-supervised learning

Where the data brings masks of the defects (images/ beside masks/), their outlines are
drawn, and each row says how much of each defect is visible and what the label says.
"""
_EXAMPLES = """\
examples:
  samix preview demo
  samix preview photos/ --policy cutmix,resizemix,samix-p --pairs 12
  samix preview photos/ --policy mixup,runs/photos-samix --image-size 224
  samix preview photos/ --classes crack,good --seed 1 --output look
  samix preview photos/ --policy cutmix --guard    what would be repaired, and how
"""


def run_preview(chosen: argparse.Namespace) -> int:
    """Write preview.html and preview.json, and print a table."""
    from rich.console import Console

    from samix.preview.mixes import look
    from samix.preview.policies import open_policies
    from samix.training import Terminal

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    _check(given)
    language = page_language(given)
    policies = open_policies(_names(given), _options(given))
    console = Console(highlight=False)
    images = _open(given, Terminal(console, spoken(given)))
    output = result_folder(given, f"preview-{images.name}")
    found = look(
        images,
        policies,
        **{to: given[name] for name, to in _LOOK.items() if name in given},
        guard=open_guard(given["guard"], images) if "guard" in given else None,
    )
    create_folder(output)
    try:
        _write(output, found, language)
    except BaseException:
        for path in output.glob("preview.*"):  # the folder is ours: it was new or empty
            path.unlink()
        with suppress(OSError):
            output.rmdir()
        raise
    print_look(found, output, console, spoken(given))
    return 0


def _write(output: Path, found: Look, language: Language) -> None:
    from samix.preview.page import record_of, write_preview
    from samix.training.run_folder import write_json

    try:
        write_json(output / "preview.json", {**how_to_repeat("torch"), **record_of(found)})
        write_preview(output, found, language)
    except OSError as error:
        raise InputError(
            f"--output '{output}' cannot be written ({error.strerror}); choose another folder"
        ) from error


def _names(given: Mapping[str, Any]) -> tuple[str, ...]:
    from samix.preview.policies import DEFAULT, parse_words

    names = parse_words(given.get("policy", DEFAULT))
    if not names:
        raise InputError("--policy names no policy; give one such as mixup")
    return names


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the policies; those with a flag of their own come last."""
    options = key_values(given.get("policy_options", ()), "policy_options")
    return {**options, **{name: given[name] for name in _SHARED if name in given}}


def _check(given: Mapping[str, Any]) -> None:
    from samix.data.views import check_size
    from samix.preview.mixes import PAIRS as _PAIRS

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
    from samix.data import open_images

    try:
        images = open_images(
            given["data"],
            need_labels=False,
            **photo_options(given),
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


def open_guard(word: str, images: ImageSet) -> Guard:
    """Return a guard that needs no network."""
    from samix.guard import create_guard

    try:
        guard = create_guard(read_guard(word), images.classes)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"--guard: {error}") from error
    asks = [rule for rule in guard.rules if rule == "plausibility"]
    asks += ["saliency attention"] if guard.options.saliency == "attention" else []
    if asks:
        raise InputError(
            f"--guard: {asks[0]} asks a network in training, and there is none before it; leave it "
            "out to preview the others"
        )
    if guard.options.saliency == "given" and images.read_mask is None:
        raise InputError(
            "--guard: saliency 'given' takes the masks of the defects, which DATA does not have; "
            "leave it out"
        )
    return guard


def print_look(found: Look, output: Path, console: Console, lang: str) -> None:
    """Print a line a policy and where to look, in one language."""
    from samix.pages.words import word
    from samix.preview.page import lead_of, policy_table

    say_lines(console, getattr(lead_of(found), lang))
    print_table(console, policy_table(found.policies), lang)
    for key, name in (("saved-page", "preview.html"), ("saved-numbers", "preview.json")):
        tell(console, word(key, path=str(output / name)), lang)


def add_preview(commands: Any, about: str) -> None:
    """Add the parser of `samix preview`."""
    parser = add_command(
        commands,
        "preview",
        usage="preview DATA [options]",
        about=about,
        description=_PREVIEW,
        examples=_EXAMPLES,
    )
    _add_policies(parser.add_argument_group("policies"))
    _add_guard(parser.add_argument_group("guard"))
    _add_photos(parser.add_argument_group("photos"))
    group = parser.add_argument_group("output")
    group.add_argument("--output", help="folder to create (a free name below runs/)", metavar="DIR")
    add_language(group)


def _add_policies(group: Any) -> None:
    group.add_argument(
        "--policy",
        help="what to look at, separated by commas; may be repeated (mixup,cutmix,samix-p)",
        action="append",
        metavar="NAME,...",
    )
    group.add_argument(
        "--alpha",
        help="lam of every policy comes from Beta(alpha, alpha), so that rows can be compared (1)",
        type=float,
        metavar="X",
    )
    group.add_argument("--p", help="probability that a photo is mixed (1)", type=float, metavar="X")
    add_fields(
        group,
        TrainConfig,
        "policy_options",
        policy_options="further options of each policy that has them, e.g. "
        "scale=[0.2,0.6]; of one alone, e.g. "
        "cutmix.alpha=0.5",
    )


def _add_guard(group: Any) -> None:
    add_fields(
        group,
        TrainConfig,
        "guard",
        guard="also say what a guard finds wrong with each mix and what it makes of "
        "it; with its rules "
        "from a YAML file, or the defaults where no file is named",
    )


def _add_photos(group: Any) -> None:
    data = "folder, parquet folder or file, timm name, or 'demo'"
    group.add_argument("data", help=data, nargs="?", metavar="DATA")
    group.add_argument("--pairs", help="how many pairs to show (8)", type=int, metavar="N")
    group.add_argument(
        "--classes",
        help="only pairs of these classes, separated by commas; may be repeated (all)",
        action="append",
        metavar="NAME,...",
    )
    add_fields(
        group,
        TrainConfig,
        "image_size",
        image_size="side in pixels that the network will see (that of the photos, at most 224)",
    )
    add_fields(group, TrainConfig, "seed", seed="seed of the choice of photos and of lam (0)")
    group.add_argument(
        "--show-masks",
        help="outlines of the defects (where masks are given)",
        action=argparse.BooleanOptionalAction,
    )
    add_fields(group, TrainConfig, *PHOTOS)
