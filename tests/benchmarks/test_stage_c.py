"""The measures of stage C on masks whose truth is known, and its cells at a tiny size."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samix import MixPlan
from samix.mixing import constant_mask

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import small_objects
import stage_c
from oracle_policy import Oracle, oracle_mask, pasted_mask
from seeing import Pairs, area_error, exchange, measure, noisy_labels, object_shares
from small_objects import Objects, augmented, demo_defects, paste
from small_training import make_method, masks_of, pairs_of

SIZE = (8, 8)


def box(top: int, left: int) -> Tensor:
    region = torch.zeros(1, 1, *SIZE)
    region[:, :, top : top + 3, left : left + 3] = 1
    return region


def apart(count: int = 4) -> Pairs:
    """Photos whose objects lie in corners of their own."""
    corners = [(0, 0), (0, 5), (5, 0), (5, 5)]
    regions = torch.cat([box(*corners[i % 4]) for i in range(count)])
    index = (torch.arange(count) + 1) % count
    return Pairs(torch.randn(count, 3, *SIZE), regions, torch.arange(count), index)


def test_an_oracle_shows_both_objects_and_is_the_same_when_exchanged() -> None:
    pairs = apart()
    found = measure(
        lambda a, b, lam: oracle_mask(pairs.regions[a], pairs.regions[b], lam), pairs, None
    )
    assert found["own"] == 1
    assert found["partner"] == 0
    assert found["difference"] == 1
    assert found["own_pairs"] == found["partner_pairs"] == 4
    assert found["exchange_max"] < 1e-6
    assert found["exchange_correlation"] == pytest.approx(1)
    assert found["area_error"] < 1e-6
    assert found["label_noise"] == 0


def test_mixup_is_blind_and_its_area_is_lam() -> None:
    found = measure(lambda a, b, lam: constant_mask(lam, SIZE), apart(), None)
    assert found["own"] == found["partner"] == 0.5
    assert found["exchange_max"] == found["area_error"] == found["mask_deviation"] == 0
    assert math.isnan(found["exchange_correlation"])  # a constant goes with nothing
    assert found["label_noise"] == 0


def test_pixels_of_both_objects_are_left_out_and_photos_without_one_are_not_counted() -> None:
    own, partner = box(0, 0), box(0, 2)  # one column in common
    mask = own * (1 - partner)  # 1 where only the own object lies
    shares = object_shares(mask, own, partner)
    assert (shares["own"], shares["partner"]) == (1, 0)
    mask = own * partner  # 1 where both lie: says nothing
    shares = object_shares(mask, own, partner)
    assert (shares["own"], shares["partner"]) == (0, 0)
    two, none = torch.cat([own, own]), torch.cat([partner, torch.zeros_like(partner)])
    shares = object_shares(torch.ones_like(two), two, none)
    assert (shares["own_pairs"], shares["partner_pairs"], shares["partner"]) == (2, 1, 1)


def test_exchange_tells_a_mask_that_forgets_who_is_who() -> None:
    mask = torch.rand(2, 1, *SIZE)
    same = exchange(mask, 1 - mask)
    assert same["exchange_mean"] == pytest.approx(0, abs=1e-6)
    assert same["exchange_correlation"] == pytest.approx(1)
    forgets = exchange(mask, mask)  # the same mask, whoever is the original
    assert forgets["exchange_correlation"] == pytest.approx(-1)
    assert forgets["exchange_mean"] == pytest.approx((2 * mask - 1).abs().mean().item())
    assert exchange(torch.full_like(mask, 0.7), torch.full_like(mask, 0.5))[
        "exchange_max"
    ] == pytest.approx(0.2)


def test_area_error_is_the_mean_over_lam() -> None:
    wrong = area_error(lambda a, b, lam: constant_mask(lam.square(), SIZE), apart())
    lams = torch.tensor([0.2, 0.35, 0.5, 0.65, 0.8])
    assert wrong == pytest.approx((lams - lams.square()).mean().item())


def test_labels_are_noisy_where_they_promise_what_the_mask_hides() -> None:
    pairs = apart()
    lam = torch.tensor([0.5, 0.9, 0.75, 0.81])
    plan = MixPlan(lam, pairs.index, torch.ones(4, 1, *SIZE), lam)  # shows no partner
    assert noisy_labels(plan, pairs.regions, pairs.target) == 32  # 0.5 and 0.25 of four labels
    same = torch.zeros(4, dtype=torch.int64)  # one class: the own object shows what is promised
    assert noisy_labels(plan, pairs.regions, same) == 0


def test_the_oracle_keeps_its_objects_where_the_area_cannot_be_lam() -> None:
    own, partner, lam = box(0, 0), box(5, 5), torch.tensor([0.05])
    mask = oracle_mask(own, partner, lam)
    assert torch.equal(mask, own)
    mask = pasted_mask(own, partner, lam, torch.tensor([True]))
    assert torch.equal(mask, 1 - partner)


def test_the_oracle_needs_the_regions_of_its_batch() -> None:
    pairs, oracle = apart(), Oracle()
    with pytest.raises(ValueError, match="regions"):
        oracle.plan(pairs.images)
    oracle.regions = pairs.regions
    plan = oracle.plan(pairs.images, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plan.mask[pairs.regions > 0], torch.ones(36))


def test_the_oracle_may_mix_as_mixup_where_an_object_is_missing() -> None:
    oracle = Oracle(fallback=True)
    oracle.regions = torch.cat([box(0, 0), box(5, 5), torch.zeros(1, 1, *SIZE)])
    plan = oracle.plan(torch.zeros(3, 3, *SIZE), index=torch.tensor([1, 0, 0]))
    assert torch.equal(plan.mask[:2][oracle.regions[:2] > 0], torch.ones(18))
    assert torch.equal(plan.mask[2], plan.lam[2].expand(1, *SIZE))


def pasted(count: int, seed: int = 0) -> Objects:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images, regions = paste(pixels, generator)
    return Objects(images, regions, torch.arange(count) % 2, ("a", "b"))


def test_pasted_objects_cover_what_their_regions_say() -> None:
    data, same = pasted(16), pasted(16)
    assert torch.equal(data.images, same.images)
    share = (data.regions.float() / 255).mean((1, 2, 3))
    assert ((share > 0.155) & (share < 0.2)).all()


def test_photos_and_regions_move_alike(generator: torch.Generator) -> None:
    regions = pasted(8).regions
    data = Objects(regions.expand(-1, 3, -1, -1), regions, torch.zeros(8).long(), ("a",), False)
    images, moved = augmented(data, torch.arange(8), generator)
    assert not torch.equal(moved, regions / 255)
    both = torch.stack([images[:, 0].flatten(1), moved.flatten(1)], dim=1)
    for pair in both:
        assert torch.corrcoef(pair)[0, 1] > 0.9999


def test_the_demos_defects_have_pixels_and_good_parts_have_none() -> None:
    data = demo_defects(0, {"test": 1})["test"]
    empty = data.regions.flatten(1).amax(1) == 0
    assert [data.classes[i] for i in data.target[empty]] == ["good"]


@pytest.mark.parametrize(("policy", "options"), [("samix", {}), ("samix-p", {"mixer": "demo"})])
def test_masks_of_learned_policies_are_those_of_their_plans(
    policy: str, options: dict[str, str]
) -> None:
    pairs = pairs_of(pasted(8), 8)
    method = make_method(policy, 2, 1, 0, **options).eval()
    plan = method.plan(pairs.images, generator=torch.Generator().manual_seed(0))
    masks = masks_of(method, pairs)
    assert torch.allclose(masks(pairs.first, plan.index, plan.lam), plan.mask, atol=1e-5)


def test_a_finished_cell_is_a_row_and_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = {"train": pasted(64), "test": pasted(64, 1)}
    monkeypatch.setattr(stage_c, "load", lambda *_: tiny)
    output, picture = tmp_path / "rows.csv", tmp_path / "pairs.webp"
    arguments = ["stage_c.py", "--clean", "--steps", "2", "--output", str(output)]
    monkeypatch.setattr(
        sys, "argv", [*arguments, "--log", str(tmp_path), "--pictures", str(picture)]
    )
    stage_c.main()
    first = output.read_text()
    assert len(first.splitlines()) == 2
    assert picture.stat().st_size > 0
    stage_c.main()
    assert output.read_text() == first
    monkeypatch.setattr(sys, "argv", [*arguments, "--table"])
    capsys.readouterr()
    stage_c.main()
    assert "samix" in capsys.readouterr().out.splitlines()[-1]


def test_sets_have_names() -> None:
    with pytest.raises(ValueError, match="pasted, demo, tiles"):
        small_objects.load("paste", Path(), 0)
