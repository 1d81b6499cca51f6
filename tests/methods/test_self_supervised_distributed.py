"""Self-supervised: two processes with different halves equal one process on the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from samix import Policy, SelfSupervisedMethod, create_method
from samix.methods.contrast import gather_keys, has_local_statistics

from .test_distributed import STEPS, BothRanks, both_ranks, run

VIT: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224",
    "stem": "small",
    "image_size": 16,
    "model_kwargs": {"embed_dim": 16, "depth": 2, "num_heads": 2},
}
RESNET: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}
# name: method, policy, further options, and whether batch statistics are frozen
CASES: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "moco samix": ("moco", "samix", {**VIT, "queue_size": 12, "batch_norm": False}, False),
    "moco cross-view": ("moco", "samix", {**RESNET, "queue_size": 12, "cross_view": True}, True),
    "moco i-mix": ("moco", "i-mix", {**VIT, "queue_size": 12, "batch_norm": False}, False),
    "moco sdmp": ("moco", "sdmp", {**VIT, "queue_size": 12, "batch_norm": False}, False),
    "simclr samix": ("simclr", "samix", {**RESNET, "clean_branch": True}, True),
    "byol samix": ("byol", "samix", RESNET, True),
    "mocov3 samix": ("mocov3", "samix", VIT, True),
    "mocov3 cross-view": ("mocov3", "cutmix", {**VIT, "cross_view": True}, True),
}


def make(case: str) -> SelfSupervisedMethod:
    torch.manual_seed(0)
    name, policy, options, frozen = CASES[case]
    options = {"cost": "full", **options}  # the Mixer learns from all, on one rank or on two
    method = create_method(name, policy=policy, seed=3, steps=STEPS, **options).double()
    assert isinstance(method, SelfSupervisedMethod)
    return method.eval() if frozen else method


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    first, second = torch.randn(2, 8, 3, 16, 16, generator=generator, dtype=torch.float64)
    return first, first + 0.5 * second


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    half = slice(4 * rank, 4 * rank + 4)
    results: dict[str, Any] = {}
    for case in CASES:
        method = make(case)
        first, second = data()
        losses = run(DistributedDataParallel(method), method, (first[half], second[half]))
        results[case] = {"losses": losses, "state": method.state_dict()}
    own = torch.full((2, 3), float(rank))
    results["gathered"], results["first"] = gather_keys(own)
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return both_ranks(worker, tmp_path_factory)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_equal_one_process_on_the_whole(
    case: str, ranks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, weights, momentum average, queue and pointer."""
    method = make(case)
    directions = 2 if method.contrast.symmetric else 1
    plans_a_step = directions * (2 if method.policy.traits.learned else 1)
    both = BothRanks(method.policy, seed=3, plans_a_step=plans_a_step)
    monkeypatch.setattr(type(method.policy), "plan", lambda _, *args, **kw: both.plan(*args, **kw))
    monkeypatch.setattr(type(method.policy), "plan_both", Policy.plan_both)
    losses = run(method, method, data())
    cases = [rank[case] for rank in ranks]
    means = [sum(pair) / 2 for pair in zip(*(one["losses"] for one in cases), strict=True)]
    assert losses == pytest.approx(means, abs=1e-9)
    assert cases[0]["losses"] != cases[1]["losses"]
    for name, value in method.state_dict().items():
        for one in cases:
            assert torch.allclose(value, one["state"][name], atol=1e-9), name


def test_keys_are_gathered_in_the_order_of_the_ranks(ranks: list[dict[str, Any]]) -> None:
    for number, rank in enumerate(ranks):
        assert rank["gathered"][:, 0].tolist() == [0.0, 0.0, 1.0, 1.0]
        assert rank["first"] == 2 * number


def test_keys_with_statistics_of_their_own_process_stay_there() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert has_local_statistics(network.train())
    assert not has_local_statistics(network.eval())
    assert not has_local_statistics(nn.Sequential(nn.SyncBatchNorm(2)).train())
