"""One evaluation: division of the photos, label budgets, and the protocols asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from samix.data import ImageSet

from .budgets import Budget, Draw, draw_labels
from .embeddings import Machine, Photos
from .measures import Bench, Draws, measure_finetune, measure_knn, measure_linear
from .options import EvaluateOptions
from .parts import Division, divide
from .progress import Progress, Quiet
from .source import Encoder


def evaluate(
    source: Encoder,
    data: ImageSet,
    options: EvaluateOptions | None = None,
    *,
    machine: Machine | None = None,
    progress: Progress | None = None,
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
    progress = progress or Quiet()
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
    photos = Photos(data, division.splits, source.image_size, (source.mean, source.std), progress)
    notes = (*_skipped(data), *division.notes, *photos.notes)
    for note in notes:
        progress.say(note)
    source = replace(source, network=source.network.to(machine.device).eval())
    bench = Bench(source, photos, options, machine, progress)
    results, seconds = _run(bench, draws)
    return {
        "source": dict(source.description),
        "data": {
            "name": data.name,
            "classes": list(data.classes),
            "photos": {part: len(dataset) for part, dataset in photos.parts.items()},
            "splits": division.origin,
            "largest_class_share": _largest_share(photos, options.part),
        },
        "seed": options.seed,
        **results,
        "notes": list(notes),
        "seconds": {**seconds, "all": time.monotonic() - begin},
    }


def _run(bench: Bench, draws: Draws) -> tuple[dict[str, Any], dict[str, float]]:
    """Run what is asked for; return the results and the seconds of each protocol."""
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


def _largest_share(photos: Photos, part: str) -> float:
    """Return the share of a part's most frequent class: what guessing it would reach."""
    target = photos.target(part)
    return int(target.bincount().max()) / len(target)


def _skipped(data: ImageSet) -> tuple[str, ...]:
    return (
        (f"{len(data.skipped)} photos that cannot be read are left out.",) if data.skipped else ()
    )
