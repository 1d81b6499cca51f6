from __future__ import annotations

import pytest
import torch

from samix.mixing import PAIRINGS, draw_partners

TARGET = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 3])


def drawn(pairing: str, target: torch.Tensor = TARGET, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return draw_partners(target, pairing, generator=generator)  # type: ignore[arg-type]


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_its_own_partner_and_a_seed_repeats_the_pairs(pairing: str, seed: int) -> None:
    index, paired = drawn(pairing, seed=seed)
    assert index.dtype == torch.int64
    assert (index != torch.arange(10)).all()
    assert torch.equal(index, drawn(pairing, seed=seed)[0])
    assert not torch.equal(index, drawn(pairing, seed=seed + 5)[0])
    if pairing in ("any", "different"):
        assert sorted(index.tolist()) == list(range(10))
    assert paired.sum() == (9 if pairing == "same" else 10)


def test_the_same_class() -> None:
    seen = set()
    for seed in range(40):
        index, paired = drawn("same", seed=seed)
        assert paired.tolist() == [True] * 9 + [False]
        assert torch.equal(TARGET[index[:9]], TARGET[:9])
        seen |= {(i, int(index[i])) for i in range(4)}
    assert seen == {(i, j) for i in range(4) for j in range(4) if i != j}


def test_another_class() -> None:
    seen = set()
    for seed in range(80):
        index, paired = drawn("different", seed=seed)
        assert paired.all()
        assert (TARGET[index] != TARGET).all()
        seen |= {(int(TARGET[i]), int(TARGET[index[i]])) for i in range(10)}
    assert len(seen) == 12
    # of a class that is more than half of the batch some have no partner
    target = torch.tensor([0, 0, 0, 0, 1])
    index, paired = drawn("different", target)
    assert paired.sum() == 2
    assert (target[index] != target)[paired].all()


def test_each_class_is_mixed_in_as_often() -> None:
    counts = torch.zeros(4)
    for seed in range(400):
        index, paired = drawn("balanced", seed=seed)
        assert paired.all()
        counts += torch.bincount(TARGET[index], minlength=4)
    # the only sample of a class is not mixed in with itself, hence a little less often
    share = counts / counts.sum()
    assert share[:3].sub(0.25).abs().max() < 0.03
    assert share[3].item() == pytest.approx(0.225, abs=0.02)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_batch_of_one_or_of_one_class(pairing: str) -> None:
    index, paired = drawn(pairing, torch.tensor([2]))
    assert index.tolist() == [0]
    assert paired.tolist() == [False]
    index, paired = drawn(pairing, torch.zeros(4, dtype=torch.int64))
    assert (index != torch.arange(4)).all()
    assert paired.all() == (pairing != "different")


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="pairing: expected one of any, same, different, balanced"):
        drawn("rare")
    with pytest.raises(ValueError, match=r"target: pairing 'same' expected \(B,\) class numbers"):
        drawn("same", torch.rand(4, 3))
