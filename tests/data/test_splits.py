from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samix.data import ImageSet, Splits, make_splits, read_splits, unused_notes, write_splits
from samix.errors import InputError

MakeSet = Callable[..., ImageSet]


def parts(splits: Splits) -> dict[str, tuple[int, ...]]:
    return {"train": splits.train, "val": splits.val, "test": splits.test}


def counts(images: ImageSet, indices: tuple[int, ...]) -> dict[int, int]:
    return dict(Counter(images.targets[i] for i in indices))


def test_every_class_in_proportion_and_every_photo_once(make_set: MakeSet) -> None:
    images = make_set([0] * 100 + [1] * 40 + [2] * 20)
    splits = make_splits(images)
    assert sorted(splits.train + splits.val + splits.test) == list(range(160))
    assert counts(images, splits.train) == {0: 65, 1: 26, 2: 13}
    assert counts(images, splits.val) == {0: 15, 1: 6, 2: 3}
    assert counts(images, splits.test) == {0: 20, 1: 8, 2: 4}


def test_same_seed_same_splits_and_other_seed_others(make_set: MakeSet) -> None:
    images = make_set([0] * 50 + [1] * 50)
    assert make_splits(images, seed=3) == make_splits(images, seed=3)
    assert make_splits(images, seed=3) != make_splits(images, seed=4)


def test_positions_ascend(make_set: MakeSet) -> None:
    for part in parts(make_splits(make_set([0, 1] * 30))).values():
        assert list(part) == sorted(part)


@pytest.mark.parametrize("seed", range(5))
def test_groups_never_straddle_and_classes_stay_in_proportion(make_set: MakeSet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, groups = [], []
    for number in range(120):
        for _ in range(rng.integers(1, 6)):
            targets.append(number % 3)
            groups.append(f"part{number}")
    images = make_set(targets, given_group=groups)
    splits = make_splits(images, seed=seed)
    owner: dict[str, str] = {}
    for side, indices in parts(splits).items():
        for i in indices:
            assert owner.setdefault(groups[i], side) == side
    total = Counter(targets)
    for side, share in (("train", 0.65), ("val", 0.15), ("test", 0.2)):
        for target, count in counts(images, parts(splits)[side]).items():
            assert abs(count / total[target] - share) < 0.03


def test_groups_of_several_classes_stay_whole(make_set: MakeSet) -> None:
    groups = [f"g{i // 4}" for i in range(80)]
    images = make_set([0, 0, 0, 1] * 20, given_group=groups)
    splits = make_splits(images)
    sides = [{groups[i] for i in part} for part in parts(splits).values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    for part in parts(splits).values():
        assert set(counts(images, part)) == {0, 1}


def test_group_by_expression_is_used(make_set: MakeSet) -> None:
    keys = [f"p{i // 5}_{i}.png" for i in range(60)]
    splits = make_splits(make_set([0, 1] * 30, keys), group_by=r"p\d+")
    assert splits.groups[:6] == ("p0",) * 5 + ("p1",)
    for part in parts(splits).values():
        assert all(count == 5 for count in Counter(splits.groups[i] for i in part).values())


def test_three_photos_are_the_least(make_set: MakeSet) -> None:
    images = make_set([0] * 60 + [1] * 3)
    splits = make_splits(images)
    assert [counts(images, part)[1] for part in parts(splits).values()] == [1, 1, 1]


def test_too_small_class_is_named_with_its_count(make_set: MakeSet) -> None:
    with pytest.raises(InputError, match=r"class 'class1' is too small.*it has 2 photos"):
        make_splits(make_set([0] * 60 + [1] * 2))


def test_class_of_few_groups_is_too_small(make_set: MakeSet) -> None:
    images = make_set(
        [0] * 20 + [1] * 8, given_group=[None] * 20 + ["p", "p", "p", "p", "q", "q", "q", "q"]
    )
    with pytest.raises(InputError, match=r"class 'class1'.*8 photos of 2 groups"):
        make_splits(images)


def test_class_without_photos_is_named(make_set: MakeSet) -> None:
    images = replace(make_set([0, 1] * 10), classes=("class0", "class1", "gone"))
    with pytest.raises(InputError, match=r"class 'gone' \(0 photos\)"):
        make_splits(images)


def test_given_parts_are_kept_and_val_comes_from_train(make_set: MakeSet) -> None:
    given = ["train"] * 80 + ["test"] * 20
    images = make_set([0, 1] * 50, given_split=given)
    splits = make_splits(images)
    assert splits.test == tuple(range(80, 100))
    assert counts(images, splits.val) == {0: 6, 1: 6}
    assert set(splits.train) | set(splits.val) == set(range(80))


def test_missing_test_comes_from_train(make_set: MakeSet) -> None:
    images = make_set([0, 1] * 50, given_split=["train"] * 80 + ["val"] * 20)
    splits = make_splits(images)
    assert splits.val == tuple(range(80, 100))
    assert counts(images, splits.test) == {0: 8, 1: 8}


def test_all_given_parts_are_kept_as_they_are(make_set: MakeSet) -> None:
    given = ["train", "train", "val", "val", "test", "test"]
    splits = make_splits(make_set([0, 1] * 3, given_split=given))
    assert parts(splits) == {"train": (0, 1), "val": (2, 3), "test": (4, 5)}


def test_given_part_without_a_class_is_refused(make_set: MakeSet) -> None:
    images = make_set(
        [0, 1, 0, 1, 0, 0], given_split=["train", "train", "val", "val"] + ["test"] * 2
    )
    with pytest.raises(InputError, match=r"class 'class1' \(2 photos\) has no photo in the test"):
        make_splits(images)


def test_group_in_two_given_parts_is_refused(make_set: MakeSet) -> None:
    keys = [f"p{i % 3}_{i}" for i in range(6)]
    given = ["train", "train", "val", "val", "test", "test"]
    with pytest.raises(InputError, match="lies in train and in val of the given parts"):
        make_splits(make_set([0, 1] * 3, keys, given_split=given), group_by=r"p\d")


def test_photos_without_labels_among_others_are_in_no_part(make_set: MakeSet) -> None:
    images = make_set([0, 1] * 20 + [0] * 10, given_split=["train"] * 40 + ["test"] * 10)
    splits = make_splits(replace(images, targets=(0, 1) * 20 + (-1,) * 10))
    assert sorted(splits.train + splits.val + splits.test) == list(range(40))
    assert len(splits.test) == 8  # the given test part has no labels, so train gives one


def test_photos_are_divided_where_none_has_a_label(make_set: MakeSet) -> None:
    images = replace(make_set([0] * 40), classes=(), targets=(-1,) * 40)
    assert [len(part) for part in parts(make_splits(images)).values()] == [26, 6, 8]


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.2, 1.0), (-0.1, 0.2), (0.5, 0.5)])
def test_fractions_out_of_range(make_set: MakeSet, fractions: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="fraction"):
        make_splits(make_set([0, 1] * 9), val_fraction=fractions[0], test_fraction=fractions[1])


