"""From pairs that match to groups, without chains."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import islice

Pair = tuple[int, int]
Same = Callable[[Sequence[Pair]], Sequence[bool]]

_ROUNDS = 8


def star_groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return groups in which every photo matches the first one, the representative.

    The photo with the most matches that are still free takes them all; then the next one. A chain
    a-b-c-d in which only neighbours match thus falls into (b: a, c) and d, where linking whatever
    is connected would put all photos of a slowly changing series into one group.

    Args:
        pairs: Positions that match, each pair once.

    Returns:
        Groups of two or more, the largest first; the members after the representative ascend.
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


def merge_groups(
    groups: Sequence[Sequence[int]], pairs: Sequence[Pair], same: Same
) -> list[list[int]]:
    """Join groups that belong together, photos outside any group included.

    Only so many neighbours of each photo are known, so that many photos of one thing first fall
    into several groups. Two groups that some pair links become one where every member of the
    smaller matches the representative of the larger, which is looked at anew.

    Args:
        groups: From :func:`star_groups`.
        pairs: Positions that match.
        same: Says for pairs whether they match.

    Returns:
        Groups of two or more, as from :func:`star_groups`.
    """
    everyone = {photo for pair in pairs for photo in pair}
    grouped = {photo for group in groups for photo in group}
    current = [list(group) for group in groups] + [[photo] for photo in sorted(everyone - grouped)]
    refused: set[tuple[int, int]] = set()  # representative and representative
    for _ in range(_ROUNDS):
        place = {photo: number for number, group in enumerate(current) for photo in group}
        links = {tuple(sorted((place[a], place[b]))) for a, b in pairs if place[a] != place[b]}
        ordered = [_larger_first(current, one, other) for one, other in sorted(links)]
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


def _larger_first(groups: Sequence[Sequence[int]], one: int, other: int) -> tuple[int, int]:
    return (one, other) if len(groups[one]) >= len(groups[other]) else (other, one)
