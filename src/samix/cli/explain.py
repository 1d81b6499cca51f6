"""`samix explain`: from a run to a page that shows what it has learned."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.training.config import TrainConfig

from .options import PHOTOS, add_command, add_fields, add_language, page_language, spoken
from .running import (
    chosen_machine,
    create_folder,
    how_to_repeat,
    photo_options,
    result_folder,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from samix.explain import ExplainOptions, RunNetwork, RunPhotos
    from samix.explain.results import Explanation
    from samix.pages.words import Text, Words


_SHOWN = ("part", "photos", "pairs", "seed")
_PACKAGES = ("torch", "timm", "captum", "scikit-learn")
_EXPLAIN = """\
Show what a run has learned, on test photos that it has never seen: where the network
looks, how the Mixer's masks follow it, the map of the representation with the way of a
mix from one photo to another, the real photos nearest to mixes, the most and least
confident mixes, and what is taken for what.

RUN is the folder of a finished 'samix train', or of 'samix pretrain' (without the parts
that need classes). One page explain.html, and explain.json.
"""
_EXAMPLES = """\
examples:
  samix explain runs/photos-samix
  samix explain runs/photos-samix --data /new/place/of/photos --output explained
  samix explain runs/photos-moco-samix --pairs 10 --seed 1
"""


def run_explain(chosen: argparse.Namespace) -> int:
    """Explain a run, write the page and explain.json, and print a few lines."""
    from rich.console import Console

    from samix.explain import ExplainOptions, explain, open_network, open_photos
    from samix.explain.page import explanation_record, write_explanation
    from samix.training import Terminal
    from samix.training.run_folder import write_json

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    language = page_language(given)
    options = ExplainOptions(**{name: given[name] for name in _SHOWN if name in given})
    machine = chosen_machine({k: v for k, v in given.items() if k == "device"})
    subject, source = open_network(given["run"])
    output = result_folder(given, f"explain-{subject.name}")
    console = Console(highlight=False)
    display = Terminal(console, spoken(given))
    before = set(output.iterdir()) if output.is_dir() else None
    try:
        photos = open_photos(
            subject,
            source,
            data=given.get("data"),
            **photo_options(given),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
        create_folder(output)
        display.say(_opening(subject, photos, options, output))
        whole = explain(subject.to(machine.device), photos, options, progress=display)
        display.work("drawing", 0, 1)
        facts = _facts(subject, photos, options)
        write_explanation(output, whole, facts=facts, language=language)
        write_json(
            output / "explain.json",
            {
                **how_to_repeat(*_PACKAGES),
                "run": dict(subject.description),
                "data": photos.images.name,
                "seed": options.seed,
                **explanation_record(whole),
            },
        )
    except BaseException:
        _clear(output, made_here=before is None)
        raise
    finally:
        display.rest()
    _print(whole, output, console, spoken(given))
    return 0


def _clear(output: Path, *, made_here: bool) -> None:
    """Take away what was written: the folder was new or empty."""
    if not output.is_dir():
        return
    for file in output.iterdir():
        if file.is_file():
            file.unlink()
    if made_here:
        with suppress(OSError):
            output.rmdir()


def _opening(
    subject: RunNetwork, photos: RunPhotos, options: ExplainOptions, output: Path
) -> Words:
    from samix.pages.words import word

    made, count = subject.description, len(photos.parts[options.part])
    looked = word("see-photos-all", count=f"{count:,}", part=word(f"part-{options.part}"))
    return word(
        "see-begin", run=subject.name, backbone=str(made["backbone"]), policy=str(made["policy"]),
        photos=looked, output=str(output),
    )  # fmt: skip


def _facts(
    subject: RunNetwork, photos: RunPhotos, options: ExplainOptions
) -> list[tuple[Text, Text]]:
    from samix.pages.words import word

    made: Mapping[str, Any] = subject.description
    method = made["method"]
    return [
        (word("see-run"), str(made["run"])),
        (word("see-network"), f"{made['backbone']}, {made['image_size']} px"),
        (word("see-method"), word("mode-supervised") if method == "supervised" else str(method)),
        (word("col-policy"), str(made["policy"])),
        (word("mixes-data"), photos.images.name),
        (word("see-part"), word(f"part-{options.part}")),
        (word("seed"), str(options.seed)),
    ]


def _print(whole: Explanation, output: Path, console: Console, lang: str) -> None:
    from samix.explain.figures import follow_sentence
    from samix.explain.page import PAGE, lead_of, near_sentence
    from samix.pages.words import percent, rounded, word

    console.print()
    lines = lead_of(whole)
    for one in whole.inside:
        name = one.name or word("see-no-class")
        if one.photos:
            told = {"share": rounded(one.share), "area": percent(one.area)}
            lines.append(word("see-heat-in", name=name, photos=one.photos, **told))
            if one.cold:
                lines.append(word("see-heat-cold", name=name, cold=one.cold))
        else:
            lines.append(word("see-heat-none", name=name, photos=one.cold))
    if whole.mixer.follows:
        lines.append(follow_sentence(whole.mixer))
    if whole.near is not None:
        lines.append(near_sentence(whole.near))
    lines.append(word("saved-page", path=str(output / PAGE)))
    lines.append(word("saved-numbers", path=str(output / "explain.json")))
    for line in lines:
        tell(console, line, lang)


def add_explain(commands: Any, about: str) -> None:
    """Add the parser of `samix explain`."""
    parser = add_command(
        commands,
        "explain",
        usage="explain RUN [options]",
        about=about,
        description=_EXPLAIN,
        examples=_EXAMPLES,
    )
    group = parser.add_argument_group("run")
    group.add_argument("run", help="folder of a finished run", metavar="RUN")
    group.add_argument(
        "--policy", help="the run's policy, where it is one of your own", metavar="MODULE:NAME"
    )
    group.add_argument("--output", help="folder to create (a free name below runs/)", metavar="DIR")
    add_language(group)
    add_fields(group, TrainConfig, "device")
    group = parser.add_argument_group("photos")
    group.add_argument(
        "--data", help="where the run's photos are (where they were)", metavar="DATA"
    )
    add_fields(group, TrainConfig, *PHOTOS)
    part = "part of the run's photos that is explained: test, val or train (test)"
    group.add_argument("--part", help=part, metavar="PART")
    group = parser.add_argument_group("what is shown")
    photos = "photos of each class that are right, and as many that are wrong (2)"
    group.add_argument("--photos", help=photos, type=int, metavar="N")
    group.add_argument("--pairs", help="mixes in each part (6)", type=int, metavar="N")
    add_fields(group, TrainConfig, "seed", seed="seed of the choice of photos and pairs (0)")
