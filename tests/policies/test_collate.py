from __future__ import annotations

import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import samix
from samix.policies import policy_options

MADE = {
    name: samix.create_policy(
        name, **({"channels": 4} if "channels" in policy_options(name) else {})
    )
    for name in samix.POLICIES
}
PLAIN = [
    name
    for name, policy in MADE.items()
    if not policy.traits.needs
    and policy.traits.seam == "pixel"
    and policy.traits.label != "attention"
    and policy.traits.sources != "history"
]


class Constant(Dataset):
    """Photo i is the constant i, of class i % 3."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        noise = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(index))
        return index + 0.5 * noise, index % 3


def batches(policy, seed=0, **options):
    torch.manual_seed(seed)
    collate = samix.mix_collate(policy, 3)
    return list(DataLoader(Constant(), batch_size=4, collate_fn=collate, **options))


@pytest.mark.parametrize("name", PLAIN)
def test_every_policy_that_needs_only_images(name):
    for images, target in batches(name):
        assert images.shape == (4, 3, 16, 16)
        assert target.shape == (4, 3)
        assert target.dtype == torch.float32
        assert torch.allclose(target.sum(1), torch.ones(4), atol=1e-6)


def test_images_and_targets_are_mixed_alike():
    black = TensorDataset(torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]), torch.arange(2))
    collate = samix.mix_collate("cutmix", num_classes=2)
    for images, target in DataLoader(black, batch_size=2, collate_fn=collate):
        # the share of white is the share of class 1
        assert torch.allclose(images.mean((1, 2, 3)), target[:, 1], atol=1e-6)


def test_torch_seeds_repeat_the_mixes_and_nothing_else_is_drawn():
    first, again, other = (batches("samix-p", seed) for seed in (0, 0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    torch.manual_seed(0)
    collate = samix.mix_collate("mixup", 3)
    collate([Constant()[i] for i in range(4)])
    state = torch.get_rng_state()
    torch.manual_seed(0)
    torch.empty((), dtype=torch.int64).random_()
    assert torch.equal(torch.get_rng_state(), state)


def test_in_worker_processes():
    first, again, other = (batches("samix-p", seed, num_workers=2) for seed in (0, 0, 1))
    assert len(first) == 3
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert not torch.equal(first[0][0], other[0][0])
    # each batch has draws of its own, also in different workers
    shares = [target.max(1).values for _, target in first]
    assert not torch.equal(shares[0], shares[1])


def test_it_can_be_pickled():
    collate = pickle.loads(pickle.dumps(samix.mix_collate("samix-p", num_classes=3)))
    images, target = collate([Constant()[i] for i in range(4)])
    assert images.shape == (4, 3, 16, 16)
    assert target.shape == (4, 3)


def test_targets_that_are_rows_and_label_smoothing():
    samples = [(torch.rand(3, 8, 8), torch.tensor([0.2, 0.8])) for _ in range(3)]
    _, target = samix.mix_collate("mixup")(samples)
    assert torch.allclose(target, torch.tensor([[0.2, 0.8]]).expand(3, 2))
    samples = [(torch.rand(3, 8, 8), 0) for _ in range(3)]
    _, target = samix.mix_collate("mixup", 2, label_smoothing=0.2)(samples)
    assert torch.allclose(target, torch.tensor([[0.9, 0.1]]).expand(3, 2))


def test_what_cannot_be_mixed_is_refused_with_a_sentence():
    learned = samix.create_policy("samix", channels=4)
    for policy in ("samix", learned):
        with pytest.raises(ValueError, match=r"'samix' needs features of the images.*'samix-p'"):
            samix.mix_collate(policy, 3)
    with pytest.raises(ValueError, match="the nearest is 'cutmix'"):
        samix.mix_collate("cutmics", 3)
    collate = samix.mix_collate("mixup", 3)
    with pytest.raises(ValueError, match=r"samples: expected pairs \(image, target\).*got dict"):
        collate([{"image": torch.rand(3, 8, 8), "label": 0}] * 2)
    with pytest.raises(TypeError, match="images: expected floating point"):
        collate([(torch.zeros(3, 8, 8, dtype=torch.int32), 0)] * 2)


def test_what_cannot_be_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing: expected a number in \[0, 1\), got 2"):
        samix.mix_collate("cutmix", 4, label_smoothing=2)
    with pytest.raises(ValueError, match="num_classes: expected at least 1, got 0"):
        samix.mix_collate("cutmix", 0)
    with pytest.raises(TypeError, match="num_classes: expected a whole number, got '4'"):
        samix.mix_collate("cutmix", "4")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="policy: expected a name, got 3"):
        samix.create_policy(3)  # type: ignore[arg-type]
