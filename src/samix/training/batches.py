"""Batches for measuring: in a fixed order, shared by the processes of a run."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader

from samix.data.loaders import as_it_is

Batches = DataLoader[tuple[Tensor, Tensor]]


def share(loader: Batches, rank: int, processes: int) -> Batches:
    """Return the part of a loader for evaluation that one process looks at."""
    if processes == 1:
        return loader
    pairs: Any = [(0, i) for i in range(rank, len(loader.dataset), processes)]  # type: ignore[arg-type]
    return DataLoader(
        loader.dataset, batch_size=loader.batch_size, sampler=pairs, collate_fn=as_it_is
    )


def of_all_processes(values: Tensor) -> Tensor:
    """Return the values of all processes, one after the other, on the CPU.

    Args:
        values: (N, ...), with another N in each process.
    """
    values = values.detach().cpu()
    if not (dist.is_available() and dist.is_initialized()):
        return values
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, values)
    return torch.cat(parts)
