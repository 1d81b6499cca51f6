"""Photos of the same: equal ones, and near-duplicates of a part that was photographed again.

`find_duplicates` is the way in. It takes a fingerprint of each photo, looks for pairs that may
match, lays each pair over each other, and groups what agrees.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samix.data.duplicates.fingerprints import (
    Fingerprints,
    content_hashes,
    equal_photos,
    take_fingerprints,
)
from samix.data.duplicates.matching import CHUNK, LEAST_AGREEMENT, agree, find_candidates, match
from samix.data.image_set import ImageSet
from samix.data.reading import threaded
from samix.files import cache_folder, whole_file
from samix.progress import Announce, named

Groups = tuple[tuple[int, ...], ...]
Pair = tuple[int, int]
Same = Callable[[Sequence[Pair]], Sequence[bool]]
LARGEST_SHARE = 0.02  # of the photos, that a group may have and be used without being asked for
HANDFUL = 10  # photos that a group may always have
MOST_PHOTOS = 200_000  # that all are compared with all; the time grows with the square
_VERSION = 4  # of the method: another one does not read what this one wrote
_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Which photos of a set show the same.

    Attributes:
        groups: Positions of the photos of each group that is used; each matches the first one.
        large: The same of groups that are too large to be used without being asked for: of more
            than ten photos and 2 % of all, where equal photos count once.
        equal: Positions of photos whose pixels are equal; they are in the groups as well.
        pairs: (M, 2) int64 positions of near-duplicates, the first below the second. Of equal
            photos only the first one is compared.
        agreement: (M,) float, how well they agree, in [0.8, 1].
        mirrored: (M,) bool, whether one is the mirror image of the other.
        size: (N, 2) int64, width and height of each photo in px.
        cached: Whether all this was known from an earlier call.
    """

    groups: tuple[tuple[int, ...], ...]
    large: tuple[tuple[int, ...], ...]
    equal: tuple[tuple[int, ...], ...]
    pairs: NDArray[np.int64]
    agreement: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    size: NDArray[np.int64]
    cached: bool = False

    @property
    def photos(self) -> int:
        """Number of photos in the groups that are used."""
        return sum(len(group) for group in self.groups)

    @property
    def apart(self) -> int:
        """Number of matching pairs whose photos are not in one group: links of chains."""
        everything = (*self.groups, *self.large)
        place = {photo: number for number, group in enumerate(everything) for photo in group}
        numbers = ((place.get(a, -1), place.get(b, -2)) for a, b in self.pairs.tolist())
        return sum(one != other for one, other in numbers)

    def names(self) -> tuple[str | None, ...]:
        """Return the group of each photo for a split; None is a photo that stands for itself.

        Equal photos always have one group, also within a group that is too large to be used.
        """
        names: list[str | None] = [None] * len(self.size)
        for number, group in enumerate(self.groups, start=1):
            for photo in group:
                names[photo] = f"near-duplicates {number}"
        for number, group in enumerate(self.equal, start=1):
            if names[group[0]] is None:  # in a group that is too large, which stays apart but this
                for photo in group:
                    names[photo] = f"equal photos {number}"
        return tuple(names)


def find_duplicates(images: ImageSet, *, announce: Announce | None = None) -> Duplicates:
    """Find equal photos and near-duplicates.

    Near-duplicates show the same under other light or contrast, moved or cropped by up to about a
    tenth, rotated by a few degrees, compressed, saved in another size, or mirrored left to right.
    The outcome is kept in the user's cache folder under a hash of all photos. Among more than
    MOST_PHOTOS photos only equal ones are found.

    Args:
        images: The photos, at least one.
        announce: Called with (what is done, done, total) during long work.

    Raises:
        CorruptImageError: A photo cannot be read.
    """
    hashes = content_hashes(images, progress=named(announce, "hashing photos"))
    if hashes is not None and (known := _read_record(record_path(hashes))) is not None:
        return known
    prints = take_fingerprints(
        images, hashed=hashes is None, progress=named(announce, "reading photos")
    )
    path = record_path(prints.pixels.tolist() if hashes is None else hashes)
    if hashes is None and (known := _read_record(path)) is not None:
        return known
    found = _search(prints, announce)
    _write_record(path, found)
    return found


