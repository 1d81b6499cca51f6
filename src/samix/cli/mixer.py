"""`samix mixer`: train, export, inspect and list pre-trained Mixers."""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.files import free_path, partial_of
from samix.options import from_plain
from samix.shown import shown, wrapped
from samix.training.config import PretrainConfig, TrainConfig, whole_path

from .options import add_command, add_fields, add_run
from .running import (
    cell,
    cost_line,
    mixer_line,
    open_shown,
    options_over_preset,
    result_folder,
    run_or_resume,
    say,
    writing,
)

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from samix.data import ImageSet
    from samix.networks import PretrainedMixer
    from samix.pages.mixer import Looks
    from samix.training import TrainResult


FOLDER = "mixer"
"""Where a run keeps its Mixer."""
_PRESET = "mixer"
_PAIRS = 4
_SIZE = 128  # px, of the photos that are drawn
_LAM = (0.1, 0.3, 0.5, 0.7, 0.9)
_SWEPT = 41  # values of lam in the curve of the area
_DEMO = "demo:photos_per_class=20,size=128"
_MIXER = """\
Pre-trained Mixers: small networks that compute how to mix two photos, with the frozen
encoder that feeds them. As the policy of a run or a loop they need no training, no labels
and no look at the model: --policy samix-p takes the one that comes with the package,
--policy FOLDER one of your own.
"""
_TRAIN = """\
Train a Mixer on photos without labels, and write it into the folder 'mixer' of the run.

DATA is what 'samix pretrain' takes; several are learned from together, each split by
itself. Test photos, as 'samix train' with the same seed sets them aside, are never
looked at. This is 'samix pretrain --policy samix' with photos standardised one by one, as
the Mixer will see them later, followed by 'samix mixer export'.

Settings are those of a preset, where none is given of 'mixer': photos of 32 px, batches of
128, 30 epochs, adamw with learning rate 0.003 and weight decay 0.01, alpha 2, cost full.
Numbers in brackets below hold for what a preset leaves open.
"""
_TRAIN_EXAMPLES = """\
examples:
  samix mixer train photos/
  samix mixer train photos/ more-photos/ demo --seed 1
  samix mixer train --resume --output runs/photos-moco-samix
  samix train photos/ --policy runs/photos-moco-samix/mixer
"""
_EXPORT = """\
Take the Mixer out of a finished run of 'samix pretrain' or 'samix train', with the
momentum average that it read (up to its tap, without classifier), as one folder.
"""
_EXPORT_EXAMPLES = """\
examples:
  samix mixer export runs/photos-samix --output my-mixer
  samix mixer export runs/photos-moco-samix --output my-mixer --licence cc-by-4.0
"""
_INSPECT = """\
Print the card of a pre-trained Mixer, check it, and draw what it does: masks and mixes of
a few pairs of photos for several lam, and area against lam.
"""
_INSPECT_EXAMPLES = """\
examples:
  samix mixer inspect natural
  samix mixer inspect my-mixer --data photos/ --output my-mixer.html
"""


def run_mixer(chosen: argparse.Namespace) -> int:
    """Run one action."""
    run: Callable[[argparse.Namespace], int] = globals()[f"run_mixer_{chosen.action}"]
    return run(chosen)


def run_mixer_export(chosen: argparse.Namespace) -> int:
    """Write the Mixer of a run into a folder of its own."""
    from rich.console import Console

    from samix.training.mixer_export import mixer_of_run, mixer_remarks

    given = vars(chosen)
    output = result_folder(given, "mixer")
    mixer = mixer_of_run(given["run"], licence=given.get("licence"))
    partial = partial_of(output)
    try:
        with writing("--output", output, "folder"):
            mixer.save_pretrained(partial)
            partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console = Console(highlight=False)
    for remark in mixer_remarks(mixer):
        say(console, remark)
    say_where(console, output)
    return 0


def say_where(console: Console, folder: Path) -> None:
    """Print where a Mixer lies, and what to do with it."""
    say(console, f"Mixer:            {folder}")
    say(console, f"Look at it with:  samix mixer inspect {folder}")
    say(console, f"Use it with:      samix train DATA --policy {folder}")


def run_mixer_train(chosen: argparse.Namespace) -> int:
    """Train or resume, take the Mixer out, and print a summary."""
    from samix.training import pretrain

    given = {k: v for k, v in vars(chosen).items() if k != "action"}
    licence = given.pop("licence", None)
    given |= {"command": "pretrain", **_named_data(given.pop("data", []))}
    return run_or_resume(
        argparse.Namespace(**given),
        lambda options, display: pretrain(config_from(options), display=display),
        partial(_show, licence=licence),
    )


