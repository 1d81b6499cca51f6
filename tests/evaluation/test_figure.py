from __future__ import annotations

import pytest
from PIL import Image

from samix.evaluation.figure import draw_evaluation


def spread(*values):
    return {"values": list(values), "mean": sum(values) / len(values), "spread": None}


KNN = {
    "accuracy": 0.61, "random_encoder_accuracies": [0.31, 0.35, 0.33], "pixel_accuracy": 0.3,
    "k": 20, "part": "test",
}  # fmt: skip
BUDGETS = [
    {"labels": "1%", "photos": [6, 6], "accuracy": spread(0.2, 0.3)},
    {"labels": "5%", "photos": [6, 6], "accuracy": spread(0.2, 0.3)},
    {"labels": "20", "photos": [120, 120], "accuracy": spread(0.5, 0.6)},
]
DATA = {"largest_class_share": 0.25}


@pytest.mark.parametrize(
    "result",
    [
        {"data": DATA, "knn": KNN},
        {"data": DATA, "linear": {"accuracy": 0.7, "budgets": []}},
        {
            "data": DATA,
            "linear": {"accuracy": 0.7, "budgets": BUDGETS},
            "finetune": {"budgets": BUDGETS},
        },
        {
            "data": DATA,
            "knn": KNN,
            "linear": {"accuracy": 1.0, "budgets": BUDGETS[:1]},
            "finetune": {"budgets": BUDGETS[:1]},
        },
    ],
    ids=["knn", "linear", "few labels", "all"],
)
def test_a_figure_for_whatever_was_measured(result, tmp_path):
    draw_evaluation(tmp_path / "evaluation.png", result, title="runs/$x_y$ on photos")
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.png"]
    width, height = Image.open(tmp_path / "evaluation.png").size
    assert width >= 700
    assert height >= 500
