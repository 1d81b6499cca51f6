"""All parts of an explanation, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from samix.errors import InputError
from samix.options import Options, option
from samix.pages.words import Words, rounded, word
from samix.progress import Display, Silent

from .attention import heat_inside, open_class_looker, open_looker, see_mixes, see_photos
from .judging import study_confidence, study_confusion, study_near
from .mixer import study_mixer
from .pairs import choose_pairs
from .representation import study_map
from .results import Explanation
from .subject import Looked, RunNetwork, RunPhotos, look_at

Part = Literal["test", "val", "train"]
_MOST_EXPLAINED = 2_000  # photos of the part
_MOST_TRAINED = 10_000  # photos that neighbours are taken from
_MEASURED = 48  # pairs whose masks and neighbours are measured
_DRAWN = 512  # mixes that are judged
_DRAWS = 8  # mixes of each pair of classes
_LEARNED = 0.15  # of the way from guessing to always right: less is hardly anything
_ROUTES = 4  # ways on the map: more cannot be told apart


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(Options):
    """What is shown."""

    part: Part = "test"  # part of the run's photos that is explained
    # right photos of each class that are shown, and wrong ones as many
    photos: int = option(2, least=1, most=20)
    pairs: int = option(6, least=1, most=24)  # mixes that are shown in each part
    seed: int = option(0, least=0)  # of all choices


def explain(
    subject: RunNetwork,
    photos: RunPhotos,
    options: ExplainOptions | None = None,
    *,
    progress: Display | None = None,
) -> Explanation:
    """Explain what a run has learned.

    Args:
        subject: Its network and policy.
        photos: Its photos.
        options: What is shown.
        progress: Where to show what happens; None shows nothing.

    Raises:
        InputError: The part has fewer than two photos, or a photo cannot be read.
    """
    options, progress = options or ExplainOptions(), progress or Silent()
    there = photos.parts[options.part]
    if len(there) < 2:
        raise InputError(
            f"the {options.part} part of the run has {len(there)} photos in the data; two are "
            f"needed: choose another `part`, or give the run's photos as `data`"
        )
    chosen = _some(there, _MOST_EXPLAINED, options.seed)
    looked = look_at(subject, photos, chosen, progress, word("seeing-part", part=options.part))
    count = max(_MEASURED, options.pairs)
    pairs = choose_pairs(photos, chosen, count, options.seed)
    shown = pairs[: options.pairs]
    rest: dict[str, Any] = {"seed": options.seed, "progress": progress}
    looker, asker = open_looker(subject), open_class_looker(subject)
    trained = _trained(subject, photos, looked, options, progress)
    return Explanation(
        run=subject.name,
        policy=str(subject.description["policy"]),
        mixed_by=subject.policy.name if subject.policy.traits.mixes else "mixup",
        classifies=bool(subject.classes),
        part=options.part,
        looker="" if looker is None else looker.name,
        fields=(0, 0) if looker is None else looker.fields,
        asker="" if asker is None else asker.name,
        photos=(len(chosen), len(there)),
        accuracy=_accuracy(looked),
        guess=_guess(looked) if subject.classes else None,
        seen=[]
        if looker is None
        else see_photos(photos, looked, looker, subject, options.photos, options.seed),
        inside=[]
        if looker is None
        else heat_inside(photos, looked, looker, subject, options.seed, progress),
        seen_mixes=[]
        if asker is None
        else see_mixes(photos, looked, shown, asker, subject, options.seed),
        mixer=study_mixer(photos, looked, pairs, looker, subject, shown=options.pairs, **rest),
        map=study_map(photos, looked, pairs[:_ROUTES], subject, **rest),
        near=None
        if trained is None
        else study_near(
            photos, looked, trained, pairs, subject, shown=options.pairs, seed=options.seed
        ),
        confidence=study_confidence(
            photos, looked, subject, shown=max(options.pairs // 2, 1), count=_DRAWN, **rest
        )
        if subject.classes
        else None,
        confusion=study_confusion(photos, looked, subject, draws=_DRAWS, **rest)
        if subject.classes
        else None,
        notes=(*_notes(subject, photos, options, len(chosen)), *_learned_note(looked)),
    )


def _some(positions: Sequence[int], most: int, seed: int) -> tuple[int, ...]:
    """Return all positions, or so many of them drawn at random, ascending."""
    if len(positions) <= most:
        return tuple(positions)
    drawn = np.random.default_rng([seed, 0]).choice(positions, most, replace=False)
    return tuple(sorted(drawn.tolist()))


def _trained(
    subject: RunNetwork,
    photos: RunPhotos,
    looked: Looked,
    options: ExplainOptions,
    progress: Display,
) -> Looked | None:
    """Return what the network says of the training photos; None where none is there."""
    positions = _some(photos.parts["train"], _MOST_TRAINED, options.seed)
    # a training photo that is explained is not a neighbour of itself
    positions = tuple(sorted(set(positions) - set(looked.positions)))
    if not positions:
        return None
    return look_at(subject, photos, positions, progress, "looking at train")


def _learned_note(looked: Looked) -> tuple[Words, ...]:
    accuracy = _accuracy(looked)
    if accuracy is None:
        return ()
    guess = _guess(looked)
    if accuracy >= guess + _LEARNED * (1 - guess):
        return ()
    return (word("see-learned-little", guess=rounded(guess)),)


def _guess(looked: Looked) -> float:
    return int(looked.target.bincount().max()) / len(looked.target)


def _accuracy(looked: Looked) -> float | None:
    if looked.probability is None:
        return None
    return float((looked.probability.argmax(1) == looked.target).float().mean())


def _notes(
    subject: RunNetwork, photos: RunPhotos, options: ExplainOptions, chosen: int
) -> tuple[Words, ...]:
    notes = list(photos.notes)
    if options.part == "train":
        notes.append(word("see-trained"))
    if chosen < len(photos.parts[options.part]):
        notes.append(word("see-drawn", count=f"{chosen:,}"))
    if not subject.policy.traits.mixes:
        notes.append(word("see-not-mixed"))
    if subject.guarded:
        notes.append(word("see-guarded"))
    return tuple(notes)
