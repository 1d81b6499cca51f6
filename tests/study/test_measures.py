"""What a study compares follows from the test parts of its classes alone."""

from __future__ import annotations

import pytest

from samix.errors import InputError
from samix.study.statistics.trained import effective_parts, measure_of


@pytest.mark.parametrize(
    ("counts", "good", "name", "side"),
    [
        ({"good": 40, "crack": 30}, (), "accuracy", ()),
        ({"good": 100, "crack": 30, "stain": 12}, (), "balanced_accuracy", ()),
        ({"good": 31, "crack": 7, "stain": 6}, (), "detection", ("good",)),
        ({"good": 9, "ok": 8, "crack": 7, "stain": 6}, ("good", "ok"), "detection", ("good", "ok")),
        ({"good": 31, "crack": 4, "stain": 5}, (), "accuracy", ()),  # nine others
        ({"good": 31, "crack": 9}, (), "accuracy", ()),  # a class is the other side already
        ({"good": 31, "crack": 12, "stain": 0}, (), "accuracy", ()),
    ],
)
def test_the_measure_follows_from_the_test_parts(counts, good, name, side):
    found = measure_of(counts, good=good)
    assert (found.name, found.side) == (name, side)
    assert measure_of(counts, found.name, good=good) == found  # as the plan wrote it down


def test_the_plan_may_ask_for_another_measure():
    assert measure_of({"good": 40, "crack": 30}, "detection").side == ("good",)
    assert measure_of({"good": 100, "crack": 12}, "accuracy").skew is None
    with pytest.raises(InputError, match="measure 'auc' is unknown; expected accuracy"):
        measure_of({"good": 40}, "auc")
    with pytest.raises(InputError, match="needs test parts beside good"):
        measure_of({"good": 40, "crack": 0}, "detection")
    with pytest.raises(InputError, match="nothing to measure"):
        measure_of({"good": 0})


def test_parts_count_for_less_where_a_class_has_few():
    counts = {"good": 90, "crack": 10}
    assert effective_parts(measure_of(counts), counts) == pytest.approx(36)
    assert effective_parts(measure_of(counts, "accuracy"), counts) == 100
    even = {"a": 20, "b": 20, "c": 20}
    assert effective_parts(measure_of(even, "balanced_accuracy"), even) == pytest.approx(60)
    few = {"good": 31, "crack": 7, "stain": 7}
    assert effective_parts(measure_of(few), few) == pytest.approx(4 / (1 / 31 + 1 / 14))
