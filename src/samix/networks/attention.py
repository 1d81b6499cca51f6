"""The attention that a vision transformer pays to its patches in its last block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn


@dataclass(frozen=True)
class LastAttention:
    """Where the attention of the last block can be read.

    Attributes:
        module: The attention, which drops out what it has weighed by ``attn_drop``.
        prefix: Number of tokens before those of the patches.
        pooled: The classifier reads the mean of the patches, not the class token.
        grid: Rows and columns of patches.
    """

    module: nn.Module
    prefix: int
    pooled: bool
    grid: tuple[int, int]

    def to_map(self, weights: Tensor) -> Tensor:
        """Return how much is looked at each patch.

        That of the class token, averaged over the heads; of a network without one, that of the mean
        patch, which its classifier reads.

        Args:
            weights: (B,heads,N,N), rows sum to 1.

        Returns:
            (B,1,h,w) float32 of at least 0, each map with sum 1.
        """
        seen = weights.float().mean(1)
        rows = seen[:, self.prefix :].mean(1) if self.pooled else seen[:, 0]
        patches = rows[:, self.prefix :]
        shares = patches / patches.sum(1, keepdim=True).clamp_min(1e-12)
        return shares.view(-1, 1, *self.grid)


def last_attention(model: nn.Module) -> LastAttention:
    """Return where a model's attention to its patches can be read.

    Raises:
        ValueError: It is no vision transformer in which every token looks at every other.
    """
    blocks = getattr(model, "blocks", None)
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    module = None
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
        module = getattr(blocks[-1], "attn", None)
    if (
        grid is None
        or not hasattr(model, "num_prefix_tokens")
        or not (hasattr(module, "attn_drop") and hasattr(module, "fused_attn"))
    ):
        raise ValueError(
            "backbone: expected a vision transformer of one resolution, such as timm's ViT or "
            f"DeiT, whose attention can be read, got {type(model).__name__}; choose one, or a "
            "policy and label that read no attention"
        )
    prefix = int(cast(Any, model).num_prefix_tokens)
    pooled = prefix == 0 or getattr(model, "global_pool", "token") not in ("", "token")
    return LastAttention(cast(nn.Module, module), prefix, pooled, (int(grid[0]), int(grid[1])))


@contextmanager
def watched_attention(place: LastAttention) -> Iterator[list[Tensor]]:
    """Collect the attention of the passes that are made while the context is open.

    The block is computed without the fused kernel meanwhile, which keeps its weights to itself.

    Args:
        place: From :func:`last_attention`.

    Yields:
        A list that gains (B,heads,N,N) with every pass.
    """
    module, seen = cast(Any, place.module), []
    fused = module.fused_attn
    handle = module.attn_drop.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach())
    )
    module.fused_attn = False
    try:
        yield seen
    finally:
        module.fused_attn = fused
        handle.remove()
