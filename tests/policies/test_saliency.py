from __future__ import annotations

import pytest
import torch

from samix import Evidence, MixPlan, Policy, create_policy
from samix.mixing import blur_saliency, saliency_peak, saliency_ratio, spectral_residual


def with_blob(places: list[tuple[int, int]], size: int = 48) -> torch.Tensor:
    """Grey photos of faint noise with one bright blob each."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    noise = 0.01 * torch.rand(
        len(places), 3, size, size, generator=torch.Generator().manual_seed(5)
    )
    blobs = [(-((rows - row) ** 2 + (columns - column) ** 2) / 8.0).exp() for row, column in places]
    return noise + torch.stack(blobs).unsqueeze(1)


PLACES = [(12, 12), (34, 14), (20, 36), (30, 30)]


def plan_of(policy: Policy, images: torch.Tensor, **known: object) -> MixPlan:
    return policy.plan(images, generator=torch.Generator().manual_seed(1), **known)


def box_of(mask: torch.Tensor) -> tuple[int, int, int, int]:
    rows, columns = (mask == 0).nonzero(as_tuple=True)
    return (
        int(rows.min()),
        int(columns.min()),
        int(rows.max()) + 1,
        int(columns.max()) + 1,
    )


def test_the_peak_is_the_middle_of_the_highest_place() -> None:
    saliency = torch.zeros(2, 1, 4, 5)
    saliency[0, 0, 3, 1] = saliency[1, 0, 0, 4] = 1.0
    wanted = torch.tensor([[3.5 / 4, 1.5 / 5], [0.5 / 4, 4.5 / 5]])
    assert torch.allclose(saliency_peak(saliency), wanted)


def test_saliencymix_centres_its_box_at_the_most_salient_pixel_of_the_partner() -> None:
    images = with_blob(PLACES)
    peaks = (saliency_peak(spectral_residual(images)) * 48).long()
    for peak, place in zip(peaks.tolist(), PLACES, strict=True):
        assert max(abs(a - b) for a, b in zip(peak, place, strict=True)) <= 2
    looked = 0
    for seed in range(12):
        plan = create_policy("saliencymix").plan(
            images, generator=torch.Generator().manual_seed(seed)
        )
        for i in range(4):
            row, column = peaks[plan.index[i]].tolist()
            half = int((1 - plan.lam[i]).sqrt() * 48 / 2)
            wanted = torch.ones(48, 48)
            wanted[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
            assert torch.equal(plan.mask[i, 0], wanted)
            looked += half > 0
    assert looked > 40


def test_saliencymix_looks_at_the_view_that_partners_are_taken_from() -> None:
    images, other = with_blob(PLACES), with_blob(PLACES[::-1])
    plan = plan_of(create_policy("saliencymix"), images, evidence=Evidence(partner_images=other))
    turned = plan_of(create_policy("saliencymix"), other)
    assert torch.equal(plan.mask, turned.mask)
    assert not torch.equal(plan.mask, plan_of(create_policy("saliencymix"), images).mask)


def test_guidedmixup_shows_each_image_where_it_is_salient() -> None:
    images = with_blob(PLACES)
    plan = plan_of(create_policy("guidedmixup"), images)
    for i, (row, column) in enumerate(PLACES):
        partner = PLACES[int(plan.index[i])]
        for place, extreme in (
            ((row, column), plan.mask[i, 0].argmax()),
            (partner, plan.mask[i, 0].argmin()),
        ):
            found = divmod(int(extreme), 48)
            assert max(abs(a - b) for a, b in zip(found, place, strict=True)) <= 2
        assert plan.mask[i, 0, row, column] > 2 / 3
        assert plan.mask[i, 0, partner[0], partner[1]] < 1 / 3
    assert torch.equal(plan.weight, plan.area)
    assert torch.equal(plan.lam, plan.area)


def test_guidedmixup_shares_are_those_of_the_pair() -> None:
    policy, images = create_policy("guidedmixup"), with_blob(PLACES)
    swapped = torch.tensor([1, 0, 3, 2])
    plan = policy.plan(images, index=swapped)
    # what one image of a pair shows, the other does not
    assert torch.allclose(plan.mask + plan.mask[swapped], torch.ones(()), atol=1e-5)
    itself = policy.plan(images, index=torch.arange(4))
    assert torch.allclose(itself.mask, torch.full((), 0.5))


def test_the_ratio_of_empty_maps_is_even_and_that_of_tiny_ones_defined() -> None:
    even = blur_saliency(torch.zeros(2, 1, 6, 6))
    assert torch.allclose(even, torch.full((), 1 / 36))
    assert torch.allclose(saliency_ratio(even, even, (12, 9)), torch.full((), 0.5))
    for side in (1, 2, 3):
        maps = blur_saliency(torch.rand(2, 1, side, side)), blur_saliency(torch.rand(2, 1, side, 4))
        assert all(torch.allclose(m.sum((1, 2, 3)), torch.ones(2)) for m in maps)
        ratio = saliency_ratio(maps[0], maps[0].flip(0), (5, 5))
        assert ratio.shape == (2, 1, 5, 5)
        assert torch.isfinite(ratio).all()


def test_the_blur_is_a_gaussian_in_a_window_of_seven() -> None:
    point = torch.zeros(1, 1, 15, 15)
    point[0, 0, 7, 7] = 1.0
    blurred = blur_saliency(point)[0, 0]
    steps = torch.arange(-3.0, 4.0)
    line = (-(steps**2) / 18).exp()
    wanted = torch.outer(line, line) / line.sum() ** 2
    assert torch.allclose(blurred[4:11, 4:11], wanted, atol=1e-6)
    assert (blurred > 0).sum() == 49


def test_the_plan_carries_no_gradient() -> None:
    images = with_blob(PLACES).requires_grad_(True)
    for name in ("saliencymix", "guidedmixup"):
        assert not plan_of(create_policy(name), images).mask.requires_grad


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images: expected a batch \(B,C,H,W\), got \(3, 8, 8\)"):
        create_policy("saliencymix").plan(torch.rand(3, 8, 8))
