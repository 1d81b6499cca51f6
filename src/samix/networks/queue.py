"""A queue of keys, and clusters found in it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .backbone import never_narrower, unit


class KeyQueue(nn.Module):
    """The last Q keys, written in a ring; keys and position are part of the state dict.

    It starts with random directions, as in MoCo (arXiv 1911.05722), so that the number of negatives
    is the same from the first step on.

    Args:
        size: Q, number of keys, at least 1.
        width: P, width of a key.
        seed: Seed of the random directions.
    """

    keys: Tensor

    def __init__(self, size: int, width: int, *, seed: int = 0) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"queue_size: expected at least 1, got {size}")
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(size, width, generator=generator, dtype=torch.float32)
        self.register_buffer("keys", unit(start))
        self.pointer = 0
        self.seen = 0

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KeyQueue:
        """Move to a device, or to a wider precision, but never to a lower one."""
        super()._apply(never_narrower(fn), recurse)  # type: ignore[no-untyped-call]
        return self

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def full(self) -> bool:
        """Whether no random direction is left."""
        return self.seen >= len(self)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write keys over the oldest ones; the size need not be a multiple of the batch.

        Args:
            keys: (N,P) unit norm, N at most Q.

        Raises:
            ValueError: The batch has more keys than the queue can hold.
        """
        if len(keys) > len(self):
            raise ValueError(
                f"queue_size: expected at least the {len(keys)} keys of a step, got {len(self)}; "
                "take a larger queue or a smaller batch"
            )
        places = (torch.arange(len(keys), device=self.keys.device) + self.pointer) % len(self)
        self.keys[places] = keys.to(self.keys.dtype)
        self.pointer = (self.pointer + len(keys)) % len(self)
        self.seen += len(keys)

    def get_extra_state(self) -> Tensor:
        """Return pointer and number of keys seen for the state dict."""
        return torch.tensor([self.pointer, self.seen])

    def set_extra_state(self, state: Tensor) -> None:
        """Take up pointer and number of keys seen from a state dict."""
        self.pointer, self.seen = (int(value) for value in state)


class Clusters(nn.Module):
    """Centroids of keys, found again on a schedule.

    Args:
        count: K, number of clusters, at least 2.
        width: P, width of a key.
        every: Steps from one search to the next, at least 1.
    """

    centroids: Tensor

    def __init__(self, count: int, width: int, *, every: int) -> None:
        super().__init__()
        for name, value, least in (("clusters", count, 2), ("cluster_every", every, 1)):
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        self.register_buffer("centroids", torch.zeros(count, width))
        self.every = every
        self.searches = 0

    @property
    def ready(self) -> bool:
        """Whether centroids were found already."""
        return self.searches > 0

    @torch.no_grad()
    def refresh(self, keys: Tensor, step: int) -> None:
        """Search again where the schedule says so; the same in all processes.

        Args:
            keys: (Q,P) unit norm, the same in all processes; Q at least K.
            step: Number of the step, 0 or more.
        """
        if self.ready and step % self.every:
            return
        found = spherical_k_means(keys, len(self.centroids), seed=self.searches)
        self.centroids.copy_(found)
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(self.centroids, src=0)
        self.searches += 1

    def assign(self, keys: Tensor) -> Tensor:
        """Return the cluster of each key: (B,P) to (B,) int64."""
        return (keys.to(self.centroids.dtype) @ self.centroids.t()).argmax(1)

    def get_extra_state(self) -> Tensor:
        """Return the number of searches for the state dict."""
        return torch.tensor(self.searches)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the number of searches from a state dict."""
        self.searches = int(state)


def spherical_k_means(keys: Tensor, count: int, *, seed: int) -> Tensor:
    """Return the normalised centroids of k-means on keys of unit norm.

    Args:
        keys: (Q,P) unit norm, Q at least ``count``.
        count: K, number of clusters.
        seed: Seed of the first centroids.

    Returns:
        (K,P) unit norm, on the device and of the dtype of the keys.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        ValueError: Fewer keys than clusters.
    """
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415 - only SAMix-C needs it

    if len(keys) < count:
        raise ValueError(
            f"clusters: expected at most the {len(keys)} keys that are clustered, got {count}"
        )
    search = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=1024)
    search.fit(keys.detach().float().cpu().numpy())
    return unit(torch.from_numpy(search.cluster_centers_)).to(keys)
