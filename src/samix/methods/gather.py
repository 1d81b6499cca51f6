"""Keys of all processes."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def gather_keys(keys: Tensor) -> tuple[Tensor, int]:
    """Return the keys of all processes, in the order of their ranks, and where one's own begin.

    Gradients flow back to the process that a key came from. Every process gives equally many.

    Args:
        keys: (B,P).

    Returns:
        (B * processes, P) and the position of this process's first key.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return keys, 0
    first = dist.get_rank() * len(keys)
    if keys.requires_grad:
        return torch.cat(dist_functional.all_gather(keys)), first  # type: ignore[no-untyped-call]
    parts = [torch.empty_like(keys) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, keys.contiguous())
    return torch.cat(parts), first


def has_local_statistics(network: nn.Module) -> bool:
    """Say whether keys carry statistics by which one process can be told from another.

    Where keys come from a network whose batch norm looks at the batch of its own process alone, a
    key of another process is told from one's own without looking at the image, and the contrast
    learns that. Such keys must not be gathered.

    Args:
        network: Makes the keys.

    Returns:
        True where a batch norm of one process is in training mode.
    """
    return any(
        isinstance(module, _BatchNorm)
        and not isinstance(module, nn.SyncBatchNorm)
        and module.training
        for module in network.modules()
    )
