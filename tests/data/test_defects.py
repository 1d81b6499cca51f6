from __future__ import annotations

import numpy as np
import pytest

from samix.data.demo import DEFECTS, blotches, light, texture

FLAWED = [name for name in DEFECTS if name != "good"]


def flat() -> np.ndarray:
    return np.full((144, 144), 0.5, dtype=np.float32)


@pytest.mark.parametrize("name", FLAWED)
@pytest.mark.parametrize("seed", range(8))
def test_the_mask_is_where_the_surface_changes(name: str, seed: int) -> None:
    marked = DEFECTS[name](np.random.default_rng(seed), flat(), 2.0)
    change = np.abs(marked.plane - 0.5) + marked.warmth
    assert marked.mask.any()
    assert change[marked.mask].mean() > 0.05
    assert change[marked.mask].sum() > 0.7 * change.sum()
    assert change[~marked.mask].mean() < 0.1 * change[marked.mask].mean()


@pytest.mark.parametrize("name", FLAWED)
def test_defects_lie_inside_every_view(name: str) -> None:
    for seed in range(40):
        mask = DEFECTS[name](np.random.default_rng(seed), flat(), 2.0).mask
        assert mask[16:-16, 16:-16].sum() > 0.6 * mask.sum()


def test_good_changes_nothing() -> None:
    marked = DEFECTS["good"](np.random.default_rng(0), flat(), 2.0)
    assert (marked.plane == 0.5).all()
    assert not marked.warmth.any()
    assert not marked.mask.any()


def test_defects_leave_their_input_alone() -> None:
    for draw in DEFECTS.values():
        plane = flat()
        draw(np.random.default_rng(0), plane, 2.0)
        assert (plane == 0.5).all()


def test_noise_has_the_stated_moments_and_size() -> None:
    rng = np.random.default_rng(0)
    for length in (2.0, 8.0):
        noise = blotches(rng, 128, length)
        assert noise.mean() == pytest.approx(0, abs=1e-4)
        assert noise.std() == pytest.approx(1, abs=1e-3)
    neighbours = [
        np.corrcoef(n[:, 4:].ravel(), n[:, :-4].ravel())[0, 1]
        for n in (blotches(rng, 128, 2.0), blotches(rng, 128, 8.0))
    ]
    assert neighbours[0] < 0.6 < neighbours[1]


def test_surfaces_and_lights_vary_but_stay_in_range() -> None:
    means = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        photo = texture(rng, 144, 2.0) * light(rng, 144)
        means.append(photo.mean())
        assert 0.05 < np.quantile(photo, 0.01) < np.quantile(photo, 0.99) < 1
    assert np.std(means) > 0.03
