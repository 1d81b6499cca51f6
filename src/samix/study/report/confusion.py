"""Which class is taken for which: the confusion matrices of the policy and of plain training."""

from __future__ import annotations

from collections.abc import Sequence

from samix.pages.charts import Panel
from samix.pages.panels import MOST_FIELDS, matrix_panel
from samix.pages.parts import Chart, Table
from samix.pages.words import NOT_KNOWN, Text, known, percent, word
from samix.study.report.view import ReportView, Row, columns, question_words
from samix.study.wording import policy_words


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
    shown = rows if len(classes) <= MOST_FIELDS else []
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
    shares = [[known(share) for share in line] for line in row["shares"]]
    told = [
        [NOT_KNOWN if s is None else f"{100 * s:.0f}" if round(100 * s) else "" for s in line]
        for line in shares
    ]
    title = policy_words(str(row["policy"]))
    return matrix_panel(classes, classes, shares, told, across=word("confusion-said"), title=title)
