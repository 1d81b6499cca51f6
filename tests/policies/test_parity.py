"""The same parameters give what torchvision and timm give, and the difference where they do not."""
# ruff: noqa: NPY002 - timm draws from the global state of numpy

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.data import Mixup
from timm.data.mixup import rand_bbox
from torchvision.transforms import v2

from samix import MixPlan, blend, mix_targets
from samix.mixing import box_area, constant_mask, cut_box
from samix.policies.static import box_plan

IMAGES = torch.rand(6, 3, 20, 14, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0, 1, 2, 3, 0, 1])


def rolled() -> torch.Tensor:
    """The partners of torchvision."""
    return torch.arange(6).roll(1)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_of_torchvision(seed: int) -> None:
    theirs = v2.MixUp(alpha=0.7, num_classes=4)
    torch.manual_seed(seed)
    lam = theirs._dist.sample(()).float().expand(6)
    plan = MixPlan(lam, rolled(), constant_mask(lam, (20, 14)), lam)
    torch.manual_seed(seed)
    images, target = theirs(IMAGES, TARGET)
    assert torch.allclose(blend(IMAGES, plan), images, atol=1e-6)
    assert torch.allclose(mix_targets(TARGET, plan, 4), target, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_of_torchvision(seed: int) -> None:
    theirs = v2.CutMix(alpha=0.7, num_classes=4)
    torch.manual_seed(seed)
    lam = theirs._dist.sample(()).float()
    column, row = torch.randint(14, (1,)), torch.randint(20, (1,))
    centre = torch.cat([(row + 0.5) / 20, (column + 0.5) / 14]).expand(6, 2)
    box = cut_box(lam.expand(6), centre, (20, 14))
    plan = box_plan(lam.expand(6), rolled(), box, (20, 14))
    torch.manual_seed(seed)
    images, target = theirs(IMAGES, TARGET)
    assert torch.allclose(blend(IMAGES, plan), images, atol=1e-6)
    assert torch.allclose(mix_targets(TARGET, plan, 4), target, atol=1e-6)


def test_mixup_of_timm_by_sample() -> None:
    theirs = Mixup(mixup_alpha=0.7, mode="elem", num_classes=4, label_smoothing=0.1)
    np.random.seed(3)
    lam = torch.from_numpy(theirs._params_per_elem(6)[0])
    index = torch.arange(5, -1, -1)
    plan = MixPlan(lam, index, constant_mask(lam, (20, 14)), lam)
    np.random.seed(3)
    images, target = theirs(IMAGES.clone(), TARGET)
    assert torch.allclose(blend(IMAGES, plan), images, atol=1e-6)
    assert torch.allclose(mix_targets(TARGET, plan, 4, label_smoothing=0.1), target, atol=1e-6)


def test_cutmix_of_timm_has_boxes_of_odd_size_too() -> None:
    """The difference: timm rounds the side of a box down, we and torchvision half of it."""
    np.random.seed(0)
    for lam in torch.rand(200).tolist():
        state = np.random.get_state()
        top, bottom, left, right = (int(v) for v in rand_bbox((3, 20, 14), lam))
        np.random.set_state(state)
        row, column = np.random.randint(0, 20, size=None), np.random.randint(0, 14, size=None)
        centre = torch.tensor([[(row + 0.5) / 20, (column + 0.5) / 14]])
        ours = cut_box(torch.tensor([lam]), centre, (20, 14))[0].tolist()
        apart = [b - a for a, b in zip(ours, (top, left, bottom, right), strict=True)]
        assert all(0 <= value <= 1 for value in apart[2:])
        assert apart[:2] == [0, 0]
    area = box_area(torch.tensor([[0, 0, 5, 5]]), (10, 10))
    assert area.item() == 0.75
