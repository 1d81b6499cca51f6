"""What commands have in common: runs and their summaries, machine, folders, how to repeat."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix._version import __version__
from samix.errors import InputError
from samix.files import file_word, free_path, write_text
from samix.shown import flag_of, flagged, shown
from samix.stopping import exit_code
from samix.training.config import FROZEN, RunConfig, TrainConfig, whole_path

from .options import key_values, names_of, read_guard

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from samix.data import ImageSet
    from samix.evaluation import Machine
    from samix.pages.parts import Table
    from samix.pages.words import Words
    from samix.training import Display, TrainResult

    Start = Callable[[Mapping[str, Any], Display], TrainResult]
    Show = Callable[[TrainResult, Console], None]


_MACHINE = ("device", "workers")  # may differ when a run is resumed
_PATHS = ("data", "init", "labels", "splits", "weights")  # are recorded as absolute ones
_POLICY_FLAGS = ("alpha", "p")
_PAIRS = ("model_kwargs", "policy_options", "method_options")
_SHOWN_CLASSES = 12
_NO_TEST = (
    "A final model has no test figure of its own: it has learned from the test photos. The val "
    "photos chose its epoch, so that they flatter it a little."
)
_COMPUTES = ("device", "precision")
_DATA = {
    "data_root": "root", "download": "download", "skip_corrupt": "skip_corrupt",
    "max_megapixels": "max_megapixels", "labels": "labels", "label_column": "label_column",
}  # fmt: skip


def run_or_resume(chosen: argparse.Namespace, start: Start, show: Show) -> int:
    """Start a run or go on with one, and print a summary.

    Returns 0, 1 when the loss diverged or a process died, 128 and the number of the signal when the
    run was stopped by one.
    """
    from rich.console import Console

    from samix.training import Terminal, TrainingDivergedError, WorkerDiedError, resume

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    resuming = bool(given.pop("resume", False)) and not _is_to_begin(given)
    console = Console(highlight=False)
    display = Terminal(console)
    try:
        if resuming:
            result = resume(check_resumed(given, chosen.command), display=display)
        else:
            result = start(given, display)
    except (TrainingDivergedError, WorkerDiedError) as error:
        told = flagged(str(error), {*TrainConfig.names(), "resume"})
        print(f"samix: {shown(told)}", file=sys.stderr)
        return 1
    finally:
        display.rest()
    if result.status != "worker":
        show(result, console)
    return 0 if result.stopped_by is None else exit_code(result.stopped_by)


def options_over_preset(
    given: Mapping[str, Any], command: str, *, demo: str, inherited: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return settings: what was given, over what is inherited, over those of the preset."""
    from samix.networks import backbone_of
    from samix.presets import TUNE

    if "data" not in given:
        raise InputError("DATA is missing; give a folder of photos, or 'demo' for built-in ones")
    options = {**(inherited or {}), **parsed(given)}
    if "weights" in options and (told := backbone_of(options["weights"])) is not None:
        options.setdefault("backbone", told)
    if options.get("policy") == FROZEN:  # presets are about training
        return {**options, "preset": None}
    name = options.get("preset") or (demo if _is_demo(options["data"]) else None)
    if name is None and command == "train" and _has_trained_start(options):
        name = TUNE
    preset = _fitting(name, command, options) if name else {}
    for key in _PAIRS:
        if key in options and key not in (inherited or {}):
            options[key] = {**preset.get(key, {}), **options[key]}
    shrink = "batch_size" not in options
    return {**preset, **options, "preset": name, "shrink_batch": shrink}


