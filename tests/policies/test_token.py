from __future__ import annotations

import pytest
import torch

from samix import Evidence, MixPlan, blend, create_policy, mix_collate


def attention(count: int, size: int = 8) -> torch.Tensor:
    values = torch.rand(count, 1, size, size).pow(3)
    return values / values.sum((2, 3), keepdim=True)


def plan_of(name: str, known: torch.Tensor, seed: int = 0, **options: object) -> MixPlan:
    return create_policy(name, **options).plan(
        torch.rand(len(known), 3, 32, 32),
        evidence=Evidence(attention=known),
        generator=torch.Generator().manual_seed(seed),
    )


def test_transmix_is_cutmix_before_the_pass() -> None:
    images = torch.rand(4, 3, 16, 16)
    ours, theirs = (
        create_policy(name).plan(images, generator=torch.Generator().manual_seed(0))
        for name in ("transmix", "cutmix")
    )
    assert torch.equal(ours.mask, theirs.mask)
    with pytest.raises(ValueError, match="policy: 'transmix' labels mixes by the attention"):
        mix_collate("transmix", 4)


def test_tokenmix_shows_whole_patches_and_counts_what_is_attended_to() -> None:
    known = attention(5)
    plan = plan_of("tokenmix", known)
    assert plan.partner_weight is not None
    for i in range(5):
        own = other = 0.0
        for row in range(8):
            for column in range(8):
                patch = plan.mask[i, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                assert len(patch.unique()) == 1
                own += (known[i, 0, row, column] * patch[0, 0]).item()
                other += (known[plan.index[i], 0, row, column] * (1 - patch[0, 0])).item()
        assert plan.weight[i].item() == pytest.approx(own, abs=1e-5)
        assert plan.partner_weight[i].item() == pytest.approx(other, abs=1e-5)
    many = plan_of("tokenmix", attention(200))
    assert (many.area - many.lam).mean().abs() < 0.05
    divided = plan_of("tokenmix", known, normalise=True)
    assert divided.partner_weight is None
    total = plan.weight + plan.partner_weight
    assert torch.allclose(divided.weight, plan.weight / total, atol=1e-6)


def test_tokenmix_shows_one_patch_at_least_but_none_where_lam_is_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for lam, patches in ((1.0, 0), (0.9999, 1)):
        drawn = torch.full((5,), lam)
        monkeypatch.setattr("samix.policies.token.draw_lam", lambda *a, _lam=drawn, **k: _lam)
        plan = plan_of("tokenmix", attention(5))
        assert torch.equal((1 - plan.mask).sum((1, 2, 3)), torch.full((5,), 16.0 * patches))
        if lam == 1.0:
            assert torch.allclose(plan.weight, torch.ones(5), atol=1e-6)


def test_smmix_covers_what_is_least_attended_with_what_is_most() -> None:
    known = attention(4)
    images = torch.rand(4, 3, 32, 32)
    plan = plan_of("smmix", known)
    mixed = blend(images, plan)
    for i in range(4):
        side = round(8 * (1 - plan.area[i].item()) ** 0.5)
        assert 2 <= side <= 6
        maps = known[i, 0], known[plan.index[i], 0]
        places = [(r, c) for r in range(9 - side) for c in range(9 - side)]

        def total(values: torch.Tensor, place: tuple[int, int], side: int = side) -> float:
            return values[place[0] : place[0] + side, place[1] : place[1] + side].sum().item()

        least = min(places, key=lambda place, values=maps[0]: total(values, place))
        most = max(places, key=lambda place, values=maps[1]: total(values, place))
        a, b = ([slice(4 * s, 4 * (s + side)) for s in place] for place in (least, most))
        partner = images[int(plan.index[i])]
        assert torch.equal(mixed[i][:, a[0], a[1]], partner[:, b[0], b[1]])
        outside = plan.mask[i, 0] == 1
        assert torch.equal(mixed[i][:, outside], images[i][:, outside])


def test_sides_are_checked() -> None:
    with pytest.raises(ValueError, match="sides: expected 0 < low <= high <= 1"):
        create_policy("smmix", sides=(0.5, 0.2))
    with pytest.raises(TypeError, match="sides: expected two numbers"):
        create_policy("smmix", sides=0.5)
