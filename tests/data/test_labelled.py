from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from samix.data import ImageSet, labelled_subset, make_splits
from samix.errors import InputError

MakeSet = Callable[..., ImageSet]


@pytest.fixture
def images(make_set: MakeSet) -> ImageSet:
    return make_set([0] * 100 + [1] * 50 + [2] * 30)


@pytest.fixture
def grouped(make_set: MakeSet) -> ImageSet:
    groups = [f"p{i // 3}" for i in range(180)]
    return make_set([0] * 90 + [1] * 90, given_group=groups)


def test_exactly_so_many_of_each_class_from_train(images: ImageSet) -> None:
    splits = make_splits(images)
    chosen = labelled_subset(images, splits, labels_per_class=10)
    assert Counter(images.targets[i] for i in chosen) == {0: 10, 1: 10, 2: 10}
    assert set(chosen) <= set(splits.train)
    assert list(chosen) == sorted(chosen)


def test_smaller_budgets_are_contained_in_larger_ones(images: ImageSet) -> None:
    splits = make_splits(images)
    sets = [
        set(labelled_subset(images, splits, labels_per_class=n, seed=5)) for n in (1, 5, 10, 19)
    ]
    fractions = [
        set(labelled_subset(images, splits, label_fraction=f, seed=5)) for f in (0.1, 0.5, 1.0)
    ]
    for small, large in [*pairwise(sets), *pairwise(fractions)]:
        assert small < large
    assert fractions[-1] == set(splits.train)


def test_fraction_is_of_each_class_rounded_up(images: ImageSet) -> None:
    splits = make_splits(images)  # 65, 32 or 33, 19 or 20 photos
    chosen = labelled_subset(images, splits, label_fraction=0.1)
    found = Counter(images.targets[i] for i in chosen)
    assert found == {0: 7, 1: 4, 2: 2}


def test_seeds_draw_other_photos(images: ImageSet) -> None:
    splits = make_splits(images)
    first, second = (labelled_subset(images, splits, labels_per_class=5, seed=s) for s in (0, 1))
    assert first != second
    assert first == labelled_subset(images, splits, labels_per_class=5, seed=0)


def test_whole_groups_until_there_are_enough(grouped: ImageSet) -> None:
    splits = make_splits(grouped)
    chosen = labelled_subset(grouped, splits, labels_per_class=10)
    assert Counter(grouped.targets[i] for i in chosen) == {0: 12, 1: 12}
    assert set(Counter(splits.groups[i] for i in chosen).values()) == {3}
    larger = labelled_subset(grouped, splits, labels_per_class=25)
    assert set(chosen) < set(larger)


def test_no_limit_is_all_of_train(images: ImageSet) -> None:
    splits = make_splits(images)
    assert labelled_subset(images, splits) == splits.train


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"labels_per_class": 0}, "at least 1, got 0"),
        ({"labels_per_class": -3}, "got -3"),
        ({"labels_per_class": 30}, r"class 'class2' has (19|20) photos .* fewer than the 30"),
        ({"label_fraction": 0.0}, "above 0"),
        ({"label_fraction": 1.5}, "at most 1, got 1.5"),
        ({"labels_per_class": 1, "label_fraction": 0.5}, "not both"),
    ],
)
def test_limits_out_of_range(images: ImageSet, limits: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        labelled_subset(images, make_splits(images), **limits)  # type: ignore[arg-type]
