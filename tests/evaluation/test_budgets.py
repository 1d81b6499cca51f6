from __future__ import annotations

import itertools

import pytest

from samix.data import make_splits, open_images
from samix.errors import InputError
from samix.evaluation.budgets import Budget, draw_labels, parse_budgets, spread_of


@pytest.fixture(scope="module")
def photos():
    images = open_images("demo:photos_per_class=40,size=16,views=1")
    return images, make_splits(images)


def test_words_are_shares_or_numbers_of_labels():
    assert parse_budgets(["1%", "2.5%", "20"]) == (
        Budget("1%", share=0.01),
        Budget("2.5%", share=0.025),
        Budget("20", per_class=20),
    )


@pytest.mark.parametrize("word", ["0", "-3", "0%", "-1%", "101%", "ten", "0.1", "1e2", "", "%"])
def test_other_words_are_refused(word):
    with pytest.raises(InputError, match="labels"):
        parse_budgets([word])


def test_a_budget_is_named_once():
    with pytest.raises(InputError, match="twice"):
        parse_budgets(["10%", "10.0%"])


@pytest.mark.parametrize("seed", [0, 1])
def test_smaller_budgets_are_part_of_larger_ones(photos, seed):
    images, splits = photos
    budgets = parse_budgets(["1%", "2", "10%", "25%", "100%"])
    draws = [draw_labels(images, splits, budget, seed) for budget in budgets]
    for small, large in itertools.pairwise(draws):
        assert set(small.train) < set(large.train)
        assert set(small.val) <= set(large.val)
    assert len(draws[0].train) == len(draws[0].val) == len(images.classes)
    assert len(draws[-1].train) == len(splits.train)
    assert len(draws[-1].val) == len(splits.val)
    for draw in draws:  # every class, also in validation, which is cut to the same share
        for part, chosen in ((splits.train, draw.train), (splits.val, draw.val)):
            assert {images.targets[part[i]] for i in chosen} == set(range(len(images.classes)))


def test_draws_of_other_seeds_are_other_photos(photos):
    draws = {draw_labels(*photos, Budget("2", per_class=2), seed).train for seed in range(3)}
    assert len(draws) == 3


def test_more_labels_than_a_class_has_are_refused(photos):
    with pytest.raises(InputError, match="fewer than the 500 labels"):
        draw_labels(*photos, Budget("500", per_class=500), 0)


def test_mean_and_spread():
    assert spread_of([0.5, 0.7, 0.9]) == {
        "values": [0.5, 0.7, 0.9],
        "mean": pytest.approx(0.7),
        "spread": pytest.approx(0.2),
    }
    assert spread_of([0.5])["spread"] is None
