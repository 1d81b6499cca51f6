from __future__ import annotations

import math

import pytest
import torch

from samix.mixing import (
    box_area,
    cut_box,
    draw_cut,
    draw_index,
    draw_lam,
    draw_uniform,
    step_generator,
)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0, 8.0])
def test_lam_has_the_moments_of_beta(alpha: float, generator: torch.Generator) -> None:
    lam = draw_lam(40_000, alpha, generator=generator)
    assert lam.dtype == torch.float32
    assert lam.shape == (40_000,)
    assert 0.0 <= lam.min() <= lam.max() <= 1.0
    assert lam.mean().item() == pytest.approx(0.5, abs=0.01)
    assert lam.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_a_tiny_alpha_gives_no_nan(generator: torch.Generator) -> None:
    assert torch.isfinite(draw_lam(10_000, 1e-3, generator=generator)).all()


@pytest.mark.parametrize("alpha", [1e-3, 1e-6])
def test_a_tiny_alpha_mixes_all_but_nothing(alpha: float, generator: torch.Generator) -> None:
    lam = draw_lam(10_000, alpha, generator=generator)
    assert ((lam < 0.01) | (lam > 0.99)).float().mean() > 0.98
    assert lam.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan])
def test_alpha_must_be_above_zero(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha: expected a number above 0"):
        draw_lam(4, alpha)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 64])
def test_index_is_one_cycle_through_the_batch(batch: int, generator: torch.Generator) -> None:
    for _ in range(20):
        index = draw_index(batch, generator=generator)
        seen, at = [], 0
        for _ in range(batch):
            seen.append(at)
            at = int(index[at])
        assert at == 0
        assert sorted(seen) == list(range(batch))


def test_index_reaches_every_partner_equally(generator: torch.Generator) -> None:
    partners = torch.stack([draw_index(5, generator=generator) for _ in range(4000)])
    for sample in range(5):
        share = torch.bincount(partners[:, sample], minlength=5) / 4000
        assert share[sample] == 0
        others = torch.cat([share[:sample], share[sample + 1 :]])
        assert torch.allclose(others, torch.tensor(0.25), atol=0.03)


def test_draws_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    draw_lam(8, 1.0)
    draw_index(8)
    draw_uniform(8)
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_without_a_generator_differ() -> None:
    assert not torch.equal(draw_lam(8, 1.0), draw_lam(8, 1.0))


def test_step_generator_is_a_function_of_seed_step_and_rank() -> None:
    def draw(*key: int) -> tuple[float, ...]:
        return tuple(torch.rand(3, generator=step_generator(*key)).tolist())

    assert draw(1, 2, 3) == draw(1, 2, 3)
    keys = [(seed, step, rank) for seed in range(4) for step in range(4) for rank in range(4)]
    assert len({draw(*key) for key in keys}) == len(keys)


def test_a_generator_on_another_device_is_refused() -> None:
    class Elsewhere(torch.Generator):
        device = torch.device("meta")  # type: ignore[assignment]

    with pytest.raises(ValueError, match="generator: expected one on the CPU, got one on meta"):
        draw_uniform(2, generator=Elsewhere())


@pytest.mark.parametrize("size", [(32, 32), (24, 17), (1, 5)])
def test_a_drawn_cut_is_the_box_of_its_lam_and_centre(size: tuple[int, int]) -> None:
    drawn = [torch.Generator().manual_seed(4) for _ in range(2)]
    lam, box, area = draw_cut(500, 0.7, size, generator=drawn[0])
    assert torch.equal(lam, draw_lam(500, 0.7, generator=drawn[1]))
    wanted = cut_box(lam, draw_uniform(500, 2, generator=drawn[1]), size)
    assert torch.equal(box, wanted)
    assert torch.equal(area, box_area(wanted, size))
    with pytest.raises(ValueError, match="alpha: expected a number above 0, got 0"):
        draw_cut(2, 0, size)
