from __future__ import annotations

import pickle

import pytest

from samix.data import join_images, join_splits, make_unlabelled_splits, open_images

SOURCES = [
    (name, open_images(name))
    for name in ("demo:photos_per_class=10,size=16", "demo:photos_per_class=8,size=16,seed=3")
]


def test_photos_of_all_sets_one_after_another():
    joined = join_images(SOURCES)
    first, second = (images for _, images in SOURCES)
    assert len(joined) == len(first) + len(second)
    assert joined.name == "demo+demo"
    assert joined.classes == ()
    assert set(joined.targets) == {-1}
    read = pickle.loads(pickle.dumps(joined.read))  # as for worker processes
    assert read(3).tobytes() == first.read(3).tobytes()
    assert read(len(first) + 5).tobytes() == second.read(5).tobytes()
    assert joined.keys[len(first)] == f"{SOURCES[1][0]}/{second.keys[0]}"


def test_each_set_is_split_by_itself():
    parts = [make_unlabelled_splits(images, seed=0)[0] for _, images in SOURCES]
    splits, start = join_splits(SOURCES, parts), len(SOURCES[0][1])
    for side in ("train", "val", "test"):
        own, more = (getattr(part, side) for part in parts)
        assert getattr(splits, side) == (*own, *(start + i for i in more))
    # groups of the same name in two sets are two groups
    assert len(set(splits.groups)) == len(set(parts[0].groups)) + len(set(parts[1].groups))


def test_a_photo_is_in_one_set_alone():
    with pytest.raises(ValueError, match="keys must be unique"):
        join_images([SOURCES[0], SOURCES[0]])
