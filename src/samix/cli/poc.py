"""`samix poc`: from photos to a decision."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.files import sweep
from samix.training.config import RunConfig, TrainConfig, whole_path

from .options import (
    LANGUAGES,
    PHOTOS,
    add_command,
    add_fields,
    key_values,
    names_of,
    read_guard,
    spoken,
    with_table,
)
from .poc_tables import (
    print_ended,
    print_plan,
    print_room,
    print_standing,
    print_stopped,
    print_verdict,
)
from .running import create_folder, how_to_repeat, machine_words, result_folder, say

if TYPE_CHECKING:
    from samix.data import ImageSet, Splits
    from samix.study.cells import Ended, PocFolder
    from samix.study.engine import Engine
    from samix.study.wish import Wish
    from samix.training import Terminal


_BUDGET, _DEMO_BUDGET = "2h", "5m"
_DEMO_STEPS = 90  # pinned, so that two runs on one machine train the same
_DEMO_TRAINING: Mapping[str, Any] = {  # of so few steps: SGD needs twice as many
    "optimizer": "adamw", "lr": 0.004, "mixer_lr": 0.004, "weight_decay": 0.01,
}  # fmt: skip
# a question with room: few labels of many drawn parts, most of which are kept for the test
_DEMO: Mapping[str, Any] = {
    "data": "demo:views=1", "test_fraction": 0.4, "labels": ["25"],
    "policies": ["none", "mixup", "mixup-clean", "mixup-cutmix", "samix-p", "samix"],
    "escape_price": 50.0, "overkill_price": 2.0, "defect_share": 0.05, "price": 0.5,
    "currency": "EUR", "power": 60.0,
}  # fmt: skip
_PHOTOS = (
    *PHOTOS, "group_by", "duplicates", "splits", "val_fraction", "test_fraction",
)  # fmt: skip
_NETWORK = (
    *names_of(RunConfig, "network"), "image_size", "batch_size", "lr", "device", "guard",
)  # fmt: skip
_PRICES = {
    "escape_price": "escape", "overkill_price": "overkill", "defect_share": "defect_share",
    "price": "price", "currency": "currency", "power": "power",
}  # fmt: skip
_AGAIN = (
    "command", "output", "resume", "budget", "lang", "pictures", "workers", "engine", "policies",
    *_PRICES,
)  # fmt: skip
_POC = """\
Find out whether learned mixing pays on your photos, and write a report to decide by.

samix times each policy for some seconds, plans the grid of trainings that fits into --budget
(policies x learning modes x label budgets x seeds, each hand-made policy also for as long as
SAMix takes), says what that can tell and what not, trains, and judges by rules that are written
down in docs/statistics.md. A study that is stopped goes on with --resume.
"""
_EXAMPLES = """\
examples:
  samix poc demo
  samix poc photos/ --budget 90m --good ok --escape-price 200 --overkill-price 3
  samix poc photos/ --budget 2h --plan
  samix poc --resume --output runs/poc-photos
"""


_PACKAGES = ("scipy", "lightly", "kornia")  # of the extra, which workers import, too


def _check_packages() -> None:
    """Refuse to begin where the extra is missing: workers would fail one after another."""
    missing = next((name for name in _PACKAGES if find_spec(name) is None), None)
    if missing is not None:
        raise InputError(
            f"'samix poc' needs the package '{missing}', which is not installed; run pip install "
            "'samix[poc]'"
        )


def run_poc(chosen: argparse.Namespace) -> int:
    """Plan, train, judge and report, or go on with that."""
    from rich.console import Console

    from samix.training import Terminal

    begun = time.monotonic()
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    _check_packages()
    if given.get("data") == "demo":
        given = {**_DEMO, **given, "data": _DEMO["data"]}
    _check(given)
    console = Console(highlight=False)
    display = Terminal(console, spoken(given))
    try:
        if given.get("resume"):
            return _go_on(given, display, begun)
        if given.get("plan"):
            return _only_plan(given, display, begun)
        return _whole(given, display, begun)
    finally:
        display.rest()


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what would only be noticed after long work."""
    from samix.study.engine import ENGINES

    if given.get("lang", "both") not in LANGUAGES:
        raise InputError(f"--lang must be one of {', '.join(LANGUAGES)}, got '{given['lang']}'")
    if given.get("engine", "local") not in ENGINES:
        raise InputError(f"--engine must be {' or '.join(ENGINES)}, got '{given.get('engine')}'")
    if given.get("workers", 1) < 1:
        raise InputError(f"--workers must be at least 1, got {given['workers']}")
    for name in ("escape_price", "overkill_price", "price", "power"):
        if not 0 <= given.get(name, 0) < float("inf"):
            raise InputError(
                f"--{name.replace('_', '-')} must be a number of at least 0, got {given[name]}"
            )
    if not 0 < given.get("defect_share", 0.5) < 1:
        raise InputError(f"--defect-share must be in (0, 1), got {given['defect_share']}")


