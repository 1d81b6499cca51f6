from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from samix.data import (
    ImageSet,
    Loaders,
    Loading,
    Splits,
    build_loaders,
    choose_batch_size,
    eval_view,
    make_splits,
    train_view,
)
from samix.errors import InputError

Epochs = list[list[tuple[torch.Tensor, torch.Tensor]]]
MakeSet = Callable[..., ImageSet]


@pytest.fixture
def images(make_set: MakeSet) -> ImageSet:
    return make_set([0, 1] * 40)


def build(images: ImageSet, *, splits: Splits | None = None, **options: object) -> Loaders:
    batch_size = options.pop("batch_size", 10)
    return build_loaders(
        images,
        splits or make_splits(images),
        train=train_view(16, augmentation="strong"),
        evaluation=eval_view(16),
        batch_size=batch_size,  # type: ignore[arg-type]
        loading=Loading(**options),  # type: ignore[arg-type]
    )


def batches(loaders: Loaders, epochs: range) -> Epochs:
    out = []
    for epoch in epochs:
        loaders.train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        out.append([(image.clone(), target.clone()) for image, target in loaders.train])
    return out


def same(first: Epochs, second: Epochs) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_batches_do_not_depend_on_workers_or_memory(images: ImageSet) -> None:
    reference = batches(build(images), range(2))
    assert same(reference, batches(build(images, num_workers=2), range(2)))
    assert same(reference, batches(build(images, cache_budget=0, num_workers=0), range(2)))


def test_restart_at_any_epoch_gives_the_same_batches(images: ImageSet) -> None:
    assert same(batches(build(images), range(4))[3:], batches(build(images), range(3, 4)))


def test_epochs_and_seeds_differ(images: ImageSet) -> None:
    first, second = batches(build(images), range(2))
    assert not same([first], [second])
    assert not same([first], batches(build(images, seed=1), range(1)))


def test_global_random_state_is_untouched(images: ImageSet) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    batches(build(images), range(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_targets_belong_to_photos(images: ImageSet) -> None:
    loaders = build(images)
    for image, target in loaders.test:
        red = (loaders.test.dataset.view.denormalise(image)[:, 0, 0, 0] * 255).round().long()  # type: ignore[attr-defined]
        assert torch.equal(red % 2, target)


def test_evaluation_sees_every_photo_once_in_order(images: ImageSet) -> None:
    splits = make_splits(images)
    loaders = build(images, splits=splits, rank=1, world_size=2)
    targets = torch.cat([target for _, target in loaders.val])
    assert targets.tolist() == [images.targets[i] for i in splits.val]


def test_ranks_together_are_one_process(images: ImageSet) -> None:
    splits = make_splits(images)  # 52 photos to train with
    whole = batches(build(images, splits=splits, batch_size=26), range(1))[0]
    ranks = [
        batches(build(images, splits=splits, batch_size=13, rank=r, world_size=2), range(1))[0]
        for r in (0, 1)
    ]
    assert [len(rank) for rank in ranks] == [2, 2]
    for one, (left, right) in zip(whole, zip(*ranks, strict=True), strict=True):
        together = torch.stack([left[0], right[0]], dim=1).flatten(0, 1)
        assert torch.equal(together, one[0])


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(21, 10, [10, 10]), (22, 10, [10, 10, 2]), (1, 1, [1]), (3, 1, [1, 1, 1]), (5, 5, [5])],
)
def test_only_a_single_photo_is_left_out(
    images: ImageSet, count: int, batch_size: int, sizes: list[int]
) -> None:
    splits = Splits(tuple(range(count)), (70, 71), (72, 73), (None,) * 80)
    loaders = build(images, splits=splits, batch_size=batch_size)
    assert [len(target) for _, target in loaders.train] == sizes
    assert len(loaders.train) == len(sizes)


def test_evaluation_keeps_a_single_photo(images: ImageSet) -> None:
    splits = Splits(tuple(range(20)), tuple(range(20, 41)), (72, 73), (None,) * 80)
    assert [len(target) for _, target in build(images, splits=splits).val] == [10, 10, 1]


def test_default_batch_size_shrinks_and_says_so(images: ImageSet) -> None:
    loaders = build(images, batch_size=None)
    assert loaders.batch_size == 52
    assert any("52 instead of 100" in note for note in loaders.notes)
    assert choose_batch_size(1000, None) == (100, ())


@pytest.mark.parametrize(("batch_size", "message"), [(53, "larger than the 52"), (0, "got 0")])
def test_batch_size_that_was_set_is_refused(
    images: ImageSet, batch_size: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(images, batch_size=batch_size)


def test_photos_beyond_the_budget_are_read_each_time(images: ImageSet) -> None:
    loaders = build(images, cache_budget=1000, num_workers=0)
    assert loaders.train.dataset.store.kept is None  # type: ignore[attr-defined]
    assert any("read each time" in note for note in loaders.notes)
    assert build(images).train.dataset.store.kept is not None  # type: ignore[attr-defined]
