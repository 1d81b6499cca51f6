from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
import torch
from timm.data import Mixup
from torch.utils.data import DataLoader, TensorDataset, default_collate

import samix


def batch(size: int = 8, classes: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(size, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return images, torch.arange(size) % classes


def test_it_does_what_its_labels_say():
    mix = samix.BatchMix("cutmix", 6, label_smoothing=0.1)
    check = samix.check_policy(mix, [batch()])
    assert check.passed, check
    assert any("label smoothing of 0.1" in note for note in check.notes)
    assert mix.step == 0  # a copy was checked


@pytest.mark.parametrize("size", [1, 2, 7])
def test_batches_of_any_size_and_precision(size):
    images, target = batch(size)
    for dtype in (torch.float32, torch.bfloat16):
        mixed, soft = samix.BatchMix("mixup", 6)(images.to(dtype), target)
        assert mixed.shape == images.shape
        assert mixed.dtype == dtype
        assert soft.dtype == torch.float32
        assert torch.allclose(soft.sum(1), torch.ones(size))


def test_it_takes_the_place_of_timms():
    """The same calls, the same kinds of answers, the same switch; what timm changes stays."""
    images, target = batch()
    theirs = Mixup(0.8, 1.0, num_classes=6, label_smoothing=0.1)
    ours = samix.BatchMix(samix.create_policy("mixup-cutmix", alpha=0.8), 6, label_smoothing=0.1)
    for mix in (theirs, ours):
        mixed, soft = mix(images.clone(), target)
        assert mixed.shape == images.shape
        assert soft.shape == (8, 6)
        assert soft.min().item() == pytest.approx(0.1 / 6)
        mix.mixup_enabled = False
    (plain, theirs_off), (also_plain, ours_off) = (
        m(images.clone(), target) for m in (theirs, ours)
    )
    assert torch.equal(plain, images)
    assert torch.equal(also_plain, images)
    assert torch.allclose(theirs_off, ours_off)


def test_draws_follow_seed_and_step():
    images, target = batch()
    first, again, other = (samix.BatchMix("fmix", 6, seed=seed) for seed in (0, 0, 1))
    one, two = first(images, target)[0], first(images, target)[0]
    assert not torch.equal(one, two)
    assert torch.equal(again(images, target)[0], one)
    assert not torch.equal(other(images, target)[0], one)
    again.step = 1
    assert torch.equal(again(images, target)[0], two)
    state = torch.get_rng_state()
    first(images, target)
    assert torch.equal(torch.get_rng_state(), state)


def test_ranks_draw_differently(monkeypatch):
    import torch.distributed as dist

    images, target = batch()
    found = []
    for rank in (0, 1):
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        found.append(samix.BatchMix("mixup", 6)(images, target)[0])
    assert not torch.equal(*found)


def test_pairs_by_class():
    images, target = batch()
    _, soft = samix.BatchMix("mixup", 6, pairing="same")(images, target)
    assert torch.equal(soft, torch.nn.functional.one_hot(target, 6).float())


def test_it_can_be_copied_and_pickled():
    mix = samix.BatchMix("cutmix", 6, seed=3)
    images, target = batch()
    wanted = copy.deepcopy(mix)(images, target)
    sent = pickle.loads(pickle.dumps(mix))(images, target)
    assert torch.equal(wanted[0], sent[0])


def test_what_cannot_be_mixed_is_refused():
    for name in ("samix", "attentivemix", "manifold-mixup"):
        with pytest.raises(ValueError, match="use it inside a method"):
            samix.BatchMix(name, 6)
    with pytest.raises(ValueError, match="the nearest is 'cutmix'"):
        samix.BatchMix("cutmics", 6)
    with pytest.raises(ValueError, match="num_classes: expected a number"):
        samix.BatchMix("mixup")(*batch())
    with pytest.raises(TypeError, match="images: expected floating point"):
        samix.BatchMix("mixup", 6)(torch.zeros(4, 3, 8, 8, dtype=torch.int32), torch.arange(4))


def test_threads_do_not_repeat_a_draw() -> None:
    mixes = samix.BatchMix("mixup", num_classes=2, seed=3)
    photos, target = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: mixes(photos, target)[1][0, 0].item(), range(200)))
    assert mixes.step == 200
    assert len(set(done)) == 200
    again = samix.BatchMix("mixup", num_classes=2, seed=3)
    assert sorted(again(photos, target)[1][0, 0].item() for _ in range(200)) == sorted(done)


def test_a_copy_in_another_process_goes_on_where_it_was() -> None:
    mixes = samix.BatchMix("mixup", num_classes=2)
    photos, target = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    mixes(photos, target)
    for other in (pickle.loads(pickle.dumps(mixes)), copy.deepcopy(mixes)):
        assert other.step == 1
        assert torch.equal(other(photos, target)[0], at_step(1)(photos, target)[0])


def at_step(step: int) -> samix.BatchMix:
    mixes = samix.BatchMix("mixup", num_classes=2)
    mixes.step = step
    return mixes


class Collate:
    """What people write who give ``BatchMix`` to a DataLoader."""

    def __init__(self) -> None:
        self.mix = samix.BatchMix("mixup", 6)

    def __call__(self, samples: list) -> torch.Tensor:
        return self.mix(*default_collate(samples))[1]


def test_workers_and_epochs_mix_differently_and_torchs_seed_repeats_them():
    data = TensorDataset(*(part.repeat(2, *[1] * (part.ndim - 1)) for part in batch()))

    def epochs() -> list[torch.Tensor]:
        torch.manual_seed(5)
        loader = DataLoader(data, batch_size=8, num_workers=2, collate_fn=Collate())
        return [soft for _ in range(2) for soft in loader]

    found, again = epochs(), epochs()
    assert len(found) == 4
    assert all(not torch.equal(a, b) for a, b in combinations(found, 2))
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize("seed", [None, 1.5, True, "1"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(TypeError, match=f"seed: expected a whole number, got {seed!r}"):
        samix.BatchMix("mixup", 6, seed=seed)


@pytest.mark.parametrize("policy", [2, None, ["mixup"]])
def test_what_is_no_policy_is_refused_by_its_name(policy):
    with pytest.raises(TypeError, match=r"policy: expected a name .* give the policy first"):
        samix.BatchMix(policy, num_classes=2)
    with pytest.raises(TypeError, match=r"policy: expected a name"):
        samix.create_method("supervised", backbone="resnet10t", num_classes=2, policy=policy)