def _fitting(name: str, command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a preset without those that mean nothing beside what was given."""
    from samix.presets import TUNE, load_preset

    preset = load_preset(name, command)
    if "weights" in options:
        preset.pop("pretrained", None)
    if options.get("pretrained") or "weights" in options:
        preset.pop("weights", None)
        if name == TUNE:
            preset.pop("backbone", None)
    # settings for another model, policy, method, size or length than the preset's are left out
    if "image_size" in options:
        preset.pop("fit_size", None)
    if "epochs" in options:
        preset.pop("steps", None)
    if "epochs" in options or "steps" in options:
        preset.pop("fit_steps", None)
    for chosen, settings in (
        ("backbone", "model_kwargs"), ("policy", "policy_options"), ("method", "method_options"),
        ("image_size", "view_size"),
    ):  # fmt: skip
        if options.get(chosen, preset.get(chosen)) != preset.get(chosen):
            preset.pop(settings, None)
    return preset


def _has_trained_start(options: Mapping[str, Any]) -> bool:
    """Say whether training begins with trained weights: those that are named, or those at hand."""
    from samix.networks import is_pretrained_mixer, trained_start
    from samix.policies import POLICIES

    if "init" in options:
        return False
    start, policy = trained_start(options), options.get("policy", "none")
    another = policy not in POLICIES and not is_pretrained_mixer(policy)  # a run, of its network
    return start == "named" or (start == "at-hand" and not another)


Idle = Sequence[tuple[Sequence[str], str]]  # options that mean nothing, and why
_FRACTIONS = ("val_fraction", "test_fraction")
_OF_A_MIXER = (
    "cost", "eta", "area_weight", "area_margin", "mixer_lr", "mixer_weight_decay", "teacher",
)  # fmt: skip
_FLAGS = {"budgets": "--labels"}  # of options that are not called as their flag is
_OF_MIXES = ("mix_epochs", "pairing", "decoupled")


def begin_with(
    config_from: Callable[[Mapping[str, Any]], Any], run: Callable[..., TrainResult]
) -> Start:
    """Return what starts a run from the options that were given, once it has said the idle ones."""

    def start(given: Mapping[str, Any], display: Display) -> TrainResult:
        config = config_from(given)
        say_idle(idle_of(given, config), given, display)
        return run(config, display=display)

    return start


def say_idle(idle: Idle, given: Mapping[str, Any], display: Display) -> None:
    """Say which options that were given mean nothing beside the others."""
    for names, why in idle:
        if flags := ", ".join(_FLAGS.get(n) or flag_of(n) for n in names if n in given):
            display.say(f"Without effect: {flags}, as {why}.")


def idle_of(given: Mapping[str, Any], config: RunConfig) -> Idle:
    """Return which options of a run mean nothing beside what was given, and why."""
    from samix.data.timm_names import PREFIXES
    from samix.policies import POLICIES, policy_options

    name = config.policy
    plain = name in POLICIES and "channels" not in policy_options(name)
    frozen, named = name == FROZEN, any(f"{kind}/" in config.data for kind in PREFIXES)
    return (
        (_FRACTIONS if config.splits else (), "the parts are those of --splits"),
        (_OF_A_MIXER if plain or frozen else (), f"no Mixer learns with policy '{name}'"),
        (_OF_MIXES if name == "none" else (), "nothing is mixed with policy 'none'"),
        (names_of(TrainConfig, "training") if frozen else (), "the frozen network learns nothing"),
        (() if named else ("data_root", "download"), "DATA is no timm name"),
        (("epochs",) if "steps" in given else (), "--steps says how long the run is"),
    )


def parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with KEY=VALUE words read and alpha and p put to the policy's options."""
    options = dict(given)
    for key in _PAIRS:
        if key in options:
            options[key] = key_values(options[key], key)
    if "guard" in options:
        options["guard"] = read_guard(options["guard"])
    if isinstance(how := options.get("clean_branch"), str) and "=" in how:
        options["clean_branch"] = key_values(how.split(","), "clean_branch")
    policy = {name: options.pop(name) for name in _POLICY_FLAGS if name in options}
    for name in policy.keys() & options.get("policy_options", {}).keys():
        raise InputError(f"{flag_of(name)} stands among --policy-options, too; leave one out")
    if policy:
        options["policy_options"] = {**options.get("policy_options", {}), **policy}
    return options


def check_resumed(given: Mapping[str, Any], command: str) -> str:
    """Return the run folder to resume; options may not contradict what the run does."""
    from samix.training import open_run, read_config

    if "output" not in given:
        raise InputError("--resume needs the run folder to go on with; give it with --output RUN")
    config = read_config(open_run(given["output"]))
    if config.command != command:
        raise InputError(
            f"'{given['output']}' is a run of samix {config.command}; go on with it by: samix "
            f"{config.command} --resume --output {given['output']}"
        )
    recorded = config.to_dict()
    for name, wish in parsed(given).items():
        if name in ("output", *_MACHINE):
            continue
        value, there = whole_path(wish) if name in _PATHS else wish, recorded.get(name)
        if name == "policy" and whole_path(wish) == config.mixer_from:
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            there = {key: there.get(key) for key in value}
        if value != there:
            flag = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise InputError(
                f"{flag} {value} contradicts the run in '{given['output']}', which has {there}; "
                "leave it out to resume, or start a new run"
            )
    return str(given["output"])


def _is_to_begin(given: Mapping[str, Any]) -> bool:
    """Say whether the run that is to go on has not begun yet, and all is there to begin it."""
    from samix.training.run_folder import is_unbegun

    if "data" not in given or "output" not in given:
        return False
    path = Path(given["output"]).expanduser()
    return not path.exists() or is_unbegun(path)


def _is_demo(data: str) -> bool:
    return data == "demo" or data.startswith("demo:")


def print_summary(result: TrainResult, console: Console) -> None:
    """Print what a run reached, what it cost, and where to look."""
    metrics = result.metrics
    console.print()
    if metrics is None:
        console.print("Stopped before the first epoch was full: there is nothing to judge yet.")
    else:
        _print_metrics(metrics, console)
    if result.status == "interrupted":
        say(console, f"Interrupted. Go on with: samix train --resume --output {result.run.path}")
    if metrics is not None:
        if metrics["epochs"]["planned"]:
            say(console, f"Mixes to look at: {result.run.mixes}")
        say(console, f"Page:             {result.run.page}")
        say(console, f"All numbers:      {result.run.metrics}")
        if result.status != "interrupted":
            run = shlex.quote(str(result.run.path))
            say(console, f"To classify more: samix predict {run} PHOTOS")


def _print_metrics(metrics: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    from samix.training.callbacks import guard_line

    part = "val" if metrics["test"] is None else "test"
    chosen, shown = metrics["checkpoint"], metrics[part]
    photos = next(iter(shown.values()))["photos"]
    model = f"weights of epoch {chosen['epoch']}," if metrics["epochs"]["planned"] else "classifier"
    say(console, f"{part.capitalize()}: {photos} photos; {model} chosen on validation photos")
    if part == "val":
        say(console, _NO_TEST)
    table = Table()
    for heading in ("", "top-1", "balanced accuracy", "NLL", "ECE"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, judged in shown.items():
        table.add_row(
            name,
            f"{judged['top1']:.1%}",
            f"{judged['balanced_accuracy']:.1%}",
            f"{judged['nll']:.3f}",
            f"{judged['ece']:.3f}",
        )
    console.print(table)
    say(console, _class_line(shown["encoder"]["recall"], ("Recall", "Lowest recall")))
    if areas := shown["encoder"].get("auc"):  # runs of earlier versions have none
        say(console, _class_line(areas, ("AUC against the others", "Lowest AUC")))
    say(console, cost_line(metrics))
    if "probe" in metrics:
        say(console, probe_line(metrics))
    if metrics["guard"] is not None:
        say(console, guard_line(metrics["guard"]))
    if metrics["mixer"] is not None:
        say(console, mixer_line(metrics["mixer"]))


def _class_line(values: dict[str, float | None], words: tuple[str, str]) -> str:
    """Return a measure of each class; the lowest where there are many."""
    word, known = words[0], [(name, value) for name, value in values.items() if value is not None]
    if len(known) > _SHOWN_CLASSES:
        word, known = words[1], sorted(known, key=lambda pair: pair[1])[:_SHOWN_CLASSES]
    return f"{word}: {', '.join(f'{name} {value:.0%}' for name, value in known)}"


def cost_line(metrics: dict[str, Any]) -> str:
    """Return how long a run took and how fast it was."""
    from samix.training.progress import clock

    cost, epochs = metrics["cost"], metrics["epochs"]
    if not epochs["planned"]:
        new = cost["features_computed"]  # of photos and of their mirror images
        took = f"{new:,} features {clock(cost['feature_seconds'])}, any others were kept"
        return (
            f"{clock(cost['seconds'])} on {cost['device']}: the head took "
            f"{clock(cost['head_seconds'])}, "
            f"{took if new else 'the features were all kept'} from an earlier run."
        )
    return (
        f"{epochs['done']} of {epochs['planned']} epochs in {clock(cost['seconds'])}, "
        f"{cost['images_per_second']:,.0f} images/s on {cost['device']}, "
        f"{cost.get('waiting_share', 0.0):.0%} of the training time waiting for photos."
    )


def probe_line(metrics: dict[str, Any]) -> str:
    """Return whether learning all weights was worth it, beside the frozen network with its head."""
    before, after = metrics["probe"]["val"], metrics["val"]["encoder"]
    numbers = (
        f"balanced accuracy on val {before['balanced_accuracy']:.1%} for the linear head on the "
        f"network as it was, {after['balanced_accuracy']:.1%} after learning all weights"
    )
    if metrics["probe"]["better_on_val"]:
        return f"Learning all weights DID NOT PAY: {numbers}. Take --policy frozen."
    return f"All weights were learned: {numbers}."


def mixer_line(mixer: dict[str, Any]) -> str:
    """Return whether the Mixer lived."""
    end = mixer["at_end"]
    numbers = (
        f"masks vary by {end['mask_deviation']:.2f}, areas follow lam by "
        f"{end['area_lam_correlation']:.2f} at the end"
    )
    if not mixer["came_alive"]:
        return (
            f"The Mixer NEVER CAME ALIVE ({numbers}): this run says nothing about SAMix, only "
            "about a costly mixup."
        )
    if not mixer["alive_at_end"]:
        return (
            f"The Mixer was alive in epoch {mixer['first_alive_epoch']} but IS NOT AT THE END "
            f"({numbers}): what was learned last is a costly mixup."
        )
    return f"The Mixer is alive, since epoch {mixer['alive_since_epoch']} ({numbers})."


def say(console: Console, text: str) -> None:
    """Print a sentence, as wide as the terminal; names in it cannot do more than be read."""
    from samix.training.progress import print_sentence

    print_sentence(console, text)


def say_lines(console: Console, text: str) -> None:
    """Print a text of several lines, as :func:`say` prints one."""
    for line in text.split("\n"):
        say(console, line)


def tell(console: Console, words: Words, lang: str) -> None:
    """Print a sentence in one language, as :func:`say` prints one."""
    say(console, words.ja if lang == "ja" else words.en)


def print_table(console: Console, table: Table, lang: str) -> None:
    """Print a table of a page in one language, without its title and caption."""
    from rich.table import Table as Lines

    from samix.pages.words import both

    lines = Lines()
    for place, name in enumerate(table.header):
        words = table.words is None or place in table.words
        lines.add_column(getattr(both(name), lang), justify="left" if words else "right")
    for row in table.rows:
        lines.add_row(*(cell(getattr(both(one), lang)) for one in row))
    console.print(lines)


def cell(text: str) -> Text:
    """Return a text for a table, in which nothing is obeyed: no markup, no control character."""
    from rich.text import Text

    return Text(shown(text))


def photo_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how photos are opened, as arguments of :func:`samix.data.open_images`."""
    return {to: given[name] for name, to in _DATA.items() if name in given}


def chosen_machine(given: Mapping[str, Any]) -> Machine:
    """Return device and precision, checked as those of a run."""
    from samix.evaluation import Machine
    from samix.training.machine import AUTOCAST, choose_device, choose_precision

    wanted = {"precision": "32", **{name: given[name] for name in _COMPUTES if name in given}}
    config = TrainConfig(data=given.get("data", "demo"), **wanted)
    device = choose_device(config)
    return Machine(device, AUTOCAST[choose_precision(config, device)])


def how_to_repeat(*packages: str) -> dict[str, Any]:
    """Return the command that runs and the versions of what it uses."""
    versions = {"python": platform.python_version(), "samix": __version__}
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {**versions, **{package: version(package) for package in packages}},
    }


def machine_words() -> str:
    """Return what this machine is, in one line."""
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{gpu}"


def result_folder(given: Mapping[str, Any], name: str) -> Path:
    """Return the folder that the results go into; a given one must be new or empty."""
    if "output" not in given:
        return free_path(Path("runs"), file_word(name))
    path = Path(given["output"]).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"--output '{path}' exists already; choose another folder")
    return path


@contextmanager
def writing(flag: str, path: Path, what: str = "file") -> Iterator[None]:
    """Tell in a sentence where what an option names cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{flag} '{path}' cannot be written ({error.strerror}); choose another {what}"
        ) from error


def new_file(given: Mapping[str, Any], name: str) -> Path:
    """Return the file that an option names, whose folder is made; it must not be there yet."""
    path = Path(given[name]).expanduser()
    if path.exists():
        raise InputError(f"--{name} '{path}' exists already; choose another file")
    with writing(f"--{name}", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def open_shown(given: Mapping[str, Any], display: Display, usual: str = "demo") -> ImageSet:
    """Open the photos that an option names, labelled or not, with a bar."""
    from samix.data import open_images

    return open_images(
        given.get("data", usual),
        need_labels=False,
        **photo_options(given),
        progress=lambda done, total: display.work("checking photos", done, total),
    )


def create_folder(path: Path) -> None:
    """Create the folder and see that it can be written, before long work begins."""
    with writing("--output", path, "folder"):
        path.mkdir(parents=True, exist_ok=True)
        write_text(path / ".writable", "")
        (path / ".writable").unlink()
