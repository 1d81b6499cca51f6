"""The photos of `samix preview`: which pairs are shown, and what the network sees of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from samix.data import ImageSet
from samix.data.image_set import NO_LABEL
from samix.data.sampling import in_turn
from samix.data.store import defect_at, photo_at
from samix.errors import InputError
from samix.pages.mixes import ShownPhotos
from samix.pages.words import Words, word
from samix.policies import nearest

from .policies import parse_words

_LARGEST = 224  # px, side where none is given


def candidates(images: ImageSet, words: Sequence[str]) -> tuple[tuple[int, ...], Words]:
    """Return the positions of two photos or more to choose from, and what they are."""
    train = [i for i, split in enumerate(images.given_split) if split not in ("val", "test")]
    parted = any(split is not None for split in images.given_split)
    what = word("from-train" if parted else "from-all")
    if not train:
        train, what = list(range(len(images))), word("from-part")
    wanted = _classes(images, words)
    labelled = [i for i in train if images.targets[i] != NO_LABEL]
    if wanted:
        train = [i for i in labelled if images.targets[i] in wanted]
        named = ", ".join(images.classes[target] for target in wanted)
        what = word("from-classes", photos=what, classes=named)
    elif len(labelled) > 1:
        train = labelled
    if len(train) < 2:
        of = f" of {', '.join(images.classes[target] for target in wanted)}" if wanted else ""
        raise InputError(
            f"DATA '{images.name}' has {len(train)} {'photo' if len(train) == 1 else 'photos'}{of} "
            "to choose from; a pair needs two"
        )
    return tuple(train), what


def choose(
    targets: Sequence[int], positions: Sequence[int], index: Sequence[int], seed: int
) -> list[int]:
    """Choose photos so that partners, one cycle, are of different classes wherever that can be.

    Returns:
        Positions, one a place of the batch.
    """
    rng = np.random.default_rng(seed)
    of_class: dict[int, list[int]] = {}
    for position in rng.permutation(np.asarray(positions)).tolist():
        of_class.setdefault(targets[position], []).append(position)
    classes = rng.permutation(np.asarray(sorted(of_class))).tolist()
    taken: dict[int, list[int]] = {target: [] for target in classes}
    for photo in in_turn([of_class[target] for target in classes], len(index)):
        taken[targets[photo]].append(photo)
    row = [photo for photos in sorted(taken.values(), key=len, reverse=True) for photo in photos]
    cycle = [0]
    while len(cycle) < len(index):
        cycle.append(index[cycle[-1]])
    # every second place of the cycle, then the others: no class lies beside itself
    place_of = dict(zip((*cycle[::2], *cycle[1::2]), row, strict=True))
    return [place_of[place] for place in range(len(index))]


def read_photos(images: ImageSet, positions: Sequence[int], size: int | None) -> ShownPhotos:
    """Return photos as the network sees them, with the regions of their defects where given."""
    side = size or _side(images, positions)
    photos = [photo_at(images, position, side) for position in positions]
    regions = [defect_at(images, position, side) for position in positions]
    known = [region for region in regions if region is not None]
    nothing = torch.zeros(1, side, side)
    return ShownPhotos(
        images=torch.stack(photos).float() / 255,
        target=torch.tensor([images.targets[i] for i in positions]),
        classes=images.classes,
        names=[images.keys[i] for i in positions],
        regions=torch.stack([nothing if r is None else r for r in regions]) if known else None,
        empty_masks=tuple(r is not None and not bool(r.any()) for r in regions),
    )


def _classes(images: ImageSet, words: Sequence[str]) -> tuple[int, ...]:
    """Return the positions of the classes that were asked for."""
    names = parse_words(words, images.classes)
    if names and not images.classes:
        raise InputError(
            f"classes={','.join(names)}: DATA '{images.name}' has no classes; leave it out"
        )
    for name in names:
        if name not in images.classes:
            raise InputError(
                f"classes '{name}' is no class of '{images.name}'; the nearest is "
                f"'{nearest(name, images.classes)}'"
            )
    return tuple(images.classes.index(name) for name in names)


def _side(images: ImageSet, positions: Sequence[int]) -> int:
    """Return the longest side of the photos, at most 224 px and at least 8."""
    longest = 8
    for position in positions:
        longest = max(longest, *images.read_for(position, _LARGEST).size)
        if longest >= _LARGEST:
            return _LARGEST
    return longest
