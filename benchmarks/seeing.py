"""Does a mask see? Measures of masks against known objects, as functions of tensors.

A mask is the weight of the original. One that sees is high on the original's object and low where
the partner's lies; it says the same whichever of the two is called the original; and its area is
lam, where the label says lam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from samix import MixPlan, MomentumEncoder, blend, global_loss, local_loss
from samix.mixing import area_of, box_mask, constant_mask, cut_box, visible_share, visible_shares
from samix.mixing.saliency import label_noise
from samix.objectives import class_candidates, within_mask_deviation

AREAS = (0.2, 0.35, 0.5, 0.65, 0.8)
"""lam at which area is compared with lam."""

Masks = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From (B,) positions of originals and of partners and (B,) lam to masks (B,1,H,W)."""


@dataclass(frozen=True)
class Pairs:
    """Photos, and who is mixed with whom.

    Attributes:
        images: (N,3,H,W), as a network sees them.
        regions: (N,1,H,W) in [0, 1], share of each pixel that is object.
        target: (N,) int64.
        index: (N,) int64, partner of each.
    """

    images: Tensor
    regions: Tensor
    target: Tensor
    index: Tensor

    @property
    def first(self) -> Tensor:
        """(N,) positions of the originals."""
        return torch.arange(len(self.index))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        return self.images.shape[2], self.images.shape[3]


def object_shares(mask: Tensor, own: Tensor, partner: Tensor) -> dict[str, float]:
    """Return how much of the original a mask shows on its object, and on the partner's.

    Pixels of both objects are left out of both, in the share in which they are both.

    Args:
        mask: (B,1,H,W), weight of the original.
        own: (B,1,H,W) in [0, 1], the original's object.
        partner: (B,1,H,W) in [0, 1], the partner's object.

    Returns:
        ``own`` and ``partner``, means over the pairs that have such pixels; their ``difference``,
        1 for a mask that shows both objects and 0 for one that is blind; and the counts of pairs.
    """
    shares = visible_share(own * (1 - partner), mask), visible_share(partner * (1 - own), mask)
    mine, other = (share.nanmean().item() for share in shares)
    pairs, partner_pairs = (int((~share.isnan()).sum()) for share in shares)
    return {
        "own": mine, "partner": other, "difference": mine - other,
        "own_pairs": pairs, "partner_pairs": partner_pairs,
    }  # fmt: skip


def exchange(mask: Tensor, exchanged: Tensor) -> dict[str, float]:
    """Return how far two masks are from saying the same of a pair, whoever is the original.

    Args:
        mask: mask(a, b, lam).
        exchanged: mask(b, a, 1 - lam); 1 - mask in a mix that is the same.

    Returns:
        Mean and largest ``|mask + exchanged - 1|``, and the correlation of mask and 1 - exchanged
        over all pixels; NaN where either is constant.
    """
    apart = (mask + exchanged - 1).abs()
    both = torch.stack([mask.flatten(), 1 - exchanged.flatten()]).double()
    flat = both.std(1).min() < 1e-6
    correlation = float("nan") if flat else torch.corrcoef(both)[0, 1].item()
    return {
        "exchange_mean": apart.mean().item(),
        "exchange_max": apart.max().item(),
        "exchange_correlation": correlation,
    }


def area_error(masks: Masks, pairs: Pairs) -> float:
    """Return the mean ``|area - lam|`` over :data:`AREAS`."""
    errors = [
        (area_of(masks(pairs.first, pairs.index, lam)) - lam).abs().mean()
        for lam in (torch.full((len(pairs.index),), value) for value in AREAS)
    ]
    return torch.stack(errors).mean().item()


def noisy_labels(plan: MixPlan, regions: Tensor, target: Tensor) -> float:
    """Return how many mixes of 64 promise an object of which less than a tenth is seen.

    They do where a class has a share of the label of at least 0.2; see
    :func:`samix.mixing.saliency.label_noise`.
    """
    same = target == target[plan.index]
    noisy = label_noise(visible_shares(regions, plan), plan.shares, same).any(1)
    return 64 * noisy.float().mean().item()


@torch.no_grad()
def measure(masks: Masks, pairs: Pairs, judge: MomentumEncoder | None) -> dict[str, float]:
    """Return all measures of one way to make masks.

    Args:
        masks: The way.
        pairs: What is mixed.
        judge: The momentum encoder, from images to logits, which says how well it knows the mixes
            of lam from 0.2 to 0.8 beside mixup and CutMix of the same pairs; None leaves that out.
    """
    first, index, count = pairs.first, pairs.index, len(pairs.index)
    generator = torch.Generator().manual_seed(0)
    half = torch.full((count,), 0.5)
    mask = masks(first, index, half)
    drawn, middle = torch.rand(2, count, generator=generator)
    noisy = MixPlan(drawn, index, masks(first, index, drawn), drawn)
    row = {
        **object_shares(mask, pairs.regions, pairs.regions[index]),
        **exchange(mask, masks(index, first, half)),
        "area_error": area_error(masks, pairs),
        "label_noise": noisy_labels(noisy, pairs.regions, pairs.target),
        "mask_deviation": within_mask_deviation(mask).item(),
    }
    lam = 0.2 + 0.6 * middle
    box = box_mask(cut_box(lam, torch.rand(count, 2, generator=generator), pairs.size), pairs.size)
    plans = {
        "mix": MixPlan(lam, index, masks(first, index, lam), lam),
        "mixup": MixPlan(lam, index, constant_mask(lam, pairs.size), lam),
        "cutmix": MixPlan(lam, index, box, area_of(box)),
    }
    row["area_lam_correlation"] = torch.corrcoef(torch.stack([plans["mix"].area, lam]))[0, 1].item()
    for name, plan in plans.items() if judge is not None else ():
        logits = torch.cat([judge(part).float() for part in blend(pairs.images, plan).split(256)])
        candidates = class_candidates(logits, pairs.target, index)
        row[f"{name}_local"] = local_loss(*candidates, plan.weight).item()
        row[f"{name}_global"] = global_loss(*candidates, plan.weight).item()
    return row
