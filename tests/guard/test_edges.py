"""What a guard must not overlook: empty content, labels of old partners, draws that mix nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from samix import Evidence, MixPlan, create_method, create_policy
from samix.guard import OUTCOMES, create_guard
from samix.methods.mix_step import relabel_before
from samix.mixing import EarlierBatch, Mosaic, by_content


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_masks(count: int = 64) -> tuple[torch.Tensor, torch.Tensor, Evidence]:
    """Photos, classes 0 good and 1 crack, and the places of the cracks alone."""
    target = torch.arange(count) % 2
    places = torch.zeros(count, 1, 32, 32)
    places[target == 1, :, 8:24, 8:24] = 1.0
    return torch.rand(count, 3, 32, 32), target, Evidence(saliency=places)


def test_an_empty_photo_does_not_hand_its_label_to_a_hidden_defect() -> None:
    images, target, evidence = with_masks()
    plan = create_policy("cutmix").plan(images, generator=seeded())
    corrected = by_content(plan, evidence.saliency)  # type: ignore[arg-type]
    mixed_kinds = target != target[plan.index]
    assert torch.equal(corrected.weight[mixed_kinds], plan.weight[mixed_kinds])
    both = (target == 1) & (target[plan.index] == 1)
    assert not torch.equal(corrected.weight[both], plan.weight[both])
    guard = create_guard({"saliency": "given"}, classes=["good", "crack"])
    kept, record = guard(images, plan, target=target, evidence=evidence, generator=seeded(2))
    assert guard.verdicts(images, kept, target=target, evidence=evidence)["visibility"].passed.all()
    assert (record.broken > 0).any()


@pytest.mark.parametrize("shares", [(1.0, 0.9), (1.0, 0.0), (0.4, 0.6)])
def test_a_forbidden_pair_is_one_that_is_seen_or_named(shares: tuple[float, float]) -> None:
    images, target = torch.rand(2, 3, 16, 16), torch.tensor([0, 1])
    mask = torch.ones(2, 1, 16, 16)
    mask[:, :, :8] = 0.0
    weight, partner = torch.full((2,), shares[0]), torch.full((2,), shares[1])
    plan = MixPlan(weight, torch.tensor([1, 0]), mask, weight, partner_weight=partner)
    guard = create_guard(
        {"visibility": False, "pairs": [{"never": ["a", "b"]}], "repair": ["clean"]}, ["a", "b"]
    )
    kept, record = guard(images, plan, target=target)
    assert record.repair.tolist() == [OUTCOMES.index("clean")] * 2
    assert not kept.mixed.any()
    assert not guard(images, kept, target=target)[1].repair.any()


def test_another_partner_brings_another_label() -> None:
    torch.manual_seed(0)
    method = create_method(
        "supervised",
        backbone="resnet18",
        stem="small",
        model_kwargs={"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
        num_classes=3,
        policy="cutmix",
        label="saliency",
        teacher_statistics="averaged",
        guard={"share": 0.6},
        classes=list("abc"),
    ).eval()
    images, target = torch.rand(64, 3, 32, 32, generator=seeded(3)), torch.arange(64) % 3
    evidence = method._evidence(images, target)
    plan, record = method._plan(images, target, evidence, seeded(4))
    relabel = relabel_before("saliency", evidence)
    assert record is not None
    assert relabel is not None
    changed = record.repair == OUTCOMES.index("partner")
    assert changed.sum() > 3
    kept = changed | (record.repair == OUTCOMES.index("accepted"))
    assert torch.allclose(plan.weight[kept], relabel(plan).weight[kept], atol=1e-5)


def test_a_fresh_draw_that_mixes_nothing_is_no_other_mask() -> None:
    images, policy = torch.rand(256, 3, 32, 32), create_policy("cutmix", p=0.3)
    guard = create_guard({"repair": ["mask", "clean"]})
    generator = seeded(5)
    kept, record = guard(
        images,
        policy.plan(images, generator=generator),
        redraw=lambda index: policy.plan(images, index=index, generator=generator),
    )
    redrawn = record.repair == OUTCOMES.index("mask")
    assert redrawn.any()
    assert kept.mixed[redrawn].all()


def test_classes_that_are_numbers_and_names_with_any_word() -> None:
    flags = create_guard({"good": [0]}, classes=["0", "1"]).empty
    assert flags is not None
    assert flags.tolist() == [True, False]
    loose, strict = (
        {"of": "without", "at_most": 0.3},
        {"of": "without", "at_most": 0.5, "with": "b"},
    )
    table = create_guard({"pairs": [loose, strict]}, classes=["without", "b", "c"]).most
    assert table is not None
    assert torch.allclose(table[:, 0], torch.tensor([1.0, 0.5, 0.3]))


def test_mixes_that_are_no_pairs_of_the_batch_are_refused() -> None:
    images = torch.rand(4, 3, 16, 16)
    plan = create_policy("cutmix").plan(images)
    guard = create_guard({})
    mosaic, earlier = Mosaic(torch.zeros(4, 2, 2).long()), EarlierBatch(images, torch.rand(4, 2))
    for source, name in ((mosaic, "many images"), (earlier, "an earlier batch")):
        with pytest.raises(ValueError, match=f"plan: a guard expected .* got mixes of {name}"):
            guard(images, replace(plan, source=source))
