"""Rows of pictures from finished runs; needs captum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samix.data.sampling import in_turn
from samix.errors import InputError
from samix.explain import RunNetwork, RunPhotos, open_network, open_photos
from samix.explain.attention import heat_of, open_class_looker
from samix.explain.pairs import choose_pairs
from samix.guard import Guard, RuleVerdict, create_guard
from samix.methods.mix_step import with_attention
from samix.mixing import Evidence, MixPlan, step_generator
from samix.pages.mixes import MixRow, ShownPhotos, mix_rows, rule_lines
from samix.pages.parts import image_png
from samix.pages.pictures import enlarged, heated, outlined
from samix.pages.words import Words, both, paragraph, percent, word
from samix.shown import in_letters
from samix.study.wording import policy_words

_MIXES = 64  # that the guard judges, to say how many it would reject
_GAP = 8  # px of white between pictures

Row = dict[str, Any]


@dataclass(frozen=True)
class Runs:
    """Opened runs of one study."""

    subjects: Mapping[str, RunNetwork]  # network and policy of each run, by the name of the policy
    # options of each run's guard; None where it had none
    guards: Mapping[str, Mapping[str, Any] | None]
    photos: RunPhotos  # the photos, which all of them share


def open_runs(runs: Mapping[str, Path], data: Mapping[str, Any]) -> Runs:
    """Open the runs of some policies and their photos, which are the same of all."""
    opened = {name: open_network(path) for name, path in runs.items()}
    subject, source = next(iter(opened.values()))
    photos = open_photos(subject, source, **data)
    for name, (other, _) in opened.items():
        if (other.classes, other.image_size) != (subject.classes, subject.image_size):
            raise InputError(
                f"the run '{runs[name]}' has other classes or another image size than "
                f"'{next(iter(runs.values()))}': they are not of one study"
            )
    return Runs(
        {name: one for name, (one, _) in opened.items()},
        {name: of.config.guard for name, (_, of) in opened.items()},
        photos,
    )


def mix_pictures(runs: Runs, policy: str, run: str, pairs: int, seed: int) -> list[Row]:
    """Return some mixes of training photos, drawn as in training, with what the guard says."""
    subject, photos = runs.subjects[policy], runs.photos
    train = photos.parts["train"]
    if not subject.policy.traits.mixes or len(train) < 2:
        why = "picture-no-mixing" if len(train) > 1 else "picture-few-photos"
        return [{"part": "mixes", "caption": word(why, policy=policy_words(policy)).plain()}]
    guard = create_guard(runs.guards[policy] or {}, photos.classes)
    many = _Mixed.of(subject, photos, train, _MIXES, seed)
    verdicts = _judged(guard, many)
    some = _Mixed.of(subject, photos, train, pairs, seed)
    said = _judged(guard, some)
    seen = _seen(photos, some.positions, some.shown, some.target)
    rows = mix_rows(seen, some.plan, count=pairs)
    judged = {}
    if verdicts is not None:
        passed = torch.stack([one.passed for one in verdicts.values()]).all(0)[: many.pairs]
        judged = {"judged": {"mixes": many.pairs, "rejected": int((~passed).sum())}}
    line = word("mixes-soft-label" if subject.classes else "mixes-shares")
    told = [word("mixes-caption", policy=policy_words(policy), run=run, line=line)]
    told += [word("mixes-outlines")] if seen.regions is not None else []
    told += [word("mixes-guard-off")] if runs.guards[policy] is None else []
    return [
        {
            "part": "mixes", "policy": policy, "file": f"mixes-{policy}-{at + 1}.png",
            "png": _beside(row.pictures), "title": (both(f"{at + 1}. ") + row.label_words).plain(),
            **_badge(said, at), **judged, "columns": _columns(row),
            "lines": [
                word("picture-numbers", lam=row.lam, area=row.area).plain(), *_lines(said, at),
            ],
            "caption": paragraph(told).plain(),
        }
        for at, row in enumerate(rows)
    ]  # fmt: skip


def where_pictures(runs: Runs, names: Mapping[str, str], count: int, seed: int) -> list[Row]:
    """Return where the networks look on so many of the same test photos, one row a photo."""
    photos = runs.photos
    chosen = _some(photos, count, seed)
    lookers = {name: open_class_looker(subject) for name, subject in runs.subjects.items()}
    able = {name: looker for name, looker in lookers.items() if looker is not None}
    if not chosen or not able:
        why = word("picture-no-looker" if chosen else "picture-no-photos")
        return [{"part": "where", "caption": why.plain()}]
    looked = _look(runs, able, chosen)
    first = next(iter(able.values()))
    (rows, columns), code = first.fields, "where-class" if looked.said else "where-description"
    run = ", ".join(names[name] for name in able)
    told = [word(code, looker=first.name, rows=rows, columns=columns, runs=run)]
    if any(photos.defect(position) is not None for position in chosen):
        told.append(word("where-outline"))
    caption = paragraph(told).plain()
    return [
        {
            "part": "where", "file": f"where-{at + 1}.png", **looked.row(at),
            "title": both(f"{at + 1}. {photos.name(position)}").plain(), "lines": [],
            "caption": caption,
        }
        for at, position in enumerate(chosen)
    ]  # fmt: skip


def wrong_pictures(
    runs: Runs, names: Mapping[str, str], wrong: Sequence[Mapping[str, Any]], policy: str
) -> list[Row]:
    """Return test photos that the policy gets wrong, with what the networks saw."""
    photos = runs.photos
    place = {in_letters(key): at for at, key in enumerate(photos.images.keys)}
    rows = [row for row in wrong if row["photo"] in place]
    lookers = {name: open_class_looker(runs.subjects[name]) for name in names}
    able = {name: looker for name, looker in lookers.items() if looker is not None}
    if not rows or not able:
        return []
    looked = _look(runs, able, [place[row["photo"]] for row in rows])
    caption = word("wrong-caption").plain()
    found = []
    for at, row in enumerate(rows):
        told = word(
            "wrong-line", policy=policy_words(policy), said=row["said"], wrong=row["wrong"],
            seeds=row["seeds"], sure=percent(row["sure"], 0),
        )  # fmt: skip
        found.append(
            {
                "part": "wrong", "file": f"wrong-{at + 1}.png", **looked.row(at),
                "title": both(f"{at + 1}. {row['class']}").plain(), "lines": [told.plain()],
                "caption": caption,
            }
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class _Looked:
    """Where networks looked in some photos, and what they take them for."""

    photos: RunPhotos
    chosen: Sequence[int]  # their places
    shown: Tensor  # (N,3,S,S) as the networks saw them
    heats: Mapping[str, Tensor]  # by policy, (N,1,S,S)
    said: Mapping[str, Any]  # by policy, values and classes of the surest; nothing without classes

    def row(self, at: int) -> Row:
        """Return the picture of one photo, and the words below its columns."""
        photos, position = self.photos, self.chosen[at]
        defect = photos.defect(position)
        pictures = [outlined(self.shown[at], defect)]
        file = photos.images.keys[position].rpartition("/")[2]
        columns = [_named("picture-photo", photos.name(position), file)]
        for policy, heats in self.heats.items():
            pictures.append(heated(self.shown[at], heats[at], defect))
            taken, sure = "", 0.0
            if policy in self.said:
                taken = photos.classes[int(self.said[policy].indices[at])]
                sure = float(self.said[policy].values[at])
            columns.append(_taken(policy, taken, sure, cold=float(heats[at].max()) <= 0))
        return {"png": _beside(pictures), "columns": [one.plain() for one in columns]}


def _look(runs: Runs, lookers: Mapping[str, Any], chosen: Sequence[int]) -> _Looked:
    shown = runs.photos.load(list(chosen))
    heats, said = {}, {}
    for name, looker in lookers.items():
        subject = runs.subjects[name]
        embedding, probability = subject.ask(subject.look(shown))
        if probability is None:  # what makes it describe the photo as it does
            heats[name] = heat_of(looker, subject, shown, embedding)
            continue
        said[name] = probability.cpu().max(1)
        heats[name] = heat_of(looker, subject, shown, said[name].indices)
    return _Looked(runs.photos, chosen, shown, heats, said)


@dataclass(frozen=True)
class _Mixed:
    """Pairs of photos, mixed as in training."""

    subject: RunNetwork  # network and policy
    pairs: int  # how many; the originals come first, then their partners
    positions: Sequence[int]  # of all photos
    shown: Tensor  # (2 pairs,3,S,S) in [0, 1]
    images: Tensor  # as the network sees them
    target: Tensor  # classes
    evidence: Evidence  # what the policy knows beyond the pixels
    plan: MixPlan  # how they are mixed

    @classmethod
    def of(
        cls, subject: RunNetwork, photos: RunPhotos, train: Sequence[int], count: int, seed: int
    ) -> _Mixed:
        """Mix so many pairs, or as many as there are photos for."""
        pairs = choose_pairs(photos, train, count, seed)
        positions = [a for a, _ in pairs] + [b for _, b in pairs]
        shown, target = photos.load(positions), photos.target(positions)
        images = subject.look(shown)
        evidence = subject.evidence(images)
        # each original meets the partner that was chosen for it, whatever the policy
        index = torch.arange(len(positions)).roll(-len(pairs))
        plan = subject.policy.plan(
            images, target=target, evidence=evidence, index=index,
            generator=step_generator(seed, 0),
        ).detach()  # fmt: skip
        return cls(subject, len(pairs), positions, shown, images, target, evidence, plan)


def _judged(guard: Guard, mixed: _Mixed) -> dict[str, RuleVerdict] | None:
    """Return what the guard says about each mix; None where it needs what is not kept."""
    evidence = mixed.evidence
    if guard.options.saliency == "attention" and guard.options.visibility:
        if evidence.features is None:
            return None
        evidence = with_attention(evidence)

    def ask(images: Tensor) -> Tensor:
        probability = mixed.subject.ask(images)[1]
        return torch.zeros(len(images), 0) if probability is None else probability

    return guard.verdicts(
        mixed.images, mixed.plan, target=mixed.target, evidence=evidence, judge=ask
    )


def _badge(said: Mapping[str, RuleVerdict] | None, at: int) -> Row:
    if said is None:
        return {}
    good = all(bool(verdict.passed[at]) for verdict in said.values())
    return {
        "badge": word("picture-accepted" if good else "picture-repaired").plain(),
        "state": "ok" if good else "changed",
    }  # fmt: skip


def _lines(said: Mapping[str, RuleVerdict] | None, at: int) -> list[dict[str, str]]:
    if said is None:
        return [word("picture-no-attention").plain()]
    return [line.plain() for line in rule_lines(said, at)]


def _columns(row: MixRow) -> list[dict[str, str]]:
    names = [name.rpartition("/")[2] for name in row.names]
    return [
        _named("picture-original", row.classes[0], names[0]).plain(),
        _named("picture-partner", row.classes[1], names[1]).plain(),
        word("picture-mask").plain(),
        word("picture-mix").plain(),
    ]


def _seen(
    photos: RunPhotos, positions: Sequence[int], shown: Tensor, target: Tensor
) -> ShownPhotos:
    marked = [photos.defect(position) for position in positions]
    regions = None
    if any(one is not None for one in marked):
        none = torch.zeros(1, *shown.shape[2:])
        regions = torch.stack([none if one is None else one for one in marked])
    names = [photos.images.keys[position] for position in positions]
    return ShownPhotos(shown, target, photos.classes, names, regions)


def _some(photos: RunPhotos, count: int, seed: int) -> list[int]:
    random = np.random.default_rng([seed, 7])
    waiting: dict[int, list[int]] = {}
    for position in random.permutation(photos.parts["test"]).tolist():
        waiting.setdefault(photos.targets[position], []).append(position)
    return in_turn([waiting[target] for target in sorted(waiting)], count)


def _beside(pictures: Sequence[Tensor]) -> bytes:
    """Return pictures in one row, with white between them, as the bytes of a PNG file."""
    same = [enlarged(one).expand(3, -1, -1) for one in pictures]
    gap = torch.ones(3, same[0].shape[1], _GAP)
    parts = [part for one in same for part in (one, gap)]
    return image_png(torch.cat(parts, 2))


def _named(what: str, name: str, file: str) -> Words:
    known = [one for one in (name, file) if one]
    told = word(what)
    return word("picture-of", what=told, names=", ".join(known)) if known else told


def _taken(policy: str, name: str, sure: float, *, cold: bool) -> Words:
    """Say what a network takes an image for; its policy alone where it knows no classes."""
    told = (
        word("where-taken", policy=policy_words(policy), name=name, sure=sure)
        if name
        else policy_words(policy)
    )
    return word("where-cold", told=told) if cold else told