def known_duplicates(images: ImageSet) -> Duplicates | None:
    """Return what an earlier call found for the same photos, or None where there was none."""
    hashes = content_hashes(images) if len(images) <= MOST_PHOTOS else None
    return None if hashes is None else _read_record(record_path(hashes))


def _search(prints: Fingerprints, announce: Announce | None) -> Duplicates:
    equal = equal_photos(prints.pixels)
    copies = {i for positions in equal for i in positions[1:]}
    first = [i for i in range(len(prints)) if i not in copies]
    grey = torch.from_numpy(prints.grey[first])
    with _one_thread_each():
        pairs, agreement, mirrored = _near(grey, announce)
        groups = merge_groups(star_groups(pairs), pairs, lambda asked: _same(grey, asked))
    others = {positions[0]: positions[1:] for positions in equal}
    whole = [_with_copies([first[i] for i in group], others) for group in groups]
    grouped = {i for group in whole for i in group}
    whole += [positions for positions in equal if positions[0] not in grouped]
    back = np.array(first, dtype=np.int64)
    return _sorted_out(
        sorted(whole, key=lambda group: (-len(group), group[0])),
        equal=tuple(map(tuple, equal)),
        pairs=back[np.array(pairs, dtype=np.int64).reshape(-1, 2)],
        agreement=np.array(agreement, dtype=np.float64),
        mirrored=np.array(mirrored, dtype=np.bool_),
        size=prints.size,
    )


def _near(
    grey: torch.Tensor, announce: Announce | None
) -> tuple[list[Pair], list[float], list[bool]]:
    """Return the pairs that match, how well they agree, and whether they are mirrored."""
    if not 2 <= len(grey) <= MOST_PHOTOS:
        return [], [], []
    candidates = find_candidates(grey, progress=named(announce, "looking for near-duplicates"))
    pair, agreement, mirrored = match(
        grey, candidates, progress=named(announce, "comparing photos")
    )
    return [(a, b) for a, b in pair.tolist()], agreement.tolist(), mirrored.tolist()