def config_from(given: Mapping[str, Any]) -> PretrainConfig:
    """Return the configuration of options that were given, over those of the preset."""
    options = options_over_preset({"preset": _PRESET, **given}, "pretrain", demo=_PRESET)
    return from_plain({**options, "policy": "samix", "standardise": True}, PretrainConfig)


def _named_data(words: list[str]) -> dict[str, Any]:
    """Return the sets of photos as a run names them; nothing where none is given."""
    named: dict[str, Any] = {"data": words[0]} if words else {}
    return {**named, "more_data": tuple(map(whole_path, words[1:]))} if words[1:] else named


def _show(result: TrainResult, console: Console, *, licence: str | None) -> None:
    """Print how the run ended; where it is finished, take its Mixer out."""
    metrics, run = result.metrics, result.run
    console.print()
    if metrics is not None:
        loss = metrics["held_out"]["loss"]
        say(console, f"Held-out loss {loss:.3f}. {cost_line(metrics)}")
        if metrics["mixer"] is not None:
            say(console, mixer_line(metrics["mixer"]))
    if result.status == "interrupted":
        say(console, f"Interrupted. Go on with: samix mixer train --resume --output {run.path}")
        return
    folder = run.path / FOLDER
    _write(run.path, folder, licence, console)
    say(console, f"Mixes to look at: {run.mixes}")
    say_where(console, folder)


def _write(run: Path, folder: Path, licence: str | None, console: Console) -> None:
    from samix.networks import is_pretrained_mixer
    from samix.training.mixer_export import mixer_of_run, mixer_remarks

    mixer = mixer_of_run(run, licence=licence)
    if not is_pretrained_mixer(folder):
        partial = partial_of(folder)
        mixer.save_pretrained(partial)
        partial.replace(folder)
    for remark in mixer_remarks(mixer):
        say(console, remark)


def run_mixer_list(chosen: argparse.Namespace) -> int:
    """Print a paragraph a Mixer: those of the package, then those below a folder."""
    from samix.networks import built_in_mixers, is_pretrained_mixer
    from samix.networks.mixer_card import CONFIG

    print("In this package (samix-p takes the first; --policy-options mixer=NAME another):\n")
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
    from samix.networks import read_configuration
    from samix.networks.frozen_mixer import WEIGHTS
    from samix.networks.mixer_card import check_configuration

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
    print(wrapped(shown(text), shutil.get_terminal_size().columns))


def run_mixer_inspect(chosen: argparse.Namespace) -> int:
    """Print the card and the checks, and write the page."""
    from rich.console import Console

    from samix.pages.mixer import write_mixer
    from samix.pages.words import word
    from samix.training import Terminal

    given = vars(chosen)
    console = Console(highlight=False)
    mixer = _open(given["mixer"])
    output = _output(given)
    _print_card(mixer, given["mixer"], console)
    display = Terminal(console)
    try:
        images = open_shown(given, display, _DEMO)
    finally:
        display.rest()
    looks = look(mixer, images, seed=given.get("seed", 0))
    title = word("mixer-page", name=_name(given), data=images.name)
    with writing("--output", output):
        write_mixer(output, looks, title=title)
    say(console, f"Page: {output}")
    return 0


def look(mixer: PretrainedMixer, images: ImageSet, *, seed: int = 0) -> Looks:
    """Mix a few pairs of photos of an image set, of different classes where there are any."""
    import torch

    from samix.data.views import squeeze
    from samix.pages.mixer import Looks

    with torch.no_grad():
        if len(images) < 2:
            raise InputError(f"--data '{images.name}' has {len(images)} photo; a pair needs two")
        pairs = _pairs(images, seed)
        first, second = (
            torch.stack([squeeze(images.read_for(i, _SIZE), _SIZE) for i in side]).float() / 255
            for side in zip(*pairs, strict=True)
        )
        swept = torch.linspace(0, 1, _SWEPT)

        def mask(lam: float) -> Tensor:
            made: Tensor = mixer(first, second, torch.full((len(first),), lam))
            return made

        areas = [mask(lam).mean((1, 2, 3)) for lam in swept.tolist()]
        names = [(images.class_of(a), images.class_of(b)) for a, b in pairs]
        masks = torch.stack([mask(lam) for lam in _LAM])
        return Looks(first, second, names, _LAM, masks, swept, torch.stack(areas))


