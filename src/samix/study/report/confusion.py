"""Which class is taken for which: the confusion matrices of the policy and of plain training."""

from __future__ import annotations

from collections.abc import Sequence

from samix.pages.charts import WIDTH, Area, Panel
from samix.pages.parts import Chart, Table
from samix.pages.words import NOT_KNOWN, Text, both, clipped, known, percent, word
from samix.study.report.view import ReportView, Row, columns, question_words
from samix.study.wording import policy_words

_MOST = 12  # classes of a matrix that can be read
_LEFT, _TOP, _FOOT = 92.0, 34.0, 26.0
_COLOUR = "#0072B2"
_DARK = 0.55  # share from which on letters are white
_LETTERS = 12  # of a class beside the matrix


def confusion_chart(view: ReportView) -> Chart | None:
    """Return one matrix a policy; None where the findings have none, or classes are too many."""
    found: Sequence[Row] = view.findings.get("confusion") or ()
    if not found or not found[0]["classes"]:
        return None
    classes = [str(name) for name in found[0]["classes"]]
    # the usual one first
    rows = sorted(found, key=lambda row: view.policies.index(row["policy"]))
    header = columns("true", "said")
    header += [word("col-share-of", policy=policy_words(row["policy"])) for row in rows]
    places = [
        (one, other)
        for one in range(len(classes))
        for other in range(len(classes))
        if any(known(row["shares"][one][other]) for row in rows)
    ]
    cells: list[list[Text]] = [
        [classes[one], classes[other], *(percent(row["shares"][one][other]) for row in rows)]
        for one, other in places
    ]
    shown = rows if len(classes) <= _MOST else []
    return Chart(
        key="confusion",
        title=word("confusion-title", question=question_words(view.mode, view.labels)),
        reading=word("confusion-reading"),
        panels=[_panel(row, classes) for row in shown],
        legend=[],
        data=Table(header, cells, title=word("data-behind"), words=range(2), folded=bool(shown)),
    )


def _panel(row: Row, classes: Sequence[str]) -> Panel:
    """Return a matrix in which the strength of a field is its share."""
    side = (WIDTH - 8 - _LEFT) / len(classes)
    tall = min(side, 44.0)
    panel = Panel(_TOP + tall * len(classes) + _FOOT, policy_words(str(row["policy"])))
    fit = max(int(side / 7.5), 2)  # letters above a column
    for one, name in enumerate(classes):
        middle = _TOP + tall * (one + 0.5) + 4
        cut = clipped(name, _LETTERS)
        panel.say(_LEFT - 8, middle, cut, "end", "name", name if cut != name else "")
        short = clipped(name, fit)
        panel.say(_LEFT + side * (one + 0.5), _TOP - 8, short, full=name if short != name else "")
        for other, _ in enumerate(classes):
            share = known(row["shares"][one][other])
            left, top = _LEFT + side * other, _TOP + tall * one
            path = f"M{left:.1f} {top:.1f}h{side - 1.5:.1f}v{tall - 1.5:.1f}h{1.5 - side:.1f}z"
            panel.areas.append(Area(path, _COLOUR, 0.05 + 0.95 * (share or 0.0)))
            told = NOT_KNOWN if share is None else f"{100 * share:.0f}"
            if share is None or round(100 * share) > 0:
                kind = "inside" if (share or 0.0) > _DARK else "tick"
                panel.say(left + side / 2, middle, both(told), kind=kind)
    panel.say(WIDTH - 8, panel.height - 6, word("confusion-said"), "end", "axis")
    return panel
