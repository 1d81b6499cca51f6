"""evaluation.html: what an encoder has learned, beside what is there without learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from samix.pages.charts import (
    BOTTOM,
    LEFT,
    LINE,
    RIGHT,
    TOP,
    AxisScale,
    Panel,
    Style,
    axis_of,
    framed,
)
from samix.pages.panels import Bar, bar_panel
from samix.pages.parts import Chart, Language, Part, Points, Section, Table, write_page
from samix.pages.words import Text, Words, both, commas, in_lines, percent, word

_ENCODER, _FINETUNE, _BASELINE = "#0072B2", "#D55E00", "#9a9a9a"
_CURVES = {"finetune": Style(_FINETUNE, "circle"), "linear": Style(_ENCODER, "square")}
_APART = 34.0  # units between two names on an axis


def write_evaluation(
    path: str | Path, record: Mapping[str, Any], *, name: str, language: Language = "en"
) -> None:
    """Write the page of an evaluation."""
    facts: list[tuple[Text, Text]] = [
        (word("mixes-data"), str(record["data"]["source"])),
        (word("seed"), str(record["seed"])),
        (word("judge-machine"), str(record["device"])),
    ]
    parts: list[Part] = [*evaluation_charts(record), score_table(record)]
    if record["notes"]:
        parts.append(Points(record["notes"], word("notes")))
    write_page(
        path, word("judge-page", encoder=name, data=str(record["data"]["name"])),
        [Section(word("judge-numbers"), "", parts)], lead=in_lines(lead_of(record)), facts=facts,
        language=language,
    )  # fmt: skip


def lead_of(record: Mapping[str, Any]) -> list[Words]:
    """Return what a hurried reader must see, line by line."""
    photos = {side: f"{number:,}" for side, number in record["data"]["photos"].items()}
    lines = [word("judge-photos", **{side: photos[side] for side in ("train", "val", "test")})]
    told = [word("judge-told", name=bar.name, score=bar.end) for bar in _bars(record)]
    return [*lines, word("judge-best", told=commas(told))] if told else lines


def evaluation_charts(record: Mapping[str, Any]) -> list[Chart]:
    """Return bars of all labels and curves over few labels, as far as they were measured."""
    guess = float(record["data"]["largest_class_share"])
    part = word(f"part-{record.get('knn', {}).get('part', 'test')}")
    charts = []
    if bars := _bars(record):
        axis = word("axis-accuracy-of", part=part)
        panel = bar_panel(bars, axis, most=10.0, reference=100 * guess)
        reading = word("judge-all-read", part=part, guess=percent(guess))
        charts.append(Chart("all", word("judge-all"), reading, [panel]))
    curves = {key: record[key]["budgets"] for key in _CURVES if record.get(key, {}).get("budgets")}
    if curves:
        axis = word("axis-accuracy-of", part=word("part-test"))
        legend: list[tuple[Text, Style]] = [(word(f"judge-{key}"), _CURVES[key]) for key in curves]
        reading = word("judge-few-read", guess=percent(guess))
        panel = _curves_panel(curves, axis, 100 * guess)
        charts.append(Chart("few", word("judge-few"), reading, [panel], legend))
    return charts


def _bars(record: Mapping[str, Any]) -> list[Bar]:
    bars = []
    if "linear" in record:
        bars.append(_bar(word("judge-linear"), record["linear"]["accuracy"], _ENCODER))
    if "knn" in record:
        knn = record["knn"]
        random = knn["random_encoder_accuracies"]
        best = word("judge-random", count=len(random))
        bars += [
            _bar(word("judge-knn"), knn["accuracy"], _ENCODER, word("judge-k", k=knn["k"])),
            _bar(best, max(random), _BASELINE, dots=random),
            _bar(word("judge-pixels"), knn["pixel_accuracy"], _BASELINE),
        ]
    return bars


def _bar(
    name: Words, share: float, colour: str, note: Text = "", dots: Sequence[float] = ()
) -> Bar:
    return Bar(name, 100 * share, percent(share), colour, note, dots=[100 * one for one in dots])


def _curves_panel(curves: Mapping[str, Any], axis: Words, guess: float) -> Panel:
    """Return accuracy over labels: the mean as a line, each draw as a dot."""
    rows = {key: [(_photos(b), b) for b in budgets] for key, budgets in curves.items()}
    every = [100 * v for line in rows.values() for _, b in line for v in b["accuracy"]["values"]]
    counts = sorted({photos for line in rows.values() for photos, _ in line})
    y = axis_of([0.0, guess, *every], BOTTOM, TOP, most=(0.0, 100.0))
    x = AxisScale(counts[0] / 1.3, counts[-1] * 1.3, LEFT, RIGHT, log=True)
    # a name that would lie over the one before is left out
    shown = [counts[0]]
    for count in counts[1:]:
        if x(count) - x(shown[-1]) >= _APART:
            shown.append(count)
    names = [f"{count:,.0f}" if count in shown else "" for count in counts]
    panel = framed(x, y, word("axis-labels"), axis, values=(counts, None), names=names)
    panel.line([(LEFT, y(guess)), (RIGHT, y(guess))], LINE, dash="4 3")
    for key, line in rows.items():
        style = _CURVES[key]
        places = [(x(photos), y(100 * b["accuracy"]["mean"])) for photos, b in line]
        panel.line(places, style.colour, width=1.8)
        for photos, b in line:
            points = [(x(photos), y(100 * value)) for value in b["accuracy"]["values"]]
            panel.dots(points, style.colour, 2.0, 0.6)
        for place, (_, b) in zip(places, line, strict=True):
            told = word(f"judge-{key}") + f", {b['labels']}: {percent(b['accuracy']['mean'])}"
            panel.put(*place, style, told, 4.6)
    return panel


def _photos(budget: Mapping[str, Any]) -> float:
    return float(sum(budget["photos"]) / len(budget["photos"]))


def score_table(record: Mapping[str, Any]) -> Table:
    """Return protocol, labels, accuracy and balanced accuracy, a row for each measurement."""
    everything = word("judge-budget-all")
    rows: list[list[Text]] = []
    if "knn" in record:
        knn = record["knn"]
        name = word("judge-knn")
        if knn["part"] != "test":
            name = word("judge-knn-on", part=word(f"part-{knn['part']}"))
        random = word("judge-random", count=len(knn["random_encoder_accuracies"]))
        rows += [
            [name, everything, percent(knn["accuracy"]), percent(knn["balanced_accuracy"])],
            [random, everything, percent(knn["random_encoder_accuracy"]), ""],
            [word("judge-pixels"), everything, percent(knn["pixel_accuracy"]), ""],
        ]
    if "linear" in record:
        told = [percent(record["linear"][key]) for key in ("accuracy", "balanced_accuracy")]
        rows.append([word("judge-linear"), everything, *told])
    for key in ("linear", "finetune"):
        for budget in record.get(key, {}).get("budgets", ()):
            spread = [_spread(budget[name]) for name in ("accuracy", "balanced_accuracy")]
            rows.append([word(f"judge-{key}"), _labels(budget["labels"]), *spread])
    header = [word(f"col-{name}") for name in ("protocol", "labels", "accuracy", "balanced")]
    return Table(header, rows, words=range(2))


def _labels(text: str) -> Words:
    return both(text) if text.endswith("%") else word("judge-budget", labels=text)


def _spread(values: Mapping[str, Any]) -> str:
    mean = percent(values["mean"])
    return mean if values["spread"] is None else f"{mean} ± {100 * values['spread']:.1f}"
