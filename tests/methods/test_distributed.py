"""Two processes with different halves equal one process on the whole."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from samix import Evidence, MixPlan, Policy, SelfSupervisedMethod, SupervisedMethod, create_method
from samix.mixing import step_generator

STEPS = 2
OPTIONS: dict[str, dict[str, Any]] = {
    "layer norm": {
        "backbone": "vit_tiny_patch16_224",
        "stem": "small",
        "image_size": 16,
        "model_kwargs": {"embed_dim": 16, "depth": 2, "num_heads": 2},
    },
    "frozen batch norm": {
        "backbone": "resnet18",
        "stem": "small",
        "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
        "teacher_statistics": "averaged",  # those of a batch would be of each half
    },
}


def make(kind: str, policy: str) -> SupervisedMethod:
    torch.manual_seed(0)
    method = create_method(
        "supervised",
        num_classes=4,
        policy=policy,
        seed=3,
        steps=STEPS,
        cost="full",  # "fast" has the Mixer learn from the first photos of each rank
        **OPTIONS[kind],
    )
    return method.eval().double() if kind == "frozen batch norm" else method.double()


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(8, 3, 16, 16, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 4, (8,), generator=generator)


def run(
    method: nn.Module, core: SupervisedMethod | SelfSupervisedMethod, *given: Any
) -> list[float]:
    """Return the losses of the steps of a method, which may be wrapped, on its images."""
    optimizer = torch.optim.SGD(core.parameter_groups(lr=0.1), momentum=0.9)
    losses = []
    for _ in range(STEPS):
        step = method(*given)
        step.loss.backward()
        losses.append(step.loss.item())
        optimizer.step()
        optimizer.zero_grad()
        core.update_momentum()
    return losses


CASES = [(kind, policy) for kind in OPTIONS for policy in ("cutmix", "samix")]


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    half = slice(4 * rank, 4 * rank + 4)
    results = {}
    for kind, policy in CASES:
        method = make(kind, policy)
        images, target = data()
        losses = run(DistributedDataParallel(method), method, images[half], target[half])
        results[f"{kind} {policy}"] = {"losses": losses, "state": method.state_dict()}
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def both_ranks(
    worker: Callable[[int, int, str], None], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What two real processes end with, every case, in one start of both."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(worker, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return both_ranks(worker, tmp_path_factory)


class BothRanks:
    """Plans in one process as two ranks would: each half of the batch from its own draws.

    Args:
        policy: The policy; its method ``plan`` may be replaced by this one.
        seed: Seed of the method.
        plans_a_step: Calls that share the draws of a step.
    """

    def __init__(self, policy: Policy, seed: int, *, plans_a_step: int) -> None:
        self.original, self.seed, self.plans_a_step = policy.plan, seed, plans_a_step
        self.calls = 0
        self.generators: list[torch.Generator] = []

    def plan(self, images: Tensor, *, evidence: Evidence, **_: Any) -> MixPlan:
        if self.calls % self.plans_a_step == 0:
            step = self.calls // self.plans_a_step
            self.generators = [step_generator(self.seed, step, rank) for rank in range(2)]
        self.calls += 1
        plans = []
        for rank, generator in enumerate(self.generators):
            half = slice(4 * rank, 4 * rank + 4)
            own = Evidence(
                *(
                    None if value is None else value[half]
                    for value in (evidence.features, evidence.partner_features)
                )
            )
            plans.append(self.original(images[half], evidence=own, generator=generator))
        return MixPlan(
            torch.cat([plan.lam for plan in plans]),
            torch.cat([plans[0].index, plans[1].index + 4]),
            torch.cat([plan.mask for plan in plans]),
            torch.cat([plan.weight for plan in plans]),
        )


@pytest.mark.parametrize(("kind", "policy"), CASES)
def test_two_ranks_equal_one_process_on_the_whole(
    kind: str, policy: str, ranks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = make(kind, policy)
    plans_a_step = 2 if method.policy.traits.learned else 1
    both = BothRanks(method.policy, seed=3, plans_a_step=plans_a_step)
    monkeypatch.setattr(
        method.policy if isinstance(method.policy, nn.Module) else type(method.policy),
        "plan",
        lambda *args, evidence, **_: both.plan(args[-1], evidence=evidence),
    )
    monkeypatch.setattr(type(method.policy), "plan_both", Policy.plan_both)
    losses = run(method, method, *data())
    cases = [rank[f"{kind} {policy}"] for rank in ranks]
    means = [sum(pair) / 2 for pair in zip(*(case["losses"] for case in cases), strict=True)]
    assert losses == pytest.approx(means, abs=1e-9)
    assert cases[0]["losses"] != cases[1]["losses"]
    for name, value in method.state_dict().items():
        for case in cases:
            assert torch.allclose(value, case["state"][name], atol=1e-9), name
