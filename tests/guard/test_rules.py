"""Rules on hand-made mixes where the right verdict is obvious."""

from dataclasses import replace

import pytest
import torch

from samix.guard import pair_verdict, plausibility_verdict, range_verdict, visibility_verdict
from samix.mixing import Grid, MixPlan, area_of, box_mask, constant_mask

SIZE = 8


def box_plan(box, index=(1, 0)):
    mask = box_mask(torch.tensor(box), (SIZE, SIZE))
    area = area_of(mask)
    return MixPlan(area, torch.tensor(index), mask, area)


def spot(*places):
    """Content in one pixel of each image."""
    saliency = torch.zeros(len(places), 1, SIZE, SIZE)
    for i, (row, column) in enumerate(places):
        saliency[i, 0, row, column] = 1.0
    return saliency


def test_a_defect_that_was_cut_away_breaks_the_rule():
    # both images show the partner in the upper left quarter
    plan = box_plan([[0, 0, 4, 4], [0, 0, 4, 4]])
    covered = visibility_verdict(plan, spot((1, 1), (1, 1)), weight=0.2, share=0.5)
    assert covered.passed.tolist() == [False, False]  # the original's content lies under the box
    assert covered.number.tolist() == [0.0, 0.0]
    outside = visibility_verdict(plan, spot((6, 6), (6, 6)), weight=0.2, share=0.5)
    assert outside.passed.tolist() == [False, False]  # the partner's content is not in the box
    seen = visibility_verdict(plan, spot((6, 6), (1, 1)), weight=0.2, share=0.5)
    assert seen.passed.tolist() == [True, False]  # the first shows both, the second neither
    assert seen.number.tolist() == [1.0, 0.0]


def test_a_source_that_the_label_hardly_names_need_not_be_seen():
    plan = box_plan([[0, 0, 3, 3], [0, 0, 3, 3]])  # 9 of 64 pixels, weight 0.14
    verdict = visibility_verdict(plan, spot((6, 6), (6, 6)), weight=0.2, share=0.5)
    assert verdict.passed.all()
    assert not visibility_verdict(plan, spot((6, 6), (6, 6)), weight=0.1, share=0.5).passed.any()


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_mixup_hides_nothing(share):
    lam = torch.tensor([0.3, 0.7])
    plan = MixPlan(lam, torch.tensor([1, 0]), constant_mask(lam, (SIZE, SIZE)), lam)
    saliency = torch.rand(2, 1, SIZE, SIZE)
    assert visibility_verdict(plan, saliency, weight=0.2, share=share).passed.all()


def test_a_soft_mask_shows_what_it_shows_as_strongly_as_the_label_says():
    mask = torch.full((2, 1, SIZE, SIZE), 0.5)
    mask[:, :, :4] = 0.1  # the upper half shows a fifth of what the label promises
    plan = MixPlan(torch.tensor([0.5, 0.5]), torch.tensor([1, 0]), mask, torch.tensor([0.5, 0.5]))
    verdict = visibility_verdict(plan, spot((1, 1), (6, 6)), weight=0.2, share=0.5)
    torch.testing.assert_close(verdict.number, torch.tensor([0.2, 1.0]))
    assert verdict.passed.tolist() == [False, True]


def test_a_good_part_has_nothing_to_lose_and_a_class_is_seen_in_either_source():
    plan = box_plan([[0, 0, 4, 4], [0, 0, 4, 4]])
    saliency = spot((1, 1), (1, 1))
    options = {"weight": 0.2, "share": 0.5}
    target, empty = torch.tensor([0, 1]), torch.tensor([True, False])
    verdict = visibility_verdict(plan, saliency, target=target, empty=empty, **options)
    assert verdict.passed.tolist() == [True, False]  # the good original may be covered
    same = visibility_verdict(plan, saliency, target=torch.tensor([1, 1]), **options)
    assert same.passed.tolist() == [True, True]  # the crack of the partner is there