def _wish(given: Mapping[str, Any]) -> Wish:
    from samix.study.statistics.tables import MODES
    from samix.study.wish import FRACTIONS, POLICY_NAMES, Wish

    if "data" not in given:
        raise InputError("DATA is missing; give a folder of photos, or 'demo' for built-in ones")
    given = with_table(given, "fractions")
    data = given["data"]
    demo = data == "demo" or data.startswith("demo:")
    network = {name: given[name] for name in _NETWORK if name in given}
    if "weights" in network:
        network["weights"] = whole_path(network["weights"])
    if "model_kwargs" in network:
        network["model_kwargs"] = key_values(network["model_kwargs"], "model_kwargs")
    if "guard" in network:
        network["guard"] = read_guard(network["guard"])
    short = demo and "budget" not in given
    if short:
        network = {**_DEMO_TRAINING, **network}
    return Wish(
        data=data,
        policies=tuple(_words(given, "policies", POLICY_NAMES)),
        modes=tuple(_words(given, "modes", MODES)),
        fractions=tuple(_percent(word) for word in _words(given, "fractions", ())) or FRACTIONS,
        seeds=given.get("seeds"),
        design=given.get("design", "sequential"),
        budget=duration(given.get("budget", _DEMO_BUDGET if demo else _BUDGET)),
        steps=_DEMO_STEPS if short else None,
        good=tuple(_words(given, "good", ())),
        photos={name: given[name] for name in _PHOTOS if name in given},
        network=network,
    )


def duration(text: str) -> float:
    """Return the seconds that a text such as "90m", "1h30m" or "45s" means."""
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+)s)?", text.strip())
    parts = [float(part or 0) for part in found.groups()] if found else []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if seconds <= 0:
        raise InputError(f"--budget must be a time such as 45m, 2h or 1h30m, got '{text}'")
    return seconds


def _words(given: Mapping[str, Any], name: str, default: Sequence[str]) -> list[str]:
    if name not in given:
        return list(default)
    return [word for text in given[name] for word in str(text).split(",") if word]


def _percent(word: str) -> float:
    try:
        return float(word.removesuffix("%")) / 100
    except ValueError as error:
        raise InputError(f"--labels must be percentages such as 5 25 100, got '{word}'") from error


def _only_plan(given: Mapping[str, Any], display: Terminal, begun: float) -> int:
    """Print the plan and leave nothing behind."""
    from samix.study.plan import device_of, open_study, plan_study

    wish = _wish(given)
    with (
        tempfile.TemporaryDirectory() as trials,
        _engine(given, device_of(wish), Path(trials) / "decoded") as it,
    ):
        opened = open_study(wish, display.work)
        study = plan_study(wish, opened, it, Path(trials) / "trials", display.work, begun=begun)
    display.rest()
    print_plan(study, display.console, spoken(given))
    return 0


