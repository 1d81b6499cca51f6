from __future__ import annotations

from typing import Any

import pytest

from samix.evaluation.cost.figure import cost_chart, short_number, write_costs


def row(kind: str, ratio: float, *, memory: bool = True) -> dict[str, Any]:
    known: dict[str, Any] = {"kind": kind, "time_ratio": ratio, "images_per_second": 61 / ratio}
    known |= {"time_ratio_low": 0.9 * ratio, "time_ratio_high": 1.1 * ratio}
    return known | ({"memory_ratio": ratio, "mebibytes": 800 * ratio} if memory else {})


KINDS = {"plain": "plain", "cutmix": "rule", "runs/$mixer_1$": "learned"}
RUNS = {name: {"hours": 3.0, "money": 4.2, "kilowatt_hours": None} for name in KINDS}
PLAN = {"images": 50000, "epochs": 100, "currency": "EUR", "rows": RUNS}


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "no memory"])
@pytest.mark.parametrize("plan", [True, False], ids=["estimate", "no estimate"])
def test_a_panel_for_whatever_was_measured(memory, plan, tmp_path):
    rows = {name: row(kind, 1.0 + n, memory=memory) for n, (name, kind) in enumerate(KINDS.items())}
    result = {"summary": "Mixing costs.", "rows": rows, **({"estimate": PLAN} if plan else {})}
    write_costs(tmp_path / "bench.html", result, title="resnet18, 32 px, $5 a_b")
    assert [path.name for path in tmp_path.iterdir()] == ["bench.html"]
    chart = cost_chart(result)
    assert len(chart.panels) == 1 + memory + plan
    assert len(chart.data.header) == 3 + memory + plan
    text = (tmp_path / "bench.html").read_text("utf-8")
    assert "resnet18, 32 px, $5 a_b" in text
    assert "Mixing costs." in text
    assert ("4.20 EUR" in text) is plan


def test_numbers_have_three_digits_that_count():
    assert [short_number(value) for value in (0.123, 5.0, 16.04, 168.4, 2060.9)] == [
        "0.12", "5.00", "16.0", "168", "2,061",
    ]  # fmt: skip
