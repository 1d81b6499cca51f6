"""The first picture of the report: what each policy gains, and beside it what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from samix.pages.charts import LINE, AxisScale, Panel, names_of, round_values
from samix.pages.panels import BAR_LETTERS, BARS, BELOW, HEAD, NAMES, ROW, Bar, bar_panel, name_row
from samix.pages.parts import Chart
from samix.pages.words import (
    NOTHING,
    Text,
    Words,
    between,
    both,
    duration,
    known,
    listed,
    number,
    paragraph,
    percent,
    short,
    times,
    word,
)
from samix.study.report.view import BASELINE, ReportView, Row, question_words
from samix.study.statistics.candidates import VerdictLimits
from samix.study.wording import policy_words

_FAR = 4.0  # an interval that is so many times as wide as the others does not set the axis


def forest_chart(view: ReportView) -> Chart | None:
    """Return gains with intervals beside costs, one row a policy; None without a comparison."""
    rows = view.rows("policies", mode=view.mode, labels=view.labels)
    if not any(known(row["gain"]) is not None for row in rows):
        return None
    worth = VerdictLimits().worth
    columns = ("policy", "score", "gain", "gain-ends", "p-short", "time", "time-multiple")
    question = question_words(view.mode, view.labels)
    return Chart(
        key="forest",
        title=word("forest-title", measure=view.measure, question=question),
        reading=paragraph([word("forest-reading", worth=f"{worth:g}"), _looks(view)]),
        panels=[_gains(view, rows, worth), _costs(view, rows)],
        legend=[],
        data=view.grid(rows, *columns, words=1),
    )


def _looks(view: ReportView) -> Words:
    """Say that intervals are those of one look, where the study looks more than once."""
    looks = sorted(int(seeds) for seeds in view.plan.get("looks") or ())
    if len(looks) < 2:
        return NOTHING
    return word("forest-looks", seeds=listed([str(seeds) for seeds in looks]))


def _gains(view: ReportView, rows: Sequence[Row], worth: float) -> Panel:
    """Return gains with their intervals, and the zone in which a difference is worth nothing."""
    bottom = HEAD + ROW * len(rows)
    panel = Panel(bottom + BELOW, word("forest-gain"))
    x = _axis(rows, worth)
    panel.box(x(-worth), HEAD, x(worth), bottom)
    panel.say((x(-worth) + x(worth)) / 2, HEAD - 8, word("forest-zone"), kind="note")
    values = [v for v in round_values(x.low, x.high, 6) if x.holds(v)]
    panel.across(x, values, names_of(values, signed=True), HEAD, bottom)
    panel.line([(x(0), HEAD), (x(0), bottom)], LINE, dash="4 3")
    panel.say(BARS, bottom + 36, word("axis-gain"), "end", "axis")
    for at, row in enumerate(rows):
        middle, style = HEAD + ROW * (at + 0.5), view.styles[row["policy"]]
        gain, low, high = (known(row[key]) for key in ("gain", "gain_low", "gain_high"))
        name = policy_words(str(row["policy"]))
        if row["policy"] == BASELINE:
            told: Text = word("forest-reference", score=percent(row["score"]))
            gain, low, high = 0.0, None, None
        elif gain is None:
            told = word("forest-none")
        else:
            told = f"{number(gain, signed=True)} ({between(low, high, signed=True)})"
        name_row(panel, NAMES - 10, middle - 3, name, BAR_LETTERS, told)
        if low is not None and high is not None:
            panel.line([(x(low), middle), (x(high), middle)], style.colour, width=2.2)
        if gain is not None:
            panel.put(x(gain), middle, style, name + f": {number(gain, signed=True)}", 6.0)
    return panel


def _axis(rows: Sequence[Row], worth: float) -> AxisScale:
    """Return an axis that holds the intervals, but for those that are far wider than the others."""
    ends = [v for row in rows for v in (known(row["gain_low"]), known(row["gain_high"]))
            if v is not None]  # fmt: skip
    gains = [v for row in rows if (v := known(row["gain"])) is not None]
    reach = sorted(abs(v) for v in ends)[len(ends) // 2] * _FAR if ends else 0.0
    most = max([2 * worth, *map(abs, gains), reach])
    kept = [min(max(v, -most), most) for v in ends]
    found = round_values(min([-2 * worth, *gains, *kept]), max([2 * worth, *gains, *kept]), 6)
    return AxisScale(found[0], found[-1], NAMES, BARS)


def _costs(view: ReportView, rows: Sequence[Row]) -> Panel:
    bars = []
    for row in rows:
        spent = view.one("cost", mode=view.mode, policy=row["policy"]) or {}
        told = duration(row["seconds"])
        # money is that of a training with the most labels
        if known(spent.get("money")) is not None and view.labels == max(view.budgets(view.mode)):
            told = told + both(f", {short(spent['money'])} {view.currency}".rstrip())
        multiple, colour = known(row["multiple"]), view.styles[row["policy"]].colour
        bars.append(Bar(policy_words(str(row["policy"])), multiple, times(multiple), colour, told))
    return bar_panel(bars, word("axis-cost"), title=word("forest-time"))
