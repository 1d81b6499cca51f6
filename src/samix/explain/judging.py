"""How a classifier judges mixes: how sure it is, and what it takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from samix.mixing import blend
from samix.policies import create_policy
from samix.progress import Display

from .pairs import Pair, as_mixes, draw_mixes, load_pairs, mix_at
from .results import Confidence, Confusion, Judged, NearMix, NearStudy, Neighbour
from .subject import Looked, RunNetwork, RunPhotos

_BATCH = 64
_LEAST_SHARE = 0.2  # of each source in the label: both are meant to be seen
_MOST_CLASSES = 12


def study_confidence(
    photos: RunPhotos,
    looked: Looked,
    subject: RunNetwork,
    *,
    shown: int,
    count: int,
    seed: int,
    progress: Display,
) -> Confidence | None:
    """Return the most and the least confident mixes among those that training would draw.

    Only mixes of two classes count in which each has at least 20 % of the label. A run that did not
    mix is judged on mixup.
    """
    if not subject.policy.traits.mixes:
        subject = replace(subject, policy=create_policy("mixup"))
    judged: list[Judged] = []
    rng = np.random.default_rng([seed, 4])
    for start in range(0, count, _BATCH):
        size = min(_BATCH, len(looked.positions))
        rows = rng.choice(len(looked.positions), size, replace=False).tolist()
        judged += _judge(photos, [looked.positions[at] for at in rows], subject, seed + start)
        progress.work("judging mixes", min(start + _BATCH, count), count)
    if not judged:
        return None
    judged.sort(key=lambda one: -one.both)
    half = max(min(shown, len(judged) // 2), 1)
    return Confidence(
        judged[:half],
        judged[::-1][:half],
        torch.tensor([one.mix.weight for one in judged]),
        torch.tensor([one.split for one in judged]),
        torch.tensor([one.both for one in judged]),
    )


def study_confusion(
    photos: RunPhotos,
    looked: Looked,
    subject: RunNetwork,
    *,
    draws: int,
    seed: int,
    progress: Display,
) -> Confusion:
    """Return what is taken for what on photos, and which third class a mix of two looks like.

    Of many classes the twelve that are right least often are shown.
    """
    said = _present(looked.probability).argmax(1)
    kept = _kept(said, looked.target)
    clean = torch.zeros(len(kept), len(kept) + 1)
    for row, target in enumerate(kept):
        own = said[looked.target == target]
        clean[row, :-1] = torch.tensor([float((own == other).float().mean()) for other in kept])
        clean[row, -1] = 1 - clean[row, :-1].sum()
    strength = torch.full((len(kept), len(kept)), torch.nan)
    other = [["" for _ in kept] for _ in kept]
    for row, first in enumerate(kept):
        for column, second in enumerate(kept):
            mean = _mean_mix(photos, looked, subject, (first, second), draws, seed)
            if mean is not None:
                mean[[first, second]] = -1.0
                strength[row, column] = mean.max()
                other[row][column] = photos.classes[int(mean.argmax())]
        progress.work("mixing classes", row + 1, len(kept))
    return Confusion(
        tuple(photos.classes[target] for target in kept),
        clean.clamp_min(0),
        [int((looked.target == target).sum()) for target in kept],
        other,
        strength,
        draws,
        len(torch.unique(looked.target)) - len(kept),
    )


def _judge(
    photos: RunPhotos, positions: Sequence[int], subject: RunNetwork, seed: int
) -> list[Judged]:
    """Mix photos as a training step would and judge the mixes that count."""
    shown = photos.load(positions)
    target = photos.target(positions)
    images = subject.look(shown)
    plan = draw_mixes(subject, images, target, seed)
    _, probability = subject.ask(blend(images, plan))
    probability, plan = _present(probability).cpu(), plan.to("cpu")
    mixed = blend(shown, plan)
    second = target[plan.index]
    counts = (target != second) & (plan.shares.amin(1) >= _LEAST_SHARE)
    judged = []
    pairs = [(at, positions[to]) for at, to in zip(positions, plan.index.tolist(), strict=True)]
    mixes = as_mixes(photos, pairs, shown, shown[plan.index], plan, mixed)
    for at in counts.nonzero()[:, 0].tolist():
        sure = float(probability[at, target[at]]), float(probability[at, second[at]])
        rest = probability[at].clone()
        rest[[int(target[at]), int(second[at])]] = -1.0
        third = int(rest.argmax())
        there = len(rest) > 2
        name = photos.classes[third] if there else ""
        judged.append(Judged(mixes[at], sure, name, float(rest[third]) if there else 0.0))
    return judged


def _mean_mix(
    photos: RunPhotos,
    looked: Looked,
    subject: RunNetwork,
    classes: tuple[int, int],
    draws: int,
    seed: int,
) -> Tensor | None:
    """Return the (K,) mean probability of half-and-half mixes of two classes; None without any."""
    rng = np.random.default_rng([seed, 5, *classes])
    firsts, seconds = (
        [looked.positions[at] for at in (looked.target == label).nonzero()[:, 0].tolist()]
        for label in classes
    )
    first = rng.choice(firsts, draws).tolist()
    second = rng.choice(seconds, draws).tolist()
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    if not pairs or len(photos.classes) < 3:
        return None
    originals, partners = photos.load([a for a, _ in pairs]), photos.load([b for _, b in pairs])
    mixed, _, _ = mix_at(subject, originals, partners, 0.5, seed=seed)
    return _present(subject.ask(mixed)[1]).cpu().mean(0)


def _kept(said: Tensor, target: Tensor) -> list[int]:
    there = torch.unique(target).tolist()
    there.sort(key=lambda label: float((said[target == label] == label).float().mean()))
    return sorted(there[:_MOST_CLASSES])


def _present(probability: Tensor | None) -> Tensor:
    if probability is None:
        raise ValueError("subject: expected a network with classes, got one without")
    return probability


_NEIGHBOURS = 4  # neighbours of a mix


def study_near(
    photos: RunPhotos,
    looked: Looked,
    trained: Looked,
    pairs: Sequence[Pair],
    subject: RunNetwork,
    *,
    shown: int,
    seed: int,
) -> NearStudy:
    """Return the training photos nearest to half-and-half mixes, by the cosine of embeddings."""
    originals, partners = load_pairs(photos, pairs)
    mixed, plan, seen = mix_at(subject, originals, partners, 0.5, seed=seed)
    cosine = subject.ask(mixed)[0].cpu() @ trained.embedding.T
    values, rows = cosine.topk(min(_NEIGHBOURS, len(trained.positions)), dim=1)
    mixes = as_mixes(photos, pairs, originals, partners, plan, seen)
    found = []
    for mix, near_rows, cosines in zip(mixes[:shown], rows.tolist(), values.tolist(), strict=False):
        near = [trained.positions[row] for row in near_rows]
        names = [(photos.name(at), photos.images.keys[at]) for at in near]
        faces = zip(photos.load(near), names, cosines, strict=True)
        found.append(NearMix(mix, [Neighbour(face, *said, value) for face, said, value in faces]))
    own = (looked.embedding @ trained.embedding.T).amax(1).median()
    return NearStudy(found, float(own), float(values[:, 0].median()), len(pairs))
