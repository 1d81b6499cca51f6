"""Where the network looks: on photos, inside true defects, and on mixes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from samix.evaluation.embeddings import Progress
from samix.report.explain_data import Inside, Seen, SeenMix

from .heat import Looker
from .looked import Looked
from .pairing import Pair, as_mixes, load_pairs, mix_at
from .photos import RunPhotos
from .subject import Subject

_Row = tuple[float, float, bool]
_BATCH = 32
_MEASURED = 200  # photos with a defect, in which heat is measured
_MOST_CLASSES = 8  # that are shown


def see_photos(
    photos: RunPhotos, looked: Looked, looker: Looker, subject: Subject, count: int, seed: int
) -> list[Seen]:
    """Return photos of each class with where the network looks, right and wrong ones.

    Args:
        photos: The photos.
        looked: What the network says of them.
        looker: Says where it looks.
        subject: The network.
        count: Right ones of each class, and wrong ones as many.
        seed: Of the choice, which is random: nothing is picked because it looks good.
    """
    rows = _chosen(looked, count, seed)
    images = photos.load([looked.positions[at] for at in rows])
    heat = heat_of(looker, subject, images, _wishes(looked, rows))
    return [_seen(photos, looked, at, images[n], heat[n]) for n, at in enumerate(rows)]


def heat_inside(
    photos: RunPhotos,
    looked: Looked,
    looker: Looker,
    subject: Subject,
    seed: int,
    progress: Progress,
) -> list[Inside]:
    """Return how much of the heat lies in the marked defects, for each class that has any.

    The network is asked about the true class. Photos in which nothing speaks for it are counted
    apart.

    Args:
        photos: With defect masks.
        looked: What the network says of them.
        looker: Says where it looks.
        subject: The network.
        seed: Of the photos that are measured, where there are many.
        progress: Where to show it.
    """
    if photos.images.read_mask is None:
        return []
    order = np.random.default_rng([seed, 2]).permutation(len(looked.positions)).tolist()
    marked: list[tuple[int, Tensor]] = []
    for at in order:
        if len(marked) == _MEASURED:
            break
        if (defect := photos.defect(looked.positions[at])) is not None:
            marked.append((at, defect))
    found: dict[str, list[_Row | None]] = {}
    for start in range(0, len(marked), _BATCH):
        some = marked[start : start + _BATCH]
        rows = [at for at, _ in some]
        images = photos.load([looked.positions[at] for at in rows])
        wish = looked.target[rows] if subject.classes else looked.embedding[rows]
        heats = heat_of(looker, subject, images, wish)
        for (at, defect), heat in zip(some, heats, strict=True):
            name = photos.name(looked.positions[at])
            found.setdefault(name, []).append(_row(heat, defect))
        progress.work("heat inside the defects", start + len(some), len(marked))
    names = [name for name in (*photos.classes, "") if name in found]
    return [_mean(name, found[name]) for name in names]


def share_inside(heat: Tensor, region: Tensor) -> float | None:
    """Return the share of the heat inside a region: (1,H,W) both; None where there is no heat."""
    whole = float(heat.sum())
    return float((heat * region).sum()) / whole if whole > 0 else None


def see_mixes(
    photos: RunPhotos,
    looked: Looked,
    pairs: Sequence[Pair],
    asker: Looker,
    subject: Subject,
    seed: int,
) -> list[SeenMix]:
    """Return half-and-half mixes with where each of the two sources is seen.

    Args:
        photos: The photos.
        looked: What the network says of them.
        pairs: The mixes.
        asker: Asked about the class of each source (without classes: about its photo).
        subject: The network.
        seed: Of the places of boxes.
    """
    originals, partners = load_pairs(photos, pairs)
    mixed, plan, shown = mix_at(subject, originals, partners, 0.5, seed=seed)
    _, probability = subject.ask(mixed)
    sides = []
    for side in (0, 1):
        rows = [looked.row(pair[side]) for pair in pairs]
        wish = looked.target[rows] if subject.classes else looked.embedding[rows]
        sides.append(in_batches(asker, mixed, wish))
        if not asker.asks:
            break
    seen = []
    for at, mix in enumerate(as_mixes(photos, pairs, originals, partners, plan, shown)):
        sure = None
        if probability is not None:
            first, second = (photos.targets[position] for position in pairs[at])
            sure = float(probability[at, first]), float(probability[at, second])
        seen.append(SeenMix(mix, [side[at] for side in sides], sure))
    return seen


def heat_of(looker: Looker, subject: Subject, images: Tensor, wish: Tensor) -> Tensor:
    """Return the (B,1,S,S) heat of (B,3,S,S) photos in [0, 1]."""
    return in_batches(looker, subject.look(images), wish)


def in_batches(looker: Looker, images: Tensor, wish: Tensor) -> Tensor:
    """Return the (B,1,S,S) heat of images as the network sees them."""
    both = zip(torch.split(images, _BATCH), torch.split(wish, _BATCH), strict=True)
    return torch.cat([looker(some, asked) for some, asked in both])


def _chosen(looked: Looked, count: int, seed: int) -> list[int]:
    """Return rows to show: of each class right ones, then wrong ones."""
    order = np.random.default_rng([seed, 3]).permutation(len(looked.positions)).tolist()
    said = None if looked.probability is None else looked.probability.argmax(1)
    right = torch.ones(len(order), dtype=torch.bool) if said is None else said == looked.target
    classes = torch.unique(looked.target).tolist()
    # where there are many classes, those that are right least often
    classes.sort(key=lambda target: float(right[looked.target == target].float().mean()))
    rows = []
    for target in sorted(classes[:_MOST_CLASSES]):
        own = [at for at in order if int(looked.target[at]) == target]
        rows += [at for at in own if right[at]][:count] + [at for at in own if not right[at]][
            :count
        ]
    return rows


def _wishes(looked: Looked, rows: Sequence[int]) -> Tensor:
    """Return what each photo is taken for; its own embedding without classes."""
    if looked.probability is None:
        return looked.embedding[list(rows)]
    return looked.probability[list(rows)].argmax(1)


def _seen(photos: RunPhotos, looked: Looked, row: int, image: Tensor, heat: Tensor) -> Seen:
    position = looked.positions[row]
    defect = photos.defect(position)
    said, sure = "", 0.0
    if looked.probability is not None:
        said = photos.classes[int(looked.probability[row].argmax())]
        sure = float(looked.probability[row].max())
    inside = None if defect is None else share_inside(heat, defect)
    key = photos.images.keys[position]
    return Seen(image, heat, key, photos.name(position), said, sure, defect, inside)


def _row(heat: Tensor, defect: Tensor) -> _Row | None:
    """Return share of the heat inside, area, and whether the hottest point is; None without."""
    share = share_inside(heat, defect)
    if share is None:
        return None
    return share, float(defect.mean()), bool(defect.flatten()[heat.flatten().argmax()] > 0)


def _mean(name: str, rows: Sequence[_Row | None]) -> Inside:
    warm = [row for row in rows if row is not None]
    share, area, hit = (sum(float(row[at]) for row in warm) / max(len(warm), 1) for at in range(3))
    return Inside(name, len(warm), len(rows) - len(warm), share, area, hit)