def _open(source: str) -> PretrainedMixer:
    """Open a Mixer, or say in one sentence why it cannot be."""
    from samix.networks import is_pretrained_mixer, open_mixer

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    folder = Path(source).expanduser()
    if (folder / "config.yaml").is_file() and not is_pretrained_mixer(folder):
        inner = folder / FOLDER
        way = f"take its Mixer out first: samix mixer export {source} --output FOLDER"
        way = f"its Mixer is '{inner}'" if is_pretrained_mixer(inner) else way
        raise InputError(f"'{source}' is a run; {way}")
    try:
        return open_mixer(source)
    except ValueError as error:
        raise InputError(str(error)) from error


def _print_card(mixer: PretrainedMixer, source: str, console: Console) -> None:
    """Print what is known of a Mixer that was loaded, which includes its checks."""
    from rich.table import Table

    from samix.networks import DEFAULT_MIXER, TOLERANCE, built_in_mixers, card_facts

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


def _name(given: Mapping[str, Any]) -> str:
    return Path(given["mixer"]).resolve().name


def _output(given: Mapping[str, Any]) -> Path:
    if "output" not in given:
        return free_path(Path(), f"mixer-{_name(given)}", ".html")
    path = Path(given["output"]).expanduser()
    if path.suffix.lower() != ".html":
        raise InputError(f"--output must be a .html file, got '{path}'")
    if path.exists():
        raise InputError(f"--output '{path}' exists already; choose another file")
    if not path.parent.is_dir():
        raise InputError(f"--output '{path}': there is no folder '{path.parent}'; create it")
    return path


def _pairs(images: ImageSet, seed: int) -> list[tuple[int, int]]:
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(images)).tolist()
    pairs: list[tuple[int, int]] = []
    while len(order) > 1 and len(pairs) < _PAIRS:
        first = order.pop()
        others = [i for i in order if images.targets[i] != images.targets[first]]
        second = others[-1] if others else order[-1]
        order.remove(second)
        pairs.append((first, second))
    return pairs


def add_mixer(commands: Any, about: str) -> None:
    """Add the parser of `samix mixer` with its four actions."""
    parser = commands.add_parser(
        "mixer",
        help=about,
        description=_MIXER,
        epilog="'samix mixer ACTION --help' explains an action.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_train(actions)
    _add_export(actions)
    _add_inspect(actions)
    _add_list(actions)


_FIXED = (  # fields that a run for a Mixer does not choose
    "data", "view_size", "standardise", "policy", "policy_options", "freeze_mixer", "mix_epochs",
    "guard", "area_weight", "area_margin", "clean_branch",
)  # fmt: skip


def _add_train(actions: Any) -> None:
    parser = add_command(
        actions,
        "train",
        "mixer train DATA [DATA ...] [options]",
        "train one on photos without labels",
        _TRAIN,
        _TRAIN_EXAMPLES,
    )
    group = add_run(parser, PretrainConfig, demo="mixer unless another is named", without=_FIXED)
    group.add_argument(
        "data",
        help="folder, parquet folder or file, timm name, or 'demo'; one or more",
        nargs="*",
        metavar="DATA",
    )
    _add_writing(group)


def _add_export(actions: Any) -> None:
    parser = add_command(
        actions,
        "export",
        "mixer export RUN --output FOLDER [options]",
        "take one out of a finished run",
        _EXPORT,
        _EXPORT_EXAMPLES,
    )
    group = parser.add_argument_group("export")
    group.add_argument("run", help="folder of the run", metavar="RUN")
    folder = "folder to create"
    group.add_argument("--output", help=folder, required=True, metavar="FOLDER")
    _add_writing(group)


def _add_writing(group: Any) -> None:
    group.add_argument("--licence", help="licence for the card, e.g. apache-2.0", metavar="NAME")


def _add_inspect(actions: Any) -> None:
    parser = add_command(
        actions,
        "inspect",
        "mixer inspect NAME|FOLDER [options]",
        "look at one: card, checks, and a page",
        _INSPECT,
        _INSPECT_EXAMPLES,
    )
    group = parser.add_argument_group("inspect")
    name = "name of a Mixer in the package ('samix mixer list'), folder, or owner/name on the hub"
    group.add_argument("mixer", help=name, metavar="NAME|FOLDER")
    group.add_argument("--data", help="photos to mix (the built-in 'demo')", metavar="DATA")
    add_fields(group, TrainConfig, "max_megapixels")
    group.add_argument("--output", help="page to write (mixer-NAME.html)", metavar="FILE.html")
    add_fields(group, TrainConfig, "seed", seed="seed of the choice of photos (0)")


def _add_list(actions: Any) -> None:
    parser = add_command(
        actions,
        "list",
        "mixer list [FOLDER]",
        "list those in the package, and below a folder",
        "List the Mixers that come with the package, and those below FOLDER.",
        "",
    )
    group = parser.add_argument_group("list")
    group.add_argument("folder", help="where else to look", nargs="?", metavar="FOLDER")
