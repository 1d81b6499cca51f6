"""The real photos nearest to mixes."""

from __future__ import annotations

from collections.abc import Sequence

from samix.report.explain_data import NearMix, NearStudy, Neighbour

from .looked import Looked
from .pairing import Pair, as_mixes, load_pairs, mix_at
from .photos import RunPhotos
from .subject import Subject

_SHOWN = 4  # neighbours of a mix


def study_near(
    photos: RunPhotos,
    looked: Looked,
    trained: Looked,
    pairs: Sequence[Pair],
    subject: Subject,
    *,
    shown: int,
    seed: int,
) -> NearStudy:
    """Return the training photos nearest to half-and-half mixes, by the cosine of embeddings.

    Args:
        photos: The photos.
        looked: What the network says of the photos that are explained.
        trained: The same of the photos that neighbours are taken from.
        pairs: Mixes that are measured.
        subject: The network and its policy.
        shown: How many of them, from the first on, are shown.
        seed: Of the places of boxes.
    """
    originals, partners = load_pairs(photos, pairs)
    mixed, plan, seen = mix_at(subject, originals, partners, 0.5, seed=seed)
    cosine = subject.ask(mixed)[0].cpu() @ trained.embedding.T
    values, rows = cosine.topk(min(_SHOWN, len(trained.positions)), dim=1)
    mixes = as_mixes(photos, pairs, originals, partners, plan, seen)
    found = []
    for at in range(min(shown, len(pairs))):
        near = [trained.positions[row] for row in rows[at].tolist()]
        faces = photos.load(near)
        found.append(
            NearMix(
                mixes[at],
                [
                    Neighbour(
                        faces[n],
                        photos.name(position),
                        photos.images.keys[position],
                        float(values[at, n]),
                    )
                    for n, position in enumerate(near)
                ],
            )
        )
    own = (looked.embedding @ trained.embedding.T).amax(1).median()
    return NearStudy(found, float(own), float(values[:, 0].median()), len(pairs))