def test_file_has_the_stated_columns_and_reads_back(make_set: MakeSet, tmp_path: Path) -> None:
    keys = [f'class/p{i // 2},"odd" näme {i}.png' for i in range(40)]
    images = make_set([0, 1] * 20, keys)
    splits = make_splits(images, group_by=r"p\d+")
    reduced = replace(splits, train=splits.train[::2])
    path = tmp_path / "splits.csv"
    write_splits(path, images, reduced)
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    assert list(rows[0]) == ["path", "split", "group"]
    assert [row["path"] for row in rows] == keys
    assert {row["split"] for row in rows} == {"train", "val", "test", "unused"}
    assert rows[3]["group"] == "p1"
    assert read_splits(path, images) == reduced
    assert [file.name for file in tmp_path.iterdir()] == ["splits.csv"]


def test_photos_without_group_have_an_empty_one(make_set: MakeSet, tmp_path: Path) -> None:
    images = make_set([0, 1] * 5)
    write_splits(tmp_path / "s.csv", images, make_splits(images))
    assert (tmp_path / "s.csv").read_text().splitlines()[1].endswith(",")
    assert read_splits(tmp_path / "s.csv", images).groups == (None,) * 10


def test_splits_of_other_photos_are_refused(make_set: MakeSet, tmp_path: Path) -> None:
    images = make_set([0, 1] * 5)
    write_splits(tmp_path / "s.csv", images, make_splits(images))
    with pytest.raises(InputError, match=r"2 of the data are not in it.*'10.png'"):
        read_splits(tmp_path / "s.csv", make_set([0, 1] * 6))
    with pytest.raises(InputError, match="2 of it are not in the data"):
        read_splits(tmp_path / "s.csv", make_set([0, 1] * 4))


def test_a_photo_is_on_one_side_alone(make_set: MakeSet, tmp_path: Path) -> None:
    """Else it is tested on what was learned from; the same row twice says nothing new."""
    path, rows = tmp_path / "s.csv", "path,split,group\n0.png,train,\n1.png,test,\n"
    path.write_text(rows + "1.png,test,\n")
    assert read_splits(path, make_set([0, 1])).test == (1,)
    for again in ("1.png,train,", "1.png,test,lot"):
        path.write_text(f"{rows}{again}\n")
        with pytest.raises(InputError, match=r"says two things of '1.png' \('test', '' and"):
            read_splits(path, make_set([0, 1]))


def test_unknown_split_word_is_refused(make_set: MakeSet, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("path,split,group\n0.png,trian,\n1.png,val,\n")
    with pytest.raises(InputError, match="'trian'"):
        read_splits(tmp_path / "s.csv", make_set([0, 1]))


def test_labelled_photos_that_splits_leave_out_are_counted(make_set: MakeSet) -> None:
    labels = (0, 0, 0, 1, 1, 1, -1)
    images = make_set(labels)
    few = Splits((0,), (1, 4), (2, 5), (None,) * len(labels))
    (note,) = unused_notes(images, few, "few.csv")
    assert note.startswith("1 labelled photos are not used, since 'few.csv'")
    assert unused_notes(images, replace(few, train=(0, 3)), "all.csv") == ()
