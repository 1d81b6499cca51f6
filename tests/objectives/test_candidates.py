from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss
from torch import Tensor

from samix import batch_candidates, eta_balanced_loss, global_loss, local_loss, queue_candidates
from samix.objectives import (
    class_candidates,
    cluster_candidates,
    hard_negatives,
    mixed_regression,
    nt_xent,
    pair_candidates,
    separate_loss,
    shared_content,
)

B, Q, P, T = 5, 7, 4, 0.3


def rows(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, P, generator=generator, dtype=torch.float64), dim=1)


QUERY, KEY, QUEUE = rows(B, 0), rows(B, 1), rows(Q, 2)
INDEX = torch.tensor([2, 0, 3, 4, 1])
LAM = torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0], dtype=torch.float64)


def softmax_at(logits: list[float], place: int) -> float:
    return math.exp(logits[place]) / sum(math.exp(value) for value in logits)


def dot(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def test_mixed_info_nce_over_a_queue_in_slow_loops() -> None:
    """Both sources' keys and all negatives in one softmax; the local term over the two alone."""
    local = total = 0.0
    for i in range(B):
        a, b = KEY[i], KEY[INDEX[i]]
        logits = [dot(QUERY[i], k) / T for k in (a, b, *QUEUE)]
        lam = float(LAM[i])
        total -= lam * math.log(softmax_at(logits, 0)) / B
        total -= (1 - lam) * math.log(softmax_at(logits, 1)) / B
        local -= lam * math.log(softmax_at(logits[:2], 0)) / B
        local -= (1 - lam) * math.log(softmax_at(logits[:2], 1)) / B
    candidates = queue_candidates(QUERY, KEY, KEY[INDEX], QUEUE, T)
    assert global_loss(*candidates, LAM).item() == pytest.approx(total, abs=1e-12)
    assert local_loss(*candidates, LAM).item() == pytest.approx(local, abs=1e-12)
    balanced = eta_balanced_loss(*candidates, LAM, 0.7)
    assert balanced.item() == pytest.approx(local + 0.7 * total, abs=1e-12)


def test_mixed_info_nce_over_the_batch_in_slow_loops() -> None:
    """The keys of all processes are the classes; a partner of another view replaces its key."""
    others, first = rows(3, 5), 3
    keys, other_view = torch.cat([others, KEY]), rows(B, 6)
    total = 0.0
    for i in range(B):
        row = [dot(QUERY[i], k) / T for k in (*keys, *QUEUE)]
        partner = first + int(INDEX[i])
        row[partner] = dot(QUERY[i], other_view[INDEX[i]]) / T
        lam = float(LAM[i])
        total -= lam * math.log(softmax_at(row, first + i)) / B
        total -= (1 - lam) * math.log(softmax_at(row, partner)) / B
    candidates = batch_candidates(
        QUERY, keys, INDEX, T, first=first, partner_key=other_view[INDEX], negatives=QUEUE
    )
    assert global_loss(*candidates, LAM).item() == pytest.approx(total, abs=1e-12)


def test_only_the_candidates_differ() -> None:
    """Instances as classes: the contrastive objective is the supervised one on the same logits."""
    supervised = class_candidates(QUERY @ KEY.t() / T, torch.arange(B), INDEX)
    contrastive = batch_candidates(QUERY, KEY, INDEX, T)
    for ours, theirs in zip(contrastive, supervised, strict=True):
        assert torch.allclose(ours, theirs)


def test_at_lam_one_the_mix_is_the_unmixed_loss_over_the_same_candidates() -> None:
    ones = torch.ones(B, dtype=torch.float64)
    queued = queue_candidates(QUERY, KEY, KEY[INDEX], QUEUE, T)
    keys = torch.stack([torch.cat([KEY[i : i + 1], KEY[INDEX[i]][None], QUEUE]) for i in range(B)])
    logits = torch.einsum("bp,bkp->bk", QUERY, keys) / T
    plain = F.cross_entropy(logits, torch.zeros(B, dtype=torch.int64))
    assert global_loss(*queued, ones).item() == pytest.approx(plain.item(), abs=1e-6)
    batched = batch_candidates(QUERY, KEY, INDEX, T)
    plain = F.cross_entropy(QUERY @ KEY.t() / T, torch.arange(B))
    assert global_loss(*batched, ones).item() == pytest.approx(plain.item(), abs=1e-6)
    byol = (2 - 2 * (QUERY * KEY).sum(1)).mean()
    assert mixed_regression(QUERY, KEY, KEY[INDEX], ones).item() == pytest.approx(byol.item())


def test_clusters_are_classes() -> None:
    centroids, cluster = rows(3, 8), torch.tensor([0, 0, 1, 2, 1])
    found = cluster_candidates(QUERY, centroids, cluster, INDEX, T)
    assert torch.allclose(found.logits, QUERY @ centroids.t() / T)
    assert torch.equal(found.partner, cluster[INDEX])
    same = found.original == found.partner
    assert same.any()
    alone = local_loss(found.logits[same], cluster[same], cluster[same], LAM[same])
    assert alone == 0


def test_pair_candidates_have_no_third_one() -> None:
    found = pair_candidates(QUERY, KEY, KEY[INDEX], T)
    assert found.logits.shape == (B, 2)
    assert torch.allclose(found.logits[:, 1] * T, (QUERY * KEY[INDEX]).sum(1))


def test_separate_loss_in_slow_loops() -> None:
    """Un-Mix: each source against the negatives, without the other source."""
    total = 0.0
    for i in range(B):
        for share, source in ((LAM[i], KEY[i]), (1 - LAM[i], KEY[INDEX[i]])):
            logits = [dot(QUERY[i], k) / T for k in (source, *QUEUE)]
            total -= float(share) * math.log(softmax_at(logits, 0)) / B
    candidates = queue_candidates(QUERY, KEY, KEY[INDEX], QUEUE, T)
    assert separate_loss(*candidates, LAM).item() == pytest.approx(total, abs=1e-12)


def test_separate_loss_of_one_source_with_itself_is_the_plain_loss() -> None:
    logits = QUERY @ KEY.t()
    own = torch.arange(B)
    plain = F.cross_entropy(logits, own)
    assert separate_loss(logits, own, own, LAM).item() == pytest.approx(plain.item())


def test_nt_xent_is_that_of_lightly() -> None:
    wanted = NTXentLoss(temperature=T)(QUERY, KEY)
    assert nt_xent(QUERY, KEY, T).item() == pytest.approx(wanted.item(), abs=1e-9)


def test_hard_negatives_mix_the_nearest_ones() -> None:
    hardest = 3
    pairs = torch.tensor([[0, 1], [2, 0], [1, 1]]).expand(B, 3, 2)
    share = torch.full((B, 2), 0.25, dtype=torch.float64)
    query_share = torch.full((B, 1), 0.4, dtype=torch.float64)
    made = hard_negatives(
        QUERY, QUEUE, hardest=hardest, pairs=pairs, share=share, query_share=query_share
    )
    assert made.shape == (B, 3, P)
    for i in range(B):
        near = sorted(QUEUE, key=lambda n, i=i: -dot(QUERY[i], n))  # type: ignore[misc]
        expected = [
            0.25 * near[0] + 0.75 * near[1],
            0.25 * near[2] + 0.75 * near[0],
            0.4 * QUERY[i] + 0.6 * near[1],
        ]
        for ours, theirs in zip(made[i], expected, strict=True):
            assert torch.allclose(ours, theirs / theirs.norm())


@pytest.mark.parametrize("index", [[1, 0, 3, 2], [1, 2, 3, 0], [2, 3, 1, 0]])
def test_shared_content_in_slow_loops(index: list[int]) -> None:
    weight = torch.tensor([0.2, 0.9, 0.5, 0.7])
    shares = [
        {i: float(weight[i]), index[i]: 1 - float(weight[i])} for i in range(4)
    ]  # source -> share
    expected = [
        sum(min(shares[i][s], shares[index[i]].get(s, 0.0)) for s in shares[i]) for i in range(4)
    ]
    assert shared_content(weight, torch.tensor(index)).tolist() == pytest.approx(expected)


def test_gradcheck() -> None:
    query = rows(3, 3).requires_grad_(True)
    key, index, lam = rows(3, 4), torch.tensor([1, 2, 0]), LAM[:3]

    def queue_loss(q: Tensor) -> Tensor:
        return eta_balanced_loss(*queue_candidates(q, key, key[index], QUEUE, T), lam)

    def batch_loss(q: Tensor) -> Tensor:
        return separate_loss(*batch_candidates(q, key, index, T, negatives=QUEUE), lam)

    for loss in (queue_loss, batch_loss, lambda q: nt_xent(q, key, T)):
        assert torch.autograd.gradcheck(loss, (query,))
