from __future__ import annotations

import numpy as np
import pytest
import torch

from samix.data import (
    ImageSet,
    Loading,
    TwoViews,
    ViewDataset,
    build_view_loader,
    open_images,
    random_keys,
    two_views,
)
from samix.errors import InputError

NAMES = ("moco", "simclr", "byol")


def photos(count: int, size: int = 32) -> torch.Tensor:
    """Smooth coloured photos: a ramp to the right in red, downwards in green."""
    ramp = torch.linspace(40, 215, size)
    shift = torch.linspace(0, 30, count).view(-1, 1, 1)
    red = ramp.view(1, 1, -1).expand(count, size, size) + shift
    green = ramp.view(1, -1, 1).expand(count, size, size)
    blue = torch.full((count, size, size), 60.0)
    return torch.stack([red, green, blue], 1).to(torch.uint8)


def keys(count: int, epoch: int = 0) -> np.ndarray:
    return random_keys(0, epoch, np.arange(count))


def seen(views: TwoViews, batch: torch.Tensor, epoch: int = 0) -> tuple[torch.Tensor, ...]:
    """Both views with values in [0, 1]."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (views.mean, views.std))
    return tuple(v * std + mean for v in views(batch, keys(len(batch), epoch)))


@pytest.mark.parametrize("size", [16, 96])
@pytest.mark.parametrize("name", NAMES)
def test_shape_type_range_and_untouched_input(name: str, size: int) -> None:
    views = two_views(size, recipe=name)  # type: ignore[arg-type]
    assert views.load_size == (16 if size == 16 else 144)
    batch = photos(3, views.load_size)
    before = batch.clone()
    for view in seen(views, batch):
        assert view.shape == (3, 3, size, size)
        assert view.dtype == torch.float32
        assert -1e-6 <= view.min() <= view.max() <= 1 + 1e-6
    assert torch.equal(batch, before)


def test_views_smaller_than_the_photos() -> None:
    """Photos stay as large as the network sees them elsewhere; the crop makes them smaller."""
    views = two_views(16, photo_size=32)
    assert views.load_size == 32
    assert two_views(96, photo_size=128).load_size == 192
    batch = photos(4)
    for view in seen(views, batch):
        assert view.shape == (4, 3, 16, 16)
    with pytest.raises(InputError, match="views of 32 px cannot be cut from photos of 16 px"):
        two_views(32, photo_size=16)


def test_result_is_a_function_of_the_keys_and_leaves_global_state() -> None:
    views, batch = two_views(32), photos(6)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = views(batch, keys(6))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = views(batch, keys(6))
    other = views(batch, keys(6, epoch=1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_views_of_a_photo_differ_and_so_do_photos() -> None:
    batch = photos(1).expand(8, -1, -1, -1)
    first, second = two_views(32)(batch, keys(8))
    assert (first - second).abs().amax((1, 2, 3)).min() > 0.05
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("name", NAMES)
def test_share_of_grey_and_mirrored_views(name: str) -> None:
    views, batch = two_views(32, recipe=name), photos(1000)  # type: ignore[arg-type]
    for view in seen(views, batch):
        grey = ((view.amax(1) - view.amin(1)).amax((1, 2)) < 1e-3).float().mean()
        assert 0.15 < grey < 0.26
        first, last = view[:, 0, :, :3].mean((1, 2)), view[:, 0, :, -3:].mean((1, 2))
        mirrored = (first > last + 1e-3).float().mean()
        # solarising turns the ramp of some more around
        assert 0.42 < mirrored < 0.58


@pytest.mark.parametrize(("name", "least"), [("moco", 0.2), ("simclr", 0.08), ("byol", 0.08)])
def test_crops_have_the_published_least_area(name: str, least: float) -> None:
    views = two_views(32, recipe=name)  # type: ignore[arg-type]
    recipe = views.recipes[0]
    assert recipe.crop_area == least
    plain = TwoViews(32, 32, (_plain(least), _plain(least)), (0.0,) * 3, (1.0,) * 3)  # type: ignore[arg-type]
    crops, _ = plain(photos(600), keys(600))
    wide = (crops[:, 0, 16, -1] - crops[:, 0, 16, 0]).abs() * 255 / 175
    high = (crops[:, 1, -1, 16] - crops[:, 1, 0, 16]).abs() * 255 / 175
    area = wide * high
    # rows of pixels lie between the borders of the crop: a little less than its area
    assert least * 0.55 < area.min() < least * 1.5
    assert area.max() > 0.85


def _plain(least: float):
    from samix.data import Recipe

    return Recipe(least, 0.0, 0.0, 0.0, 0.0, blur=0.0, jitter=0.0, grey=0.0, flip=0.0)


def test_only_the_second_view_of_byol_is_solarised() -> None:
    batch = torch.full((800, 3, 32, 32), 250, dtype=torch.uint8)
    first, second = seen(two_views(32, recipe="byol"), batch)
    # jitter darkens white by at most 0.4, solarising inverts it
    assert ((first.mean((1, 2, 3)) < 0.45).float().mean()) == 0.0
    assert 0.13 < (second.mean((1, 2, 3)) < 0.45).float().mean() < 0.27


def test_blurs_above_64_px_only() -> None:
    from samix.data.two_views import _pipeline

    def kinds(size: int) -> set[str]:
        return {type(step).__name__ for step in _pipeline(two_views(size).recipes[0], size)}

    assert "RandomGaussianBlur" in kinds(65)
    assert "RandomGaussianBlur" not in kinds(64)


def test_recipes_are_those_of_lightly() -> None:
    from lightly.transforms import BYOLTransform, MoCoV2Transform, SimCLRTransform

    for name, theirs in (
        ("moco", MoCoV2Transform()), ("simclr", SimCLRTransform()), ("byol", BYOLTransform()),
    ):  # fmt: skip
        ours = two_views(224, recipe=name).recipes  # type: ignore[arg-type]
        for recipe, other in zip(ours, theirs.transforms, strict=True):
            steps = {type(step).__name__: step for step in other.transform.transforms}
            jitter = steps["RandomApply"].transforms[0]
            assert steps["RandomResizedCrop"].scale == (recipe.crop_area, 1.0)
            assert steps["RandomHorizontalFlip"].p == recipe.flip
            assert steps["RandomApply"].p == recipe.jitter
            assert jitter.brightness == pytest.approx(
                (1 - recipe.brightness, 1 + recipe.brightness)
            )
            assert jitter.contrast == pytest.approx((1 - recipe.contrast, 1 + recipe.contrast))
            assert jitter.saturation == pytest.approx(
                (1 - recipe.saturation, 1 + recipe.saturation)
            )
            assert jitter.hue == pytest.approx((-recipe.hue, recipe.hue))
            assert steps["RandomGrayscale"].p == recipe.grey
            assert steps["GaussianBlur"].prob == recipe.blur
            solarise = steps.get("RandomSolarization")
            assert (solarise.prob if solarise else 0.0) == recipe.solarise


def test_unknown_recipe_and_tiny_size() -> None:
    with pytest.raises(InputError, match=r"'mocco'.*moco, simclr, byol"):
        two_views(32, recipe="mocco")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got 4"):
        two_views(4)


def batches(images: ImageSet, epoch: int, **options: int) -> list[tuple[torch.Tensor, ...]]:
    dataset = ViewDataset(images, range(len(images)), two_views(16), seed=3)
    loader, _ = build_view_loader(dataset, 8, loading=Loading(seed=3, **options))
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [tuple(view.clone() for view in batch) for batch in loader]


def same(one: list[tuple[torch.Tensor, ...]], other: list[tuple[torch.Tensor, ...]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_batches_follow_seed_and_epoch_whatever_the_workers_and_memory() -> None:
    images = open_images("demo:photos_per_class=5,size=16")
    reference = batches(images, 1)
    assert [len(first) for first, _ in reference] == [8, 8, 8]  # of 30 photos, 6 wait
    assert same(reference, batches(images, 1))
    assert same(reference, batches(images, 1, num_workers=2, cache_budget=1))
    assert not same(reference, batches(images, 2))


def test_ranks_see_different_photos() -> None:
    images = open_images("demo:photos_per_class=5,size=16")
    first, second = (batches(images, 0, rank=rank, world_size=2) for rank in (0, 1))
    assert len(first) == len(second) == 1
    assert not torch.equal(first[0][0], second[0][0])


def test_a_single_batch_stays_whatever_its_size() -> None:
    images = open_images("demo:photos_per_class=1,size=16")
    assert [len(first) for first, _ in batches(images, 0)] == [6]


def test_labels_are_never_read() -> None:
    class Secret(tuple):
        def __getitem__(self, at: object) -> int:
            raise AssertionError("a label was read")

    images = open_images("demo:photos_per_class=5,size=16")
    object.__setattr__(images, "targets", Secret(images.targets))
    assert len(batches(images, 0)) == 3
