from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samix import Evidence, MixPlan, create_policy


def features_with(bright: list[list[tuple[int, int]]], size: int = 7) -> Tensor:
    """Feature maps whose vectors are long in the given cells."""
    features = 0.01 * torch.rand(len(bright), 5, size, size)
    for image, cells in zip(features, bright, strict=True):
        for row, column in cells:
            image[:, row, column] += 1.0
    return features


def plan_of(evidence: Evidence, images: Tensor, **options: object) -> MixPlan:
    policy = create_policy("attentivemix", **options)
    return policy.plan(images, evidence=evidence, generator=torch.Generator().manual_seed(1))


def test_the_six_most_attended_cells_of_the_partner_are_pasted() -> None:
    generator = torch.Generator().manual_seed(2)
    bright = [
        [divmod(int(i), 7) for i in torch.randperm(49, generator=generator)[:6]] for _ in range(4)
    ]
    plan = plan_of(Evidence(features=features_with(bright)), torch.rand(4, 3, 56, 56))
    for i in range(4):
        wanted = torch.ones(56, 56)
        for row, column in bright[int(plan.index[i])]:
            wanted[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 0
        assert torch.equal(plan.mask[i, 0], wanted)
    assert torch.allclose(plan.weight, torch.full((4,), 1 - 6 / 49))
    assert torch.equal(plan.lam, plan.weight)


def test_lam_can_be_drawn_instead() -> None:
    evidence = Evidence(features=torch.randn(40, 5, 14, 14))
    plan = plan_of(evidence, torch.rand(40, 3, 56, 56), share=None)
    assert (plan.area - plan.lam).abs().max() <= 0.5 / 49 + 1e-6
    assert plan.lam.std() > 0.2


def test_partners_are_looked_at_in_their_own_view() -> None:
    own, other = features_with([[(0, 0)]] * 2), features_with([[(6, 6)]] * 2)
    evidence = Evidence(features=own, partner_features=other)
    plan = plan_of(evidence, torch.rand(2, 3, 14, 14), share=1 / 49)
    assert (plan.mask[:, 0, 12:, 12:] == 0).all()
    assert plan.mask.sum() == 2 * (14 * 14 - 4)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_the_share_has_a_range(share: float) -> None:
    with pytest.raises(ValueError, match="share: expected a number between 0 and 1"):
        create_policy("attentivemix", share=share)


def test_evidence_must_fit_the_batch() -> None:
    images = torch.rand(4, 3, 14, 14)
    with pytest.raises(ValueError, match=r"evidence.features: expected \(4,C,h,w\) for 4 images"):
        plan_of(Evidence(features=torch.rand(3, 5, 7, 7)), images)
    needs = {"smmix": "attention", "snapmix": "activation", "puzzlemix": "gradient"}
    for name, need in needs.items():
        with pytest.raises(ValueError, match=rf"evidence.{need}: expected \(4,1,h,w\) for 4"):
            create_policy(name).plan(images, evidence=Evidence(**{need: torch.rand(4, 3, 7, 7)}))
    with pytest.raises(ValueError, match=r"evidence.features: expected \(4,C,h,w\) for 4 images"):
        create_policy("samix", channels=5).plan(
            images, evidence=Evidence(features=torch.rand(3, 5, 7, 7))
        )
