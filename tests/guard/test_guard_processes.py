"""Counters of two processes add up."""

import socket

import torch
import torch.distributed as dist
from torch import multiprocessing

import samix
from samix.guard import create_guard
from samix.mixing import step_generator


def counted(rank: int, processes: int):
    guard = create_guard({"saliency": "image"}, ["a", "b"])
    generator = step_generator(0, 0, rank)
    images = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(rank))
    plan = samix.create_policy("cutmix").plan(images, generator=generator)
    guard(images, plan, target=torch.arange(16) % 2, generator=generator)
    if processes > 1:
        guard.counters.collect()
    return guard.counters.totals


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.save(counted(rank, 2), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_count_together(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first, second)
    assert torch.equal(first, counted(0, 1) + counted(1, 1))
    assert first.sum() > 0
