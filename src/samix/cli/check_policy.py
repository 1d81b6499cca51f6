"""`samix check-policy`: does a mixing transform do what its labels say?"""

from __future__ import annotations

import argparse
import inspect
import shutil
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.training.config import TrainConfig

from .options import PHOTOS, add_command, add_fields, key_values
from .running import how_to_repeat, open_shown, say, say_lines, writing

if TYPE_CHECKING:
    from rich.console import Console

    from samix.checking import Photos, PolicyCheck
    from samix.data import ImageSet
    from samix.policies import Policy


_PHOTOS = 32
_MOST_PIXELS = 1024
_NUMBERS = ("p", "tolerance", "seed", "in_place")
_CHECK_POLICY = """\
Prove on your own photos that a mixing transform does what its labels say: that the label
names the photos that the pixels show, with the shares that they have; that shape, dtype and
range stay, and what is given to it; that it mixes with the probability that it states; and
that its draws can be repeated. Photos of one colour each tell where every pixel came from.

NAME is one of:

  cutmix, fmix ...      a policy; 'samix policies' lists them
  a folder              a pre-trained Mixer
  module:rule           a policy of your own, as 'samix train --policy' takes it
  module:name           a transform of another library or your own, called as
                        (images, target) -> (images, soft target); a class is made, and a
                        function called, with the values of --policy-options. Mixes of kornia,
                        timm, MONAI, keras, composer, fastai and albumentations are called in
                        the form of their library

DATA is what 'samix train' takes: a folder of class folders, a flat folder, parquet files,
a timm name, or 'demo' (the default). A few photos are read.

The exit code is 0 when all holds, 1 when a check failed, and 2 when something cannot be used.
"""
_EXAMPLES = """\
examples:
  samix check-policy cutmix
  samix check-policy samix-p photos/ --image-size 224
  samix check-policy torchvision.transforms.v2:CutMix --policy-options num_classes=6
  samix check-policy timm.data:Mixup --policy-options num_classes=6 mode=elem --in-place
  samix check-policy composer.functional:mixup_batch --policy-options alpha=0.4
  samix check-policy mymixes:my_cutmix photos/ --json check.json
"""


def run_check_policy(chosen: argparse.Namespace) -> int:
    """Print what was found, and write it where a file was named."""
    from rich.console import Console

    from samix.checking import check_with
    from samix.training import Terminal

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
        images = open_shown(given, display)
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
    from samix.training.run_folder import write_json

    photos = {
        "photos": sum(len(photos.images) for photos in batches),
        "image_size": batches[0].images.shape[-1],
    }
    with writing("--json", path):
        write_json(path, {**how_to_repeat("torch"), **found.record(), **photos})


def _batches(images: ImageSet, given: Mapping[str, Any]) -> list[Photos]:
    """Return a few photos with their classes, as many classes as possible in each batch."""
    from samix.checking import cut_batches
    from samix.mixing import draw_index, step_generator
    from samix.preview.photos import candidates, choose, read_photos

    seed = given.get("seed", 0)
    positions, _ = candidates(images, ())
    count = min(_PHOTOS, len(positions))
    index = draw_index(count, generator=step_generator(seed, 0)).tolist()
    photos = read_photos(
        images, choose(images.targets, positions, index, seed), given.get("image_size")
    )
    return cut_batches(photos.images, photos.target)


def _check(given: Mapping[str, Any]) -> None:
    from samix.data.views import check_size

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


def add_check_policy(commands: Any, about: str) -> None:
    """Add the parser of `samix check-policy`."""
    parser = add_command(
        commands,
        "check-policy",
        "check-policy NAME [DATA] [options]",
        about,
        _CHECK_POLICY,
        _EXAMPLES,
    )
    group = parser.add_argument_group("policy")
    group.add_argument("name", help="policy, folder of a Mixer, or module:name", metavar="NAME")
    add_fields(
        group,
        TrainConfig,
        "policy_options",
        policy_options="options of the policy, or arguments of the class, e.g. "
        "alpha=0.2 num_classes=6",
    )
    group.add_argument(
        "--p",
        help="share of photos, or of batches, that must be mixed (what the transform says)",
        type=float,
        metavar="X",
    )
    group.add_argument(
        "--in-place",
        help="allow that it changes what is given to it",
        action=argparse.BooleanOptionalAction,
    )
    group.add_argument(
        "--tolerance",
        help="difference up to which a label's share is that of the pixels, beyond a pixel (0.001)",
        type=float,
        metavar="X",
    )
    add_fields(group, TrainConfig, "seed", seed="seed of the draws and of the choice of photos (0)")
    data = parser.add_argument_group("photos")
    words = "folder, parquet folder or file, timm name, or 'demo' (demo)"
    data.add_argument("data", help=words, nargs="?", metavar="DATA")
    add_fields(
        data,
        TrainConfig,
        "image_size",
        image_size="side in pixels that the transform will see (that of the photos, at most 224)",
    )
    add_fields(data, TrainConfig, *PHOTOS)
    output = parser.add_argument_group("output")
    output.add_argument("--json", help="also write what was found to this file", metavar="FILE")


def open_named(name: str, options: Mapping[str, Any]) -> Policy | Callable[..., Any]:
    """Return a policy, or the transform that ``module:name`` stands for."""
    from samix.checking import is_library_mix, policy_of
    from samix.policies import import_name, policy_maker, register_own

    if ":" not in name or Path(name).exists():
        return policy_of(name, **options)
    found = import_name(name)
    if policy_maker(found, name) is not None:
        register_own(name)
        return policy_of(name, **options)
    if isinstance(found, type):
        try:
            return found(**options)  # type: ignore[no-any-return]
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{name} cannot be made with --policy-options "
                f"{' '.join(f'{k}={v}' for k, v in options.items()) or '(none)'}: {reason}"
            ) from error
    if not callable(found) and not is_library_mix(found):
        raise InputError(
            f"{name} is of type {type(found).__name__} and cannot be called as (images, target)"
        )
    return partial(found, **_of_function(found, options, name)) if options else found


def _of_function(found: Any, options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the options of a function; refuse what it does not take, and any of an object."""
    if not inspect.isroutine(found):
        raise InputError(
            f"--policy-options {next(iter(options))}: {name} is made already, so that it takes "
            "none; leave it out, or give the class"
        )
    try:
        inspect.signature(found).bind(None, None, **options)
    except TypeError as error:
        raise InputError(f"--policy-options of {name}: {error}") from error
    return options
