from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest

from samix.data import ImageSet
from samix.data.image_set import class_numbers, natural_key, split_of


def test_subset_reads_the_chosen_photos_in_order(make_set: Callable[..., ImageSet]) -> None:
    images = make_set([0, 1, 0, 1], given_group=["a", "b", "c", "d"])
    part = images.subset([3, 0])
    assert part.keys == ("3.png", "0.png")
    assert part.targets == (1, 0)
    assert part.given_group == ("d", "a")
    assert [part.read(i).getpixel((0, 0)) for i in range(2)] == [(3, 0, 0), (0, 0, 0)]
    assert part.subset([1]).read(0).getpixel((0, 0)) == (0, 0, 0)


def test_sets_can_be_sent_to_worker_processes(make_set: Callable[..., ImageSet]) -> None:
    part = make_set([0, 1, 0]).subset([2])
    assert pickle.loads(pickle.dumps(part)).read(0).getpixel((0, 0)) == (2, 0, 0)


def test_fields_of_different_length_are_refused(make_set: Callable[..., ImageSet]) -> None:
    with pytest.raises(ValueError, match="'targets': 1"):
        replace(make_set([0, 1]), targets=(0,))


def test_equal_keys_are_refused(make_set: Callable[..., ImageSet]) -> None:
    with pytest.raises(ValueError, match=r"'a\.png' twice"):
        make_set([0, 1, 1], keys=["b.png", "a.png", "a.png"])


def test_numbers_sort_as_numbers() -> None:
    names = ["part10", "part2", "2", "a", "10"]
    assert sorted(names, key=natural_key) == ["2", "10", "a", "part2", "part10"]


@pytest.mark.parametrize(
    ("word", "split"),
    [("Train", "train"), ("valid", "val"), ("validation", "val"), ("test", "test"), ("x", None)],
)
def test_words_for_splits(word: str, split: str | None) -> None:
    assert split_of(word) == split


def test_a_class_of_shift_jis_is_the_class_of_these_letters() -> None:
    folders = ["\u826f\u54c1".encode("shift_jis"), "\u826f\u54c1".encode(), b"k\xfcche"]
    names = [name.decode("utf-8", "surrogateescape") for name in folders]
    classes, targets = class_numbers(names)
    assert classes == ("k\\xfcche", "\u826f\u54c1")
    assert targets == (1, 1, 0)