def _same(grey: torch.Tensor, asked: Sequence[Pair]) -> list[bool]:
    def compare(number: int) -> list[bool]:
        pair = torch.tensor(asked[number * CHUNK : (number + 1) * CHUNK], dtype=torch.int64)
        plain, mirrored = torch.zeros(len(pair)).bool(), torch.ones(len(pair)).bool()
        best = torch.maximum(agree(grey, pair, plain), agree(grey, pair, mirrored))
        return [value >= LEAST_AGREEMENT for value in best.tolist()]

    parts = threaded(compare, -(-len(asked) // CHUNK), chunk=1)
    return [answer for part in parts for answer in part]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let torch compute in one thread: the threads that we start share the cores instead."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


def _with_copies(group: list[int], copies: dict[int, list[int]]) -> list[int]:
    """Return a group with the equal photos of its members; the representative stays first."""
    more = [copy for photo in group for copy in copies.get(photo, ())]
    return [group[0], *sorted(group[1:] + more)]


def _sorted_out(groups: Sequence[Sequence[int]], **known: Any) -> Duplicates:
    """Return what was found, with the groups that are too large apart; the largest come first."""
    limit = max(HANDFUL, LARGEST_SHARE * len(known["size"]))
    first = {photo: same[0] for same in known["equal"] for photo in same}
    fits = [len({first.get(photo, photo) for photo in group}) <= limit for group in groups]
    return Duplicates(
        groups=tuple(tuple(group) for group, fit in zip(groups, fits, strict=True) if fit),
        large=tuple(tuple(group) for group, fit in zip(groups, fits, strict=True) if not fit),
        **known,
    )


def star_groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return groups in which every photo matches the first one, the representative.

    The photo with the most matches that are still free takes them all; then the next one. A chain
    a-b-c-d in which only neighbours match thus falls into (b: a, c) and d, where linking whatever
    is connected would put all photos of a slowly changing series into one group.

    The largest group comes first; the members after the representative ascend.
    """
    around: dict[int, set[int]] = {}
    for first, second in pairs:
        around.setdefault(first, set()).add(second)
        around.setdefault(second, set()).add(first)
    waiting = [(-len(matches), photo) for photo, matches in around.items()]
    heapq.heapify(waiting)
    groups: list[list[int]] = []
    while waiting:
        promised, photo = heapq.heappop(waiting)
        if photo not in around:
            continue
        if len(around[photo]) < -promised:  # some were taken since: look again in due order
            heapq.heappush(waiting, (-len(around[photo]), photo))
            continue
        members = sorted(around[photo])
        if not members:
            continue
        groups.append([photo, *members])
        for taken in groups[-1]:
            for other in around.pop(taken):
                if other in around:
                    around[other].discard(taken)
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def record_path(hashes: Iterable[str]) -> Path:
    """Return the file for photos with these hashes, in this order."""
    digest = hashlib.sha256(f"duplicates {_VERSION}\n".encode())
    for line in hashes:
        digest.update(f"{line}\n".encode())
    return cache_folder() / "duplicates" / f"{digest.hexdigest()}.npz"


def _write_record(path: Path, found: Duplicates) -> None:
    """Write what was found; a cache that cannot be written is passed over."""
    with contextlib.suppress(OSError):  # without a record the search is made again
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                **_flat("groups", (*found.large, *found.groups)),
                **_flat("equal", found.equal),
                pairs=found.pairs,
                agreement=found.agreement,
                mirrored=found.mirrored,
                size=found.size,
            )


def _read_record(path: Path) -> Duplicates | None:
    """Return what an earlier search found, or None where there is nothing that can be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _sorted_out(
                _nested(arrays, "groups"),
                equal=_nested(arrays, "equal"),
                pairs=arrays["pairs"],
                agreement=arrays["agreement"],
                mirrored=arrays["mirrored"],
                size=arrays["size"],
                cached=True,
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # made again


def _flat(name: str, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return lists of different lengths as two arrays."""
    return {
        f"{name}_members": np.array([i for group in groups for i in group], dtype=np.int64),
        f"{name}_lengths": np.array([len(group) for group in groups], dtype=np.int64),
    }


def _nested(arrays: Any, name: str) -> Groups:
    members, lengths = arrays[f"{name}_members"], arrays[f"{name}_lengths"]
    ends = np.cumsum(lengths)[:-1]
    return tuple(tuple(part.tolist()) for part in np.split(members, ends)) if len(lengths) else ()


def merge_groups(
    groups: Sequence[Sequence[int]], pairs: Sequence[Pair], same: Same
) -> list[list[int]]:
    """Join groups that belong together, photos outside any group included.

    Only so many neighbours of each photo are known, so that many photos of one thing first fall
    into several groups. Two groups that some pair links become one where every member of the
    smaller matches the representative of the larger, which ``same`` looks at anew.
    """
    everyone = {photo for pair in pairs for photo in pair}
    grouped = {photo for group in groups for photo in group}
    current = [list(group) for group in groups] + [[photo] for photo in sorted(everyone - grouped)]
    refused: set[tuple[int, int]] = set()  # representative and representative
    for _ in range(_ROUNDS):
        place = {photo: number for number, group in enumerate(current) for photo in group}
        links = {tuple(sorted((place[a], place[b]))) for a, b in pairs if place[a] != place[b]}
        ordered = [
            (a, b) if len(current[a]) >= len(current[b]) else (b, a) for a, b in sorted(links)
        ]
        open_links = [
            (one, other)
            for one, other in ordered
            if (current[one][0], current[other][0]) not in refused
        ]
        if not open_links:
            break
        asked = [(current[one][0], photo) for one, other in open_links for photo in current[other]]
        answers = iter(same(asked))
        verdicts = [all(list(islice(answers, len(current[other])))) for _, other in open_links]
        touched: set[int] = set()
        for (one, other), fits in zip(open_links, verdicts, strict=True):
            if one in touched or other in touched:
                continue  # its turn is in the next round
            if not fits:
                refused.add((current[one][0], current[other][0]))
                continue
            touched |= {one, other}
            head, *members = current[one]
            current[one] = [head, *sorted(members + current[other])]
            current[other] = []
        current = [group for group in current if group]
    return sorted((g for g in current if len(g) > 1), key=lambda group: (-len(group), group[0]))
