"""The map of the representation, the way of mixes through it, alignment and uniformity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from samix.data import train_view
from samix.data.sampling import random_keys
from samix.data.store import photo_at
from samix.policies import create_policy
from samix.progress import Display

from .pairs import Pair, load_pairs, mix_at
from .results import MapStudy, Route, Spread
from .subject import Looked, RunNetwork, RunPhotos

_STEPS = 21
_PAIRWISE = 2000  # photos whose distances are all computed
_VIEWED = 500  # photos that are augmented twice


def study_map(
    photos: RunPhotos,
    looked: Looked,
    pairs: Sequence[Pair],
    subject: RunNetwork,
    *,
    seed: int,
    progress: Display,
) -> MapStudy:
    """Return the photos on a map, and the ways of some mixes from one photo to another on it.

    The map is the principal component analysis of the photos' embeddings of unit norm. It is
    linear and made from photos alone, so that mixes are put into the same map and cannot change it.
    """
    known = looked.embedding.double()
    pca = PCA(n_components=min(2, *known.shape), svd_solver="full").fit(known.numpy())

    def placed(embedding: Tensor) -> Tensor:
        points = torch.from_numpy(pca.transform(embedding.double().numpy())).float()
        return torch.cat([points, points.new_zeros(len(points), 2 - points.shape[1])], 1)

    ways = {"mixup" if subject.policy.name == "none" else subject.policy.name: subject}
    if subject.policy.name not in ("mixup", "none"):
        ways["mixup"] = replace(subject, policy=create_policy("mixup"))
    routes = []
    for number, pair in enumerate(pairs):
        paths = {name: path_of(way, photos, pair, seed=seed) for name, way in ways.items()}
        routes.append(
            Route(
                (photos.name(pair[0]), photos.name(pair[1])),
                {name: placed(path) for name, path in paths.items()},
                {name: detour(path) for name, path in paths.items()},
                {name: stride(path) for name, path in paths.items()},
            )
        )
        progress.work("ways of mixes", number + 1, len(pairs))
    variance = [float(share) for share in pca.explained_variance_ratio_]
    spread = measure_spread(subject, photos, looked, seed=seed)
    return MapStudy(
        placed(looked.embedding),
        looked.target,
        photos.classes,
        (variance[0], variance[1] if len(variance) > 1 else 0.0),
        routes,
        spread,
    )


def path_of(subject: RunNetwork, photos: RunPhotos, pair: Pair, *, seed: int) -> Tensor:
    """Return the embeddings of a mix from the original (lam 1) to the partner (lam 0).

    Returns:
        (L,D) of unit norm; the first is that of the original, the last that of the partner.
    """
    first, second = load_pairs(photos, [pair])
    lam = torch.linspace(1, 0, _STEPS)
    # one at a time: the place of a box belongs to a position in the batch
    mixes = [mix_at(subject, first, second, float(value), seed=seed)[0] for value in lam]
    return subject.ask(torch.cat(mixes))[0].cpu()


def detour(path: Tensor) -> float:
    """Return the length of a (L,D) path over the straight distance of its ends."""
    steps = (path[1:] - path[:-1]).norm(dim=1).sum()
    return float(steps / (path[-1] - path[0]).norm().clamp_min(1e-9))


def stride(path: Tensor) -> float:
    """Return the longest step of a (L,D) path over its length."""
    steps = (path[1:] - path[:-1]).norm(dim=1)
    return float(steps.max() / steps.sum().clamp_min(1e-9))


def alignment(embedding: Tensor, target: Tensor) -> float | None:
    """Return the mean squared distance of two photos of one class; None where no class has two.

    Source: Wang and Isola 2020, arXiv 2005.10242, with alpha = 2.

    Args:
        embedding: (N,D) of unit norm.
        target: (N,) classes.
    """
    likeness, pairs = 0.0, 0
    for label in torch.unique(target):
        own = embedding[target == label].double()
        likeness += float(own.sum(0).square().sum()) - len(own)  # over ordered pairs
        pairs += len(own) * (len(own) - 1)
    return None if not pairs else 2.0 - 2.0 * likeness / pairs


def apart(embedding: Tensor, target: Tensor) -> float | None:
    """Return the mean squared distance of two photos of different classes; None without any."""
    whole = embedding.double()
    likeness, pairs = float(whole.sum(0).square().sum()), len(whole) ** 2
    for label in torch.unique(target):
        own = whole[target == label]
        likeness -= float(own.sum(0).square().sum())
        pairs -= len(own) ** 2
    return None if not pairs else 2.0 - 2.0 * likeness / pairs


def uniformity(embedding: Tensor) -> float:
    """Return ``log mean exp(-2 |x - y|^2)`` over all pairs of (N,D) embeddings of unit norm.

    Source: Wang and Isola 2020, arXiv 2005.10242, with t = 2. 0 is all in one place; -4 is the
    limit of an even spread over a sphere of many dimensions.
    """
    if len(embedding) < 2:
        return 0.0
    distance = torch.pdist(embedding[:_PAIRWISE].double())
    return float(distance.square().mul(-2).exp().mean().log())


def measure_spread(subject: RunNetwork, photos: RunPhotos, looked: Looked, *, seed: int) -> Spread:
    """Return alignment and uniformity: of photos of one class, or of two views without classes."""
    even, target = uniformity(looked.embedding), looked.target
    if bool((target >= 0).all()) and len(torch.unique(target)) > 1:
        return Spread(
            alignment(looked.embedding, target), "class", apart(looked.embedding, target), even
        )
    first, second = _two_views(subject, photos, looked.positions[:_VIEWED], seed)
    return Spread(
        float((first - second).square().sum(1).mean()),
        "view",
        apart(looked.embedding, torch.arange(len(target))),
        even,
    )


def _two_views(
    subject: RunNetwork, photos: RunPhotos, positions: Sequence[int], seed: int
) -> tuple[Tensor, Tensor]:
    plain = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    view = train_view(subject.image_size, mean=plain[0], std=plain[1])
    index = torch.arange(len(positions)).numpy()
    stored = torch.stack([photo_at(photos.images, at, view.load_size) for at in positions])
    seen = []
    for epoch in (0, 1):
        views = view(stored, random_keys(seed, epoch, index))
        seen.append(
            torch.cat([subject.ask(subject.look(v))[0].cpu() for v in torch.split(views, 128)])
        )
    return seen[0], seen[1]
