"""Bad input of a guard is refused before training starts."""

import pytest

from samix.guard import create_guard, guard_options, pair_table

CLASSES = ("good", "crack", "stain")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"visbility": True}, "nearest is 'visibility'"),
        ({"weight": 0.0}, r"weight: expected a number in \(0, 1\]"),
        ({"weight": float("nan")}, "weight: expected"),
        ({"share": 1.5}, r"share: expected a number in \[0, 1\], got 1.5"),
        ({"plausibility": 1.0}, "plausibility: expected"),
        ({"range": 0}, "range: expected"),
        ({"saliency": "atention"}, "nearest is 'attention'"),
        ({"tries": 0}, "tries: expected"),
        ({"repair": ["mixup"]}, "'clean' as the last way"),
        ({"repair": ["mixup", "mixup", "clean"]}, "each way once"),
        ({"repair": ["boxes", "clean"]}, "repair: expected one of"),
        ({"good": ["god"]}, "good: expected one of good, crack, stain, got 'god'; the nearest"),
        ({"visibility": False}, "at least one rule"),
        ({"pairs": [{"never": ["good", "crak"]}]}, "got 'crak'; the nearest is 'crack'"),
        ({"pairs": [{"never": ["good"]}]}, "must name two classes"),
        ({"pairs": [{"at_most": 1.2, "of": "crack"}]}, r"a share in \(0, 1\)"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        create_guard(values, CLASSES)


@pytest.mark.parametrize(
    "values",
    [
        {"share": "much"},
        {"plausibility": "high"},
        {"repair": "clean"},
        {"good": "good"},
        {"pairs": [{"nver": ["good", "crack"]}]},
        {"pairs": ["never"]},
        {"pairs": [{"never": "good"}]},
        {"weight": True},
    ],
)
def test_a_value_of_another_kind_is_a_type_error(values):
    with pytest.raises(TypeError):
        create_guard(values, CLASSES)


def test_options_must_have_names():
    with pytest.raises(TypeError, match="names and values"):
        guard_options(["share"])


@pytest.mark.parametrize(
    "pairs",
    [
        [{"never": ["good", "crack"]}, {"at_most": 0.3, "of": "crack", "with": "good"}],
        [{"never": ["good", "crack"]}, {"among": ["good", "crack"]}],
        [
            {"at_most": 0.3, "of": "crack", "with": "good"},
            {"at_most": 0.4, "of": "crack", "with": "good"},
        ],
        [
            {"at_most": 0.3, "of": "crack", "with": "good"},
            {"at_most": 0.5, "of": "good", "with": "crack"},
        ],
    ],
)
def test_rules_that_contradict_each_other_are_refused(pairs):
    with pytest.raises(ValueError, match="contradicts"):
        pair_table(pairs, CLASSES)


def test_a_class_without_any_partner_is_refused():
    pairs = [{"among": ["good"]}, {"never": ["good", "good"]}]
    with pytest.raises(ValueError, match="no class to be mixed with"):
        pair_table(pairs, CLASSES)


def test_the_table_says_what_the_rules_say():
    table = pair_table(
        [
            {"among": ["crack", "stain"]},
            {"at_most": 0.25, "of": "stain", "with": "crack"},
        ],
        CLASSES,
    )
    assert table.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.25], [0.0, 1.0, 1.0]]


def test_a_general_limit_yields_to_one_for_a_pair():
    table = pair_table(
        [{"at_most": 0.3, "of": "crack"}, {"at_most": 0.6, "of": "crack", "with": "stain"}],
        CLASSES,
    )
    assert table[0, 1] == pytest.approx(0.3)
    assert table[2, 1] == pytest.approx(0.6)


def test_rules_about_classes_need_classes():
    with pytest.raises(ValueError, match="photos with classes"):
        create_guard({"good": ["good"]})