def _whole(given: Mapping[str, Any], display: Terminal, begun: float) -> int:
    from samix.data import write_splits
    from samix.data.beginning import write_photos
    from samix.study.cells import PocFolder, write_study
    from samix.study.plan import REPORT, device_of, open_study, plan_study

    wish = _wish(given)
    path = _new_folder(given, wish)
    folder = PocFolder(path)
    display.work("opening the photos", 0, 1)
    device = device_of(wish)
    with _created(folder), _engine(given, device, folder.decoded) as engine:
        opened = open_study(wish, display.work)
        planned = plan_study(wish, opened, engine, folder.trials, display.work, begun=begun)
        repeat = how_to_repeat("torch", "torchvision", "timm", "lightning", "numpy")
        prices = {key: given[name] for name, key in _PRICES.items() if name in given}
        study = {
            **planned, "prices": prices, **repeat, "machine": machine_words(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }  # fmt: skip
        write_splits(folder.splits, opened.images, opened.splits)
        write_photos(folder.photos, opened.images, opened.splits)
        write_study(folder, study)
        display.rest()
        print_plan(study, display.console, spoken(given))
        deadline = begun + study["plan"]["budget_seconds"] - REPORT
        photos = (opened.images, opened.splits)
        return _train(folder, study, engine, display, given, deadline=deadline, photos=photos)


def _go_on(given: Mapping[str, Any], display: Terminal, begun: float) -> int:
    from samix.study.cells import PocFolder, check_cells, read_study, write_study
    from samix.study.conclude import open_photos
    from samix.study.plan import REPORT

    if "output" not in given:
        raise InputError("--resume needs the study to go on with; give it with --output DIR")
    fixed = [name for name in given if name not in _AGAIN]
    if fixed:
        flag = "DATA" if fixed[0] == "data" else f"--{fixed[0].replace('_', '-')}"
        raise InputError(f"{flag} cannot be changed when a study goes on; leave it out")
    study = read_study(given["output"])
    folder = PocFolder(Path(given["output"]).expanduser().absolute())
    check_cells(folder, study)
    _check_code(given, study)
    budget = study["plan"]["budget_seconds"]
    if "budget" in given:
        budget = duration(given["budget"])
    device = study["train"]["device"]
    with _only(folder), _engine(given, device, folder.decoded) as engine:
        prices = {key: given[name] for name, key in _PRICES.items() if name in given}
        if prices:
            study["prices"] = {**(study.get("prices") or {}), **prices}
            write_study(folder, study)
        display.work("opening the photos", 0, 1)
        photos = open_photos(folder, study)
        deadline = begun + budget - REPORT
        return _train(folder, study, engine, display, given, deadline=deadline, photos=photos)


def _check_code(given: Mapping[str, Any], study: Mapping[str, Any]) -> None:
    """Refuse code that only the plan names, and policies that the plan does not have."""
    from samix.study.subjects import is_code, labels_of

    known = study["plan"].get("sources") or {}
    sources = labels_of(_words(given, "policies", ()))
    if strange := [s for label, s in sources.items() if known.get(label, label) != s]:
        raise InputError(f"--policies cannot be changed when a study goes on, got '{strange[0]}'")
    needed = [s for label, s in known.items() if is_code(s) and label not in sources]
    if needed:
        raise InputError(
            f"the study runs code of yours; give --policies {' '.join(needed)} again, so that "
            "nothing is run that only a file names"
        )


def _engine(given: Mapping[str, Any], device: str, scratch: Path) -> AbstractContextManager[Engine]:
    """Return the engine that is asked for; its workers begin while the photos are opened."""
    from samix.study.engine import open_engine
    from samix.study.subjects import admit, is_code, labels_of

    sources = labels_of(_words(given, "policies", ()))
    code = {label: source for label, source in sources.items() if is_code(source)}
    admit(code)  # it is run because this command names it
    return open_engine(given.get("engine", "local"), given.get("workers"), device, scratch, code)


def _new_folder(given: Mapping[str, Any], wish: Wish) -> Path:
    """Return the folder of a new study, in which perhaps another one was planned and cut off."""
    from samix.study.cells import is_unbegun

    if "output" in given and is_unbegun(path := Path(given["output"]).expanduser()):
        return path.absolute()
    name = "demo" if wish.data.startswith("demo:") else Path(wish.data).name
    return result_folder(given, f"poc-{name}").absolute()


@contextmanager
def _only(folder: PocFolder) -> Iterator[None]:
    """Keep other processes from working on a study, and sweep up what a killed one left."""
    from samix.training.lock import only_process

    with only_process(folder.path, "study"):
        for place in (folder.path, folder.pictures):
            sweep(place)
        yield


@contextmanager
def _created(folder: PocFolder) -> Iterator[None]:
    """Create the folder, and take it away again where no study came into being."""
    from samix.study.cells import is_unbegun
    from samix.training.lock import LOCK

    missing = [path for path in (folder.path, *folder.path.parents) if not path.exists()]
    create_folder(folder.path)
    try:
        with _only(folder):
            if not is_unbegun(folder.path):
                raise InputError(f"--output '{folder.path}' exists already; choose another folder")
            if folder.trials.is_dir():  # of a process that was killed
                shutil.rmtree(folder.trials)
            yield
    finally:
        if is_unbegun(folder.path):
            shutil.rmtree(folder.trials, ignore_errors=True)
            for made in (folder.splits, folder.photos, folder.path / LOCK):
                made.unlink(missing_ok=True)
            with suppress(OSError):  # of a folder that cannot be removed, such as a mounted one
                folder.path.rmdir()
                for parent in missing[1:]:
                    parent.rmdir()


def _train(
    folder: PocFolder,
    study: dict[str, Any],
    engine: Engine,
    display: Terminal,
    given: Mapping[str, Any],
    *,
    deadline: float,
    photos: tuple[ImageSet, Splits] | None = None,
) -> int:
    from samix.study.cells import StudyStoppedError
    from samix.study.conclude import found_so_far
    from samix.study.engine import run_jobs
    from samix.study.grid import first_seeds, jobs_of, must
    from samix.study.stages import stages
    from samix.training.progress import clock

    how = f"samix poc --resume --output {folder.path}"
    over: list[Ended] = []
    begun = 0  # trainings of this stage and of those before

    def planned() -> int:
        plan = study["plan"]
        least = plan["seeds"][: first_seeds(plan)]
        return max(begun, sum(job.seed in least for job in jobs_of(study)))

    def watch(done: int, count: int, left: float) -> None:
        all_ = planned()
        display.work(f"{len(over)} of {all_} trainings, {clock(left)} left", len(over), all_)

    def ended(result: Ended) -> None:
        over.append(result)
        print_ended(result, len(over), planned(), display, spoken(given))

    known = set(study.get("stopped") or {})
    try:
        for number, jobs in enumerate(stages(folder, study)):
            if number == 1:
                display.rest()
                print_room(study, display.console, spoken(given))
            known |= print_stopped(study, known, display, spoken(given))
            if number > 1:  # the first look was taken
                display.rest()
                print_standing(found_so_far(folder, study), spoken(given), display.console)
            begun += len(jobs)
            run_jobs(
                folder.path, jobs, engine, ended=ended, watch=watch, deadline=deadline,
                keep=partial(must, study["plan"]),
            )  # fmt: skip
        print_stopped(study, known, display, spoken(given))
        display.rest()
        if study["plan"].get("ended"):
            print_room(study, display.console, spoken(given))
            return 0
        return _conclude(folder, study, display, given, how, photos)
    except KeyboardInterrupt:
        display.rest()
        say(display.console, f"Interrupted; what is finished is kept. Go on with: {how}")
        raise  # so that workers end at once
    except StudyStoppedError as error:
        display.rest()
        say(display.console, f"Stopped: {error} with: {how}")
        return 1


def _conclude(
    folder: PocFolder,
    study: Mapping[str, Any],
    display: Terminal,
    given: Mapping[str, Any],
    how: str,
    photos: tuple[ImageSet, Splits] | None,
) -> int:
    """Judge and report; `how` is the command that goes on."""
    from samix.study.conclude import conclude, write_tables

    counts = write_tables(folder, study)
    if counts["finished"] == 0:
        say(display.console, f"No training has finished. Try again with: {how}")
        return 1
    if counts["missing"]:
        say(display.console, f"{counts['missing']} answers are missing, for want of time. Train "
            f"them with: {how}")  # fmt: skip
    if counts["failed"]:
        say(display.console, f"{counts['failed']} answers failed. Try them again with: {how}")
    findings = conclude(
        folder, study, display.work, lang=given.get("lang", "both"), photos=photos,
        shown=given.get("pictures", True),
    )  # fmt: skip
    display.rest()
    print_verdict(findings, folder, spoken(given), display.console)
    return 0


def add_poc(commands: Any, about: str) -> None:
    """Add the parser of `samix poc`."""
    parser = add_command(
        commands,
        "poc",
        usage="poc DATA [options]",
        about=about,
        description=_POC,
        examples=_EXAMPLES,
    )
    _add_run(parser)
    _add_grid(parser)
    photos = parser.add_argument_group("photos")
    size = "32 for photos below 100 px, else up to 128 on a CPU, 224 on a GPU"
    add_fields(
        photos,
        RunConfig,
        *(name for name in names_of(RunConfig, "data") if name != "labels"),
        image_size=f"side in pixels that the network sees ({size})",
    )
    _add_worth(parser)
    network = parser.add_argument_group("network (chosen by the size of the photos)")
    backbone = (
        "any timm model (tf_efficientnet_lite0 with its ImageNet weights; for photos below 100 px "
        "and little time a resnet18, on a CPU a narrow one of ten layers, from random weights)"
    )
    add_fields(network, RunConfig, *names_of(RunConfig, "network"), backbone=backbone)
    network.add_argument(
        "--batch-size", help="photos per step (64; 32 from weights)", type=int, metavar="N"
    )
    network.add_argument(
        "--lr", help="largest learning rate (0.1; 1e-4 from weights)", type=float, metavar="X"
    )
    _add_machine(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    data = "folder, parquet folder, timm name, or 'demo'"
    group.add_argument("data", help=data, nargs="?", metavar="DATA")
    group.add_argument(
        "--budget",
        help="wall time that it may take, such as 45m or 1h30m (2h; 5m for 'demo')",
        metavar="TIME",
    )
    group.add_argument("--plan", help="print the plan and stop", action="store_true")
    group.add_argument("--output", help="folder to create (a free name below runs/)", metavar="DIR")
    group.add_argument("--resume", help="go on with the study in --output", action="store_true")
    group.add_argument(
        "--lang",
        help="language: en, ja, or both (the report has a switch, the terminal is English)",
        metavar="LANG",
    )
    group.add_argument(
        "--pictures",
        help="photos in the report; without them it can be passed on to others (with)",
        action=argparse.BooleanOptionalAction,
    )


def _add_grid(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("grid")
    group.add_argument(
        "--policies",
        help="to compare: names, folders of Mixers, or module:name; NAME-clean learns from clean "
        "images as well, as samix does; without a learned one the last is in question (none, "
        "mixup, mixup-clean, cutmix, mixup-cutmix, samix-p, samix)",
        nargs="+",
        metavar="NAME",
    )
    group.add_argument(
        "--modes", help="supervised, self-supervised (both)", nargs="+", metavar="MODE"
    )
    group.add_argument(
        "--labels",
        help="label budgets in %% of the training photos (5 10 25 100); or a table of the labels, "
        "with the path and the label of each photo",
        nargs="+",
        metavar="X|TABLE",
    )
    group.add_argument(
        "--seeds",
        help="trainings of each kind at most (8 for close comparisons; 3 of a fixed design)",
        type=int,
        metavar="N",
    )
    group.add_argument(
        "--design",
        help="sequential: after three seeds more of what is near, or fixed: train all (sequential)",
        metavar="NAME",
    )
    add_fields(group, TrainConfig, "guard")


def _add_worth(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it is worth")
    group.add_argument(
        "--good",
        help="classes that are good parts; all others are defects, and escapes and "
        "overkill are told (one that is called good, ok, normal, free or 良品)",
        nargs="+",
        metavar="CLASS",
    )
    group.add_argument(
        "--escape-price", help="of a defect that is passed (1)", type=float, metavar="X"
    )
    group.add_argument(
        "--overkill-price", help="of a good part that is rejected (1)", type=float, metavar="X"
    )
    group.add_argument(
        "--defect-share",
        help="of the parts in production that are defective (as in the photos)",
        type=float,
        metavar="X",
    )
    group.add_argument("--price", help="of this machine for an hour", type=float, metavar="X")
    group.add_argument("--currency", help="of all prices, e.g. EUR", metavar="WORD")
    group.add_argument("--power", help="what this machine draws, in watts", type=float, metavar="X")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine")
    add_fields(group, TrainConfig, "device")
    group.add_argument(
        "--workers", help="trainings at a time (one a core; one on a GPU)", type=int, metavar="N"
    )
    group.add_argument(
        "--engine",
        help="local, or ray: on the cluster that RAY_ADDRESS names (local)",
        metavar="NAME",
    )
