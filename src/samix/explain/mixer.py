"""What the run's way of mixing does over lam, and how its masks relate to where it looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from samix.progress import Display

from .attention import Looker, heat_of
from .pairs import Pair, load_pairs, mix_at
from .results import MixerStudy, Sweep
from .subject import Looked, RunNetwork, RunPhotos

LAM = tuple(round(0.1 * step, 1) for step in range(1, 10))


def study_mixer(
    photos: RunPhotos,
    looked: Looked,
    pairs: Sequence[Pair],
    looker: Looker | None,
    subject: RunNetwork,
    *,
    shown: int,
    seed: int,
    progress: Display,
) -> MixerStudy:
    """Return masks, areas, and the correlation of masks with where the network looks."""
    originals, partners = load_pairs(photos, pairs)
    masks = []
    for number, lam in enumerate(LAM):
        masks.append(mix_at(subject, originals, partners, lam, seed=seed)[1].mask)
        progress.work("masks over lam", number + 1, len(LAM))
    heats = None
    if looker is not None:
        sides = []
        for side, images in ((0, originals), (1, partners)):
            wish = looked.wish([looked.row(pair[side]) for pair in pairs])
            sides.append(heat_of(looker, subject, images, wish))
        heats = torch.stack(sides, 1)
    sweeps = [
        Sweep(
            torch.stack([originals[at], partners[at]]),
            (photos.name(pairs[at][0]), photos.name(pairs[at][1])),
            None if heats is None else heats[at],
            torch.stack([mask[at] for mask in masks]),
            [float(mask[at].mean()) for mask in masks],
        )
        for at in range(min(shown, len(pairs)))
    ]
    area = torch.stack([mask.mean((1, 2, 3)) for mask in masks], 1)
    looks = subject.mixes_by_looking
    follows = _follows(masks, heats) if heats is not None and looks else {}
    half = masks[LAM.index(0.5)]
    deviation = float(half.flatten(1).std(1).mean())
    return MixerStudy(LAM, sweeps, area, follows, looks, deviation)


def _follows(masks: Sequence[Tensor], heats: Tensor) -> dict[str, list[float | None]]:
    """Return the mean correlation of masks with the heat of both sources and of another photo."""
    against = {"original": heats[:, 0], "partner": heats[:, 1], "unrelated": heats[:, 0].roll(1, 0)}
    if len(heats) < 2:
        del against["unrelated"]
    return {name: [correlation(mask, heat) for mask in masks] for name, heat in against.items()}


def correlation(mask: Tensor, heat: Tensor) -> float | None:
    """Return the mean correlation over pixels of (P,1,H,W) pairs; None where nothing varies."""
    first, second = (
        (values - values.mean(1, keepdim=True)).double()
        for values in (mask.flatten(1).double(), heat.flatten(1).double())
    )
    scale = first.norm(dim=1) * second.norm(dim=1)
    varies = (first.std(1) > 1e-4) & (second.std(1) > 1e-4)
    if not bool(varies.any()):
        return None
    mean = float(((first * second).sum(1)[varies] / scale[varies]).mean())
    return None if math.isnan(mean) else mean
