"""One evaluation: its options, the division of the photos, and the protocols asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from samix.data import DuplicateUse, ImageSet, Splits, read_splits, split_together, unused_notes
from samix.data.beginning import then_notes
from samix.data.splits import read_table
from samix.errors import InputError
from samix.options import Options, option
from samix.pages.words import word
from samix.progress import Announce, Display, Silent

from .budgets import DEFAULT_BUDGETS, Budget, Draw, draw_labels, parse_budgets, spread_of
from .embeddings import (
    CALIBRATION_PHOTOS,
    PIXEL_SIZE,
    RANDOM_ENCODERS,
    Embeddings,
    Machine,
    PhotoParts,
    pixel_embeddings,
    random_embeddings,
)
from .encoder import Encoder
from .finetune import FinetuneOptions, Finetuner
from .knn import NEIGHBOURS, TEMPERATURE, knn_accuracy
from .linear import STRENGTHS, Labelled, described, linear_probe
from .metrics import ClassificationResult
from .seen import seen_by

Protocol = Literal["knn", "linear", "finetune", "all"]
Draws = Mapping[Budget, tuple[Draw, ...]]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """What is measured and how.

    Attributes:
        protocol: "knn", "linear", "finetune" or "all"; "finetune" brings the linear probe along.
        part: What kNN is measured on, "test" or "val".
        neighbours: k of kNN; the number of training photos where there are fewer.
        budgets: Label budgets of linear probe and fine-tuning.
        draws: Draws of the labels at each budget, with seeds from ``seed`` on.
        finetune: How networks are fine-tuned.
        group_by: For a new division of the data, with the following three.
        duplicates: "group" keeps near-duplicates on one side, "ignore" does not look for them.
        val_fraction: Share for validation; None is 0.15.
        test_fraction: Share for test; None is 0.2.
        seed: Seed of division, labels, heads and random encoders.
    """

    protocol: Protocol = "all"
    part: Literal["test", "val"] = "test"
    neighbours: int = option(NEIGHBOURS, least=1)
    budgets: tuple[Budget, ...] = parse_budgets(DEFAULT_BUDGETS)
    draws: int = option(3, least=1)
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    group_by: str | None = None
    duplicates: DuplicateUse = "group"
    val_fraction: float | None = None
    test_fraction: float | None = None
    seed: int = option(0, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part == "val" and self.protocol != "knn":
            raise InputError(
                "part=val is for protocol=knn alone, since the linear probe chooses its "
                f"strength on val, got protocol={self.protocol}"
            )


def evaluate(
    source: Encoder,
    data: ImageSet,
    options: EvaluateOptions | None = None,
    *,
    machine: Machine | None = None,
    progress: Display | None = None,
) -> dict[str, Any]:
    """Measure what an encoder has learned.

    Args:
        source: The encoder; its network is moved to the machine's device.
        data: Photos with labels.
        options: What is measured and how.
        machine: Device and precision; None is the CPU in single precision.
        progress: Where to show what happens; None shows nothing.

    Returns:
        What evaluation.json holds about the results: source, data, seed, knn, linear, finetune
        (what was asked for), notes and seconds. Every accuracy is a fraction.

    Raises:
        InputError: The data cannot be divided, or a budget asks for more labels than there are.
    """
    options, machine = options or EvaluateOptions(), machine or Machine()
    progress = progress or Silent()
    begin = time.monotonic()
    division = divide(
        data,
        source.splits,
        group_by=options.group_by,
        val_fraction=options.val_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
        duplicates=options.duplicates,
        announce=progress.work,
    )
    draws = _draws(data, division, options) if options.protocol != "knn" else {}
    photos = PhotoParts(
        data, division.splits, source.image_size, (source.mean, source.std), progress
    )
    notes = [*data.notes, *division.notes, *photos.notes]
    if data.skipped:
        notes.insert(0, f"{len(data.skipped)} photos that cannot be read are left out.")
    learned = len(photos.target("train"))
    if options.protocol in ("knn", "all") and options.neighbours > learned:
        notes.append(
            f"kNN has {learned} neighbours, all photos to learn from, not {options.neighbours}."
        )
    for note in notes:
        progress.say(note)
    source = replace(source, network=source.network.to(machine.device).eval())
    bench = Bench(source, photos, options, machine, progress)
    results, seconds = _run(bench, draws)
    target = photos.target(options.part)
    return {
        "source": dict(source.description),
        "data": {
            "name": data.name,
            "classes": list(data.classes),
            "photos": {part: len(dataset) for part, dataset in photos.parts.items()},
            "splits": division.origin,
            "largest_class_share": int(target.bincount().max()) / len(target),  # of guessing
        },
        "seed": options.seed,
        **results,
        "notes": notes,
        "seconds": {**seconds, "all": time.monotonic() - begin},
    }


@dataclass
class Bench:
    """What all protocols of one evaluation share."""

    encoder: Encoder  # on the machine's device
    photos: PhotoParts
    options: EvaluateOptions
    machine: Machine
    progress: Display

    def __post_init__(self) -> None:
        self.classes = self.photos.images.classes
        rest = (self.photos, self.machine, self.progress)
        self.embeddings = Embeddings(self.encoder.network, *rest, "encoder")

    def labelled(self, part: str, chosen: Sequence[int] | None = None) -> Labelled:
        """Return embeddings and classes of a part, or of some positions of it."""
        embedding, target = self.embeddings.of(part), self.photos.target(part)
        if chosen is None:
            return Labelled(embedding, target)
        at = torch.tensor(chosen)
        return Labelled(embedding[at], target[at])


def measure_knn(bench: Bench) -> dict[str, Any]:
    """Return kNN accuracy of the encoder, of random encoders and of pixels."""
    photos, part, seed = bench.photos, bench.options.part, bench.options.seed
    k = min(bench.options.neighbours, len(photos.target("train")))

    def accuracy(embeddings: Embeddings) -> tuple[float, float]:
        found = knn_accuracy(
            embeddings.of(part),
            photos.target(part),
            embeddings.of("train"),
            photos.target("train"),
            classes=len(bench.classes),
            k=k,
        )
        bench.progress.say(word("judging-knn", name=embeddings.name, accuracy=f"{found[0]:.1%}"))
        return found

    rest = (photos, bench.machine, bench.progress)
    own, balanced = accuracy(bench.embeddings)
    seeds = [seed + number for number in range(RANDOM_ENCODERS)]
    random = [
        accuracy(random_embeddings(bench.encoder, photos, s, bench.machine, bench.progress))[0]
        for s in seeds
    ]
    return {
        "accuracy": own,
        "balanced_accuracy": balanced,
        "random_encoder_accuracy": max(random),
        "random_encoder_accuracies": random,
        "random_encoder_seeds": seeds,
        "pixel_accuracy": accuracy(pixel_embeddings(*rest))[0],
        "pixel_size": min(PIXEL_SIZE, bench.encoder.image_size),
        "k": k,
        "temperature": TEMPERATURE,
        "part": part,
        "photos": {
            "reference": len(photos.target("train")),
            "judged": len(photos.target(part)),
            "calibration": min(CALIBRATION_PHOTOS, len(photos.target("train"))),
        },
    }


def measure_linear(bench: Bench, draws: Draws) -> dict[str, Any]:
    """Return the linear probe with all labels, and at each budget and draw."""
    classes, test = len(bench.classes), bench.labelled("test")
    whole = linear_probe(bench.labelled("train"), bench.labelled("val"), test, classes)
    bench.progress.say(word("judging-linear", accuracy=f"{whole.accuracy:.1%}"))
    budgets = []
    for budget, drawn in draws.items():
        results = [
            linear_probe(
                bench.labelled("train", draw.train), bench.labelled("val", draw.val), test, classes
            )
            for draw in drawn
        ]
        budgets.append(
            {
                **_budget(budget, drawn),
                "accuracy": spread_of([result.accuracy for result in results]),
                "balanced_accuracy": spread_of([result.balanced_accuracy for result in results]),
                "strengths": [result.strength for result in results],
            }
        )
    return {
        **described(whole, bench.classes),
        "strengths": list(STRENGTHS),
        "chosen_by": "highest balanced accuracy on val, cut to the budget's share of the labels",
        "photos": {part: len(bench.photos.target(part)) for part in ("train", "val", "test")},
        "budgets": budgets,
    }


def measure_finetune(bench: Bench, draws: Draws) -> dict[str, Any]:
    """Return fine-tuning at each budget and draw."""
    options = bench.options
    tuner = Finetuner(bench.encoder, bench.photos, options.finetune, bench.machine, bench.progress)
    known: dict[tuple[tuple[int, ...], int], ClassificationResult] = {}
    budgets = []
    for budget, drawn in draws.items():
        results = []
        for number, draw in enumerate(drawn):
            what = word(
                "judging-tuning", labels=budget.text, number=str(number + 1), count=str(len(drawn))
            )
            key = (draw.train, number)
            if key not in known:  # small budgets can be the same photos
                known[key] = tuner.run(draw.train, options.seed + number, what)
            results.append(known[key])
            bench.progress.say(what + f": {results[-1].top1:.1%}")
        budgets.append(
            {
                **_budget(budget, drawn),
                "steps": [options.finetune.steps(len(draw.train)) for draw in drawn],
                "accuracy": spread_of([result.top1 for result in results]),
                "balanced_accuracy": spread_of([result.balanced_accuracy for result in results]),
            }
        )
    return {
        "recipe": {**asdict(options.finetune), **asdict(tuner.recipe)},
        "chosen_by": "nothing is chosen: the last weights are judged",
        "photos": {"test": len(bench.photos.target("test"))},
        "budgets": budgets,
    }


@dataclass(frozen=True)
class Division:
    """The parts of an evaluation."""

    splits: Splits  # photos with a label, in train, val and test
    origin: str  # where they come from, in words
    notes: tuple[str, ...]  # sentences for the user


def divide(
    images: ImageSet,
    of_source: Path | None,
    *,
    group_by: str | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    duplicates: DuplicateUse = "group",
    announce: Announce | None = None,
) -> Division:
    """Divide photos as the run that is judged did, or anew; refuse what cannot be divided."""
    reused, why = (None, "") if of_source is None else _reused(images, of_source)
    given = {
        "group_by": group_by, "val_fraction": val_fraction, "test_fraction": test_fraction,
    }  # fmt: skip
    asked = [name for name, value in given.items() if value is not None]

    def seen(splits: Splits) -> tuple[str, ...]:
        return () if of_source is None else _seen(images, splits.test, of_source)

    if reused is not None:
        unused: tuple[str, ...] = ()
        if asked:
            named = ", ".join(f"`{name}`" for name in asked)
            unused = (f"The splits are those of the run; without effect: {named}.",)
        told = () if of_source is None else then_notes(of_source, images)
        notes = (*unused, *unused_notes(images, reused, str(of_source)), *told, *seen(reused))
        return Division(reused, f"those of '{of_source}'", notes)
    splits, kept = split_together(
        images,
        group_by=group_by,
        use=duplicates,
        announce=announce,
        val_fraction=0.15 if val_fraction is None else val_fraction,
        test_fraction=0.2 if test_fraction is None else test_fraction,
        seed=seed,
    )
    splits = _labelled(images, splits)
    notes = tuple(note for note in (why, *seen(splits), *kept) if note)
    return Division(splits, f"made with seed {seed}", notes)


def _run(bench: Bench, draws: Draws) -> tuple[dict[str, Any], dict[str, float]]:
    protocol = bench.options.protocol
    todo: dict[str, Callable[[], dict[str, Any]]] = {}
    if protocol in ("knn", "all"):
        todo["knn"] = lambda: measure_knn(bench)
    if protocol != "knn":
        todo["linear"] = lambda: measure_linear(bench, draws)
    if protocol in ("finetune", "all"):
        todo["finetune"] = lambda: measure_finetune(bench, draws)
    results, seconds = {}, {}
    for name, measure in todo.items():
        begin = time.monotonic()
        results[name] = measure()
        seconds[name] = time.monotonic() - begin
    return results, seconds


def _draws(
    data: ImageSet, division: Division, options: EvaluateOptions
) -> dict[Budget, tuple[Draw, ...]]:
    """Return the labels of each budget and draw; a budget that is too large is refused here."""
    seeds = range(options.seed, options.seed + options.draws)
    drawn = {
        budget: tuple(draw_labels(data, division.splits, budget, seed) for seed in seeds)
        for budget in options.budgets
    }
    return dict(sorted(drawn.items(), key=lambda item: len(item[1][0].train)))


def _budget(budget: Budget, drawn: Sequence[Draw]) -> dict[str, Any]:
    return {
        "labels": budget.text,
        "photos": [len(draw.train) for draw in drawn],
        "val_photos": [len(draw.val) for draw in drawn],
    }


def _reused(images: ImageSet, path: Path) -> tuple[Splits | None, str]:
    """Return the labelled photos of a run's splits, or None and why they cannot be used."""
    if {row["path"] for row in read_table(path, ("path", "split"))} != set(images.keys):
        return None, ""
    splits = _labelled(images, read_splits(path, images))
    for side in ("train", "val", "test"):
        present = {images.targets[i] for i in getattr(splits, side)}
        lacking = [name for target, name in enumerate(images.classes) if target not in present]
        if lacking:
            return None, (
                f"The splits of the run are not used: their {side} part has no photo of class "
                f"'{lacking[0]}'."
            )
    return splits, ""


def _seen(images: ImageSet, test: Sequence[int], path: Path) -> tuple[str, ...]:
    """Return a warning where the run, or one that it began from, learned from test photos."""
    seen = seen_by(path.parent, images)
    if not seen.of(test):
        return (f"Warning: {seen.unknown()}",) if seen.gone else ()
    return (f"Warning: {seen.sentence(test)}",)


def _labelled(images: ImageSet, splits: Splits) -> Splits:
    def kept(part: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i for i in part if images.targets[i] >= 0)

    return replace(splits, train=kept(splits.train), val=kept(splits.val), test=kept(splits.test))
