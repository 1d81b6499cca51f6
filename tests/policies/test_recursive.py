from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from samix import blend, create_method, create_policy, mix_collate, mix_targets
from samix.policies import RecursivePolicy

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "num_classes": 4,
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}


def policy_of(**options: object) -> RecursivePolicy:
    policy = create_policy("recursivemix", **options)
    assert isinstance(policy, RecursivePolicy)
    return policy


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_first_batch_is_not_mixed() -> None:
    images = torch.rand(4, 3, 16, 16)
    plan = policy_of().plan(images, generator=generator())
    assert torch.equal(blend(images, plan), images)
    assert torch.equal(plan.weight, torch.ones(4))


def test_an_earlier_mix_is_pasted_whole_and_small_with_its_label() -> None:
    policy, past, images = policy_of(), torch.rand(3, 3, 32, 32), torch.rand(4, 3, 32, 32)
    labels = torch.rand(3, 5).softmax(1)
    policy.after(past, labels)
    plan = policy.plan(images, generator=generator(3))
    mixed, soft = blend(images, plan), mix_targets(torch.arange(4), plan, 5)
    assert (plan.index < 3).all()
    for i in range(4):
        rows, columns = (plan.mask[i, 0] == 0).nonzero(as_tuple=True)
        box = (slice(int(rows.min()), int(rows.max()) + 1),
               slice(int(columns.min()), int(columns.max()) + 1))  # fmt: skip
        shown = mixed[i][:, box[0], box[1]]
        small = F.interpolate(past[[int(plan.index[i])]], shown.shape[1:], mode="bilinear")[0]
        assert torch.allclose(shown, small, atol=1e-5)
        wanted = plan.area[i] * F.one_hot(torch.tensor(i), 5)
        wanted = wanted + (1 - plan.area[i]) * labels[plan.index[i]]
        assert torch.allclose(soft[i], wanted, atol=1e-6)
    smoothed = mix_targets(torch.arange(4), plan, 5, label_smoothing=0.2)
    assert torch.allclose(smoothed, 0.8 * soft + 0.2 / 5, atol=1e-6)


def test_no_more_is_covered_than_may_be() -> None:
    policy, images = policy_of(reach=0.3), torch.rand(300, 1, 32, 32)
    policy.after(images, torch.ones(300, 1))
    covered = 1 - policy.plan(images).area
    assert covered.max() <= 0.3
    assert covered.mean() > 0.08


def test_a_method_remembers_what_it_mixed_and_labels_hold_ever_more_classes() -> None:
    torch.manual_seed(0)
    method = create_method("supervised", policy="recursivemix", **SMALL).eval()
    policy: Any = method.policy
    images, target = torch.randn(4, 3, 32, 32), torch.arange(4)
    for step in range(4):
        before = policy.past_target
        output = method(images, target)
        assert policy.past_images is not None
        assert torch.allclose(policy.past_images, blend(images, output.plan))
        if step:
            assert torch.equal(output.plan.source.target, before)
        wanted = F.cross_entropy(output.logits, policy.past_target)
        assert output.loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert ((policy.past_target > 1e-4).sum(1) > 2).any()


def test_what_is_remembered_is_part_of_the_state() -> None:
    torch.manual_seed(0)
    method = create_method("supervised", policy="recursivemix", **SMALL).eval()
    images, target = torch.randn(4, 3, 32, 32), torch.arange(4)
    method(images, target)
    other = create_method("supervised", policy="recursivemix", **SMALL).eval()
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert torch.equal(method(images, target).loss, other(images, target).loss)


def test_what_cannot_be_is_refused() -> None:
    policy = policy_of()
    policy.after(torch.rand(2, 3, 8, 8), torch.rand(2, 4))
    with pytest.raises(ValueError, match=r"images: expected \(3, 8, 8\) as in the batch before"):
        policy.plan(torch.rand(2, 3, 9, 9))
    policy.forget()
    policy.plan(torch.rand(2, 3, 9, 9))
    with pytest.raises(ValueError, match=r"soft_target: expected \(2,K\)"):
        policy.after(torch.rand(2, 3, 8, 8), torch.rand(2))
    with pytest.raises(ValueError, match="reach: expected a number above 0"):
        policy_of(reach=0.0)
    with pytest.raises(ValueError, match="policy: 'recursivemix' mixes with the batch before"):
        mix_collate("recursivemix", 4)
    for options, name in (
        ({"guard": True}, "guard"),
        ({"label": "area"}, "label"),
        ({"decoupled": 0.1}, "decoupled"),
        ({"pairing": "same"}, "pairing"),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            create_method("supervised", policy="recursivemix", **SMALL, **options)


def test_two_methods_that_were_given_one_policy_remember_what_each_mixed() -> None:
    policy = policy_of()
    one, other = (create_method("supervised", policy=policy, **SMALL) for _ in range(2))
    torch.manual_seed(0)
    one(torch.rand(4, 3, 16, 16), torch.arange(4))
    assert one.policy.past_images is not None
    assert other.policy.past_images is None
    assert policy.past_images is None
    mixup = create_policy("mixup")
    assert create_method("supervised", policy=mixup, **SMALL).policy is mixup