def test_a_moved_partner_is_read_where_it_is():
    # the partner's lower right quarter is shown in the upper left one
    plan = box_plan([[0, 0, 4, 4], [0, 0, 4, 4]])
    places = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    rows, columns = torch.meshgrid(places + 1.0, places + 1.0, indexing="ij")
    grid = torch.stack([columns, rows], -1).expand(2, SIZE, SIZE, 2).clamp(-1, 1)
    moved = MixPlan(plan.lam, plan.index, plan.mask, plan.weight, Grid(grid))
    saliency = spot((6, 6), (6, 6))
    assert visibility_verdict(moved, saliency, weight=0.2, share=0.9).passed.all()


def test_a_map_of_another_size_is_understood():
    plan = box_plan([[0, 0, 4, 4], [0, 0, 4, 4]])
    small = torch.zeros(2, 1, 2, 2)
    small[:, 0, 0, 0] = 1.0
    assert visibility_verdict(plan, small, weight=0.2, share=0.5).number.tolist() == [0.0, 0.0]


def test_pairs_are_limited_by_the_table():
    most = torch.ones(3, 3)
    most[0, 1] = most[1, 0] = 0.0  # never together
    most[0, 2] = 0.3  # of class 2 at most 0.3 beside class 0
    lam = torch.tensor([0.5, 0.5, 0.6, 0.8, 1.0])
    index = torch.tensor([1, 2, 0, 4, 3])
    target = torch.tensor([0, 1, 2, 0, 2])
    mask = constant_mask(lam, (SIZE, SIZE))
    verdict = pair_verdict(MixPlan(lam, index, mask, lam), target, most)
    # 0 with 1 | 1 with 2 | 2 (0.6) with 0 | 0 with 2 (0.2) | 2 unmixed
    assert verdict.passed.tolist() == [False, True, False, True, True]
    torch.testing.assert_close(verdict.limit[2], torch.tensor(0.3))
    torch.testing.assert_close(verdict.number[2], torch.tensor(0.6))


def test_a_partner_has_the_share_that_the_label_gives_it_and_not_the_rest():
    plan = box_plan([[0, 0, 3, 3], [0, 0, 3, 3]])  # the partner is seen in 9 of 64 pixels
    more = replace(plan, partner_weight=torch.tensor([0.4, 0.1]))  # as in SnapMix
    hidden = spot((6, 6), (6, 6))
    verdict = visibility_verdict(more, hidden, weight=0.2, share=0.5)
    assert verdict.passed.tolist() == [False, True]
    most = torch.tensor([[1.0, 0.3], [1.0, 1.0]])  # class 1 has at most 0.3 beside class 0
    target = torch.tensor([0, 1])
    assert pair_verdict(plan, target, most).passed.tolist() == [True, False]
    verdict = pair_verdict(more, target, most)
    assert verdict.passed.tolist() == [False, False]
    torch.testing.assert_close(verdict.number, torch.tensor([0.4, 1.0 - 9 / 64]))


def test_plausibility_adds_both_sources_and_counts_one_class_once():
    lam = torch.tensor([0.5, 0.5, 0.5])
    plan = MixPlan(lam, torch.tensor([1, 2, 0]), constant_mask(lam, (SIZE, SIZE)), lam)
    probability = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.2, 0.7], [0.4, 0.6, 0.0]])
    verdict = plausibility_verdict(probability, plan, torch.tensor([0, 1, 1]), 0.45)
    torch.testing.assert_close(verdict.number, torch.tensor([0.5, 0.2, 1.0]))
    assert verdict.passed.tolist() == [True, False, True]


def test_range_compares_weight_area_and_lam():
    mask = constant_mask(torch.tensor([0.5, 0.5, 0.5]), (SIZE, SIZE))
    lam, weight = torch.tensor([0.5, 0.8, 0.5]), torch.tensor([0.5, 0.5, 0.1])
    verdict = range_verdict(MixPlan(lam, torch.tensor([1, 2, 0]), mask, weight), 0.2)
    assert verdict.passed.tolist() == [True, False, False]
    torch.testing.assert_close(verdict.number, torch.tensor([0.0, 0.3, 0.4]))
