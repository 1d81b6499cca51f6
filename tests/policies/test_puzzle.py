from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from samix import Evidence, MixPlan, create_policy
from samix.mixing import CellMoves, at_size, visible_shares
from samix.policies import PuzzleEnergy
from samix.policies.puzzle import border_costs


def spots(places: list[tuple[int, int]], size: int = 32) -> torch.Tensor:
    """Gradients that are long around one place each."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    maps = [(-((rows - r) ** 2 + (columns - c) ** 2) / 18.0).exp() for r, c in places]
    return torch.stack(maps).unsqueeze(1) + 1e-4


def plan_of(gradient: torch.Tensor, seed: int = 0, **options: object) -> MixPlan:
    images = torch.rand(len(gradient), 3, *gradient.shape[2:])
    return create_policy("puzzlemix", **options).plan(
        images,
        evidence=Evidence(gradient=gradient),
        generator=torch.Generator().manual_seed(seed),
    )


def test_both_contents_are_shown_where_they_lie_apart() -> None:
    gradient = spots([(8, 8), (24, 24), (8, 24), (24, 8)])
    for seed in range(8):
        plan = plan_of(gradient, seed, transport=None)
        if (plan.mask.flatten(1).std(1) == 0).any():
            continue  # lam near an end
        seen = visible_shares(gradient, plan)
        assert seen.min() > 0.75


def test_transport_shows_more_of_both() -> None:
    gradient = F.interpolate(torch.rand(6, 1, 8, 8).pow(6), 32)
    seen = {}
    for transport in (None, 0.8, 0.01):
        plans = [plan_of(gradient, seed, transport=transport) for seed in range(6)]
        seen[transport] = torch.cat([visible_shares(gradient, plan) for plan in plans]).mean()
    assert seen[0.8] > seen[None] + 0.01
    assert seen[0.01] > seen[0.8] + 0.01
    plan = plan_of(gradient, 3)
    assert isinstance(plan.source, CellMoves)
    small = at_size(plan, (16, 16))
    assert small.source is plan.source


def test_the_area_follows_lam_through_the_prior() -> None:
    gradient = torch.rand(40, 1, 16, 16)
    plans = [plan_of(gradient, seed, energy=PuzzleEnergy(prior=1.0)) for seed in range(3)]
    lam = torch.cat([plan.lam for plan in plans])
    area = torch.cat([plan.area for plan in plans])
    assert torch.corrcoef(torch.stack([lam, area]))[0, 1] > 0.9
    levels = torch.cat([plan.mask.unique() for plan in plans]).unique()
    assert set(levels.tolist()) <= {0.0, 0.5, 1.0}


def test_border_costs_in_slow_loops() -> None:
    images, partner = torch.rand(1, 3, 16, 24), 3 * torch.rand(1, 3, 16, 24)
    scale = max(images.max(), partner.max()) - min(images.min(), partner.min())
    shown = {1: images[0], 0: partner[0]}
    for vertical in (True, False):
        # 2 x 3 cells of 8 px, compared by squares of 4 px
        costs = border_costs(images, partner, (2, 3), vertical=vertical)[0]
        for a, b in itertools.product((0, 1), repeat=2):
            for i, j in itertools.product(range(1 if vertical else 2), range(3 if vertical else 2)):
                total = 0.0
                for k in range(2):
                    if vertical:
                        first = shown[a][:, 4:8, 8 * j + 4 * k : 8 * j + 4 * k + 4]
                        second = shown[b][:, 8:12, 8 * j + 4 * k : 8 * j + 4 * k + 4]
                    else:
                        first = shown[a][
                            :, 8 * i + 4 * k : 8 * i + 4 * k + 4, 8 * j + 4 : 8 * j + 8
                        ]
                        second = shown[b][
                            :, 8 * i + 4 * k : 8 * i + 4 * k + 4, 8 * j + 8 : 8 * j + 12
                        ]
                    apart = first.mean((1, 2)) - second.mean((1, 2))
                    total += apart.abs().mean().item() / 2
                # the range is that of the squares, hence a little smaller than that of the pixels
                assert costs[a, b, i, j].item() * scale.item() >= total - 1e-5
                assert costs[a, b, i, j].item() * scale.item() < 4 * total + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth": -1.0}, "energy.smooth: expected a number of at least 0, got -1.0"),
        ({"levels": 1}, "energy.levels: expected 2 to 8, got 1"),
    ],
)
def test_weights_are_checked(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PuzzleEnergy(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="transport: expected a number above 0, or None"):
        create_policy("puzzlemix", transport=-1.0)
    with pytest.raises(TypeError, match=r"energy: expected samix\.policies\.PuzzleEnergy"):
        create_policy("puzzlemix", energy=0.3)
