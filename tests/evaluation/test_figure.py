from __future__ import annotations

import pytest

from samix.evaluation.figure import evaluation_charts, score_table, write_evaluation
from tests.pages.test_languages import english, shown


def spread(*values):
    return {"values": list(values), "mean": sum(values) / len(values), "spread": None}


KNN = {
    "accuracy": 0.61, "random_encoder_accuracies": [0.31, 0.35, 0.33], "pixel_accuracy": 0.3,
    "k": 20, "part": "test", "balanced_accuracy": 0.55, "random_encoder_accuracy": 0.35,
}  # fmt: skip
LOW = {"accuracy": spread(0.2, 0.3), "balanced_accuracy": spread(0.2, 0.3)}
BUDGETS = [
    {"labels": "1%", "photos": [6, 6], **LOW},
    {"labels": "5%", "photos": [6, 6], **LOW},
    {"labels": "20", "photos": [120, 120], "accuracy": spread(0.5, 0.6),
     "balanced_accuracy": spread(0.5)},
]  # fmt: skip
DATA = {
    "largest_class_share": 0.25, "name": "photos", "source": "p/photos",
    "photos": {"train": 600, "val": 50, "test": 80},
}  # fmt: skip
MADE = {"seed": 3, "device": "cpu", "notes": []}


@pytest.mark.parametrize(
    "result",
    [
        {"data": DATA, "knn": KNN},
        {"data": DATA, "linear": {"accuracy": 0.7, "balanced_accuracy": 0.6, "budgets": []}},
        {
            "data": DATA,
            "linear": {"accuracy": 0.7, "balanced_accuracy": 0.6, "budgets": BUDGETS},
            "finetune": {"budgets": BUDGETS},
        },
        {
            "data": DATA,
            "knn": KNN,
            "linear": {"accuracy": 1.0, "balanced_accuracy": 1.0, "budgets": BUDGETS[:1]},
            "finetune": {"budgets": BUDGETS[:1]},
        },
    ],
    ids=["knn", "linear", "few labels", "all"],
)
def test_a_page_for_whatever_was_measured(result, tmp_path):
    for language in ("en", "ja"):
        path = tmp_path / f"{language}.html"
        write_evaluation(path, {**result, **MADE}, name="runs/$x_y$", language=language)
        seen = shown(path.read_text())
        assert "runs/$x_y$" in seen
        assert ("accuracy on the" in seen) is (language == "en")
        assert language == "en" or english(seen) == []
    charts = evaluation_charts(result)
    assert [one.key for one in charts] == [
        *(["all"] if "knn" in result or "linear" in result else []),
        *(["few"] if "finetune" in result else []),
    ]


def test_bars_are_as_long_as_the_accuracy():
    (chart,) = evaluation_charts({"data": DATA, "knn": KNN})
    lengths = [one.path for one in chart.panels[0].strokes if one.width == 13.0]
    ends = [float(path.split("L")[1].split()[0]) - 178.0 for path in lengths]
    assert ends[1] / ends[0] == pytest.approx(0.35 / 0.61, abs=0.01)
    assert ends[2] / ends[0] == pytest.approx(0.30 / 0.61, abs=0.01)


def test_the_table_has_a_row_for_each_measurement():
    rows = score_table({"data": DATA, "knn": KNN, "finetune": {"budgets": BUDGETS}}).rows
    assert [row[2].replace("\u00a0", " ") for row in rows] == [
        "61.0 %", "35.0 %", "30.0 %", "25.0 %", "25.0 %", "55.0 %",
    ]  # fmt: skip
