"""`check_policy`: does a mixing transform do what its labels say?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from samix.errors import InputError
from samix.policies import Policy
from samix.progress import Announce, Silent

from .opening import open_subject
from .results import CheckResult, PolicyCheck, passed_if, skipped
from .statements import (
    check_partners,
    check_pixels,
    check_probability,
    check_repeats,
    check_rows,
    check_self_pairs,
    check_shares,
    found_smoothing,
    without_smoothing,
)
from .subject import Subject, mix, seeded
from .trials import (
    Photos,
    Trial,
    classes_of,
    demo_photos,
    enough,
    flat_batch,
    flat_target,
    flat_trials,
    many_calls,
    photo_trial,
    small_maps,
    take_photos,
)

_PLAIN = 8  # calls of which form and range are looked at
_ROUNDS = 24  # calls whose pixels are traced, of 64 x 64 px
_FEWEST = 4
_MANY = 200  # calls of which only is asked who was mixed, and what the label says
_TOLERANCE = 1e-3
_UNEVEN = "the policy says that they need not be 1."
_PHOTOS = "shares on photos"
_TRACED = ("rows", "pixels", "partners", "shares", _PHOTOS)
_SILENT = Silent().work
_DRAWN = ("probability", "self-pairs", "generator")


def check_policy(
    policy: str | Policy | Callable[..., Any],
    loader: Iterable[object] | None = None,
    *,
    p: float | None = None,
    in_place: bool = False,
    tolerance: float = _TOLERANCE,
    seed: int = 0,
) -> PolicyCheck:
    """Prove on photos that a mixing transform does what its labels say.

    Photos of one colour each tell of which photos every pixel of a mix is made; with photos of the
    user the same is read from the difference of two calls with the same draws. The labels must
    name the same photos with the same shares. The transform itself stays as it is, as do the global
    random states.

    Args:
        policy: A name in :data:`samix.POLICIES`, the folder of a pre-trained Mixer, a policy, or a
            callable from (images, target) to (images, soft target): of torchvision, timm or kornia,
            or of one's own.
        loader: Gives (images, target) as the transform will see them; a few photos are taken. None
            takes built-in ones.
        p: Share of samples, or of batches, that are to be mixed; None takes what the transform
            says.
        in_place: The transform may change what it is given.
        tolerance: Difference up to which two shares are the same, beyond one pixel.
        seed: Of the draws.

    Returns:
        What was found: ``passed``, ``results``, and a table when it is printed.

    Raises:
        InputError: The photos cannot be used, the transform fails on them, or has fewer classes.
        TypeError: ``policy`` is nothing that mixes.
    """
    if p is not None and not 0.0 <= p <= 1.0:
        raise InputError(f"p must be a probability in [0, 1], got {p}")
    if not tolerance >= 0:
        raise InputError(f"tolerance must be at least 0, got {tolerance}")
    data = "built-in photos" if loader is None else "photos of the loader"
    batches = demo_photos() if loader is None else take_photos(loader)
    return check_with(policy, batches, data, p=p, in_place=in_place, tolerance=tolerance, seed=seed)


def check_with(
    policy: str | Policy | Callable[..., Any],
    batches: Sequence[Photos],
    data: str,
    *,
    p: float | None = None,
    in_place: bool = False,
    tolerance: float = _TOLERANCE,
    seed: int = 0,
    announce: Announce = _SILENT,
) -> PolicyCheck:
    """Check a transform with given photos; see :func:`check_policy`.

    Args:
        policy: What is checked.
        batches: Photos of the user, each batch with an even number, at most eight.
        data: Whose photos they are.
        p: Share that is to be mixed; None takes what the transform says.
        in_place: The transform may change what it is given.
        tolerance: Difference up to which two shares are the same, beyond one pixel.
        seed: Of the draws.
        announce: Called with (what is done, how much of it, of how much).
    """
    with seeded(seed):
        classes = classes_of(batches)
        subject = open_subject(policy, max(classes, 8))
        subject = subject if p is None else replace(subject, p=p)
        if subject.policy is not None and subject.policy.traits.seam == "feature":
            batches = [small_maps(photos) for photos in batches]
        rows = batches[0].target.ndim == 2
        known = classes if rows else _classes_of_transform(subject, batches[0], seed)
        if known is not None and known < classes:
            raise InputError(
                f"{subject.name} gives targets of {known} classes, but the data has class "
                f"{classes - 1}; tell it the right number of classes"
            )
        calls = (ask(subject, batches[0], seed + turn) for turn in range(_PLAIN))
        answers = list(enough(calls, fewest=2))
        results = [
            _worst([check(answer) for answer in answers])
            for check in (check_images, check_target, check_range)
        ]
        results.append(_worst([check_input(answer, in_place) for answer in answers]))
        if not all(_readable(answer) for answer in answers):
            return _unread(subject, data, results)
        channels = max(batches[0].images.shape[1], 3)
        target = flat_target(known or 8, rows=rows, paired=subject.paired)
        flat = flat_batch(target, batches[0].size, channels)
        more, shares, notes = _look(subject, flat, batches, tolerance, seed, announce)
    return PolicyCheck(subject.name, data, (*results, *more), shares, (*notes, *subject.notes))


def _look(
    subject: Subject,
    flat: Photos,
    batches: Sequence[Photos],
    tolerance: float,
    seed: int,
    announce: Announce,
) -> tuple[list[CheckResult], tuple[float, ...], list[str]]:
    """Return what many calls show: results, shares of the originals, and notes."""
    pixels = flat.size[0] * flat.size[1]
    rounds = min(max(_ROUNDS * 64 * 64 // pixels, _FEWEST), _ROUNDS)
    least = tolerance + 1.0 / pixels
    traits = None if subject.policy is None else subject.policy.traits
    label = "area" if traits is None else traits.label
    trials = []
    for trial in enough(flat_trials(subject, flat, rounds, seed), _FEWEST):
        trials.append(trial)
        announce("tracing pixels", len(trials), rounds)
    announce("counting mixes", 0, 1)
    flags, soft = many_calls(subject, flat, _MANY, seed)
    smoothing = found_smoothing(list(soft), subject.smoothing)
    uneven = None if traits is None or traits.rows_sum_to_one else _UNEVEN
    results = [
        check_rows(trials, uneven),
        check_pixels(trials, max(tolerance, _TOLERANCE)),
        check_partners(trials, smoothing, least),
        check_shares(trials, smoothing, least, label=label, name="shares"),
        _on_photos(subject, batches, smoothing, least, label, seed),
        check_probability(flags, subject.p),
        check_self_pairs(flags, subject.p, trials),
        check_repeats(subject, flat),
    ]
    own = _own_shares(trials, soft, smoothing, flat.target)
    notes = [] if len(own) < 2 else [_draw_note(own)]
    if smoothing:
        notes.append(f"label smoothing of {smoothing:.3g} was found and left out of account.")
    return results, tuple(own.flatten().clamp(0.0, 1.0).tolist()), notes


def _on_photos(
    subject: Subject,
    batches: Sequence[Photos],
    smoothing: float,
    least: float,
    label: str,
    seed: int,
) -> CheckResult:
    """Return whether labels say what pixels show with the photos of the user."""
    found = [photo_trial(subject, photos, seed + turn) for turn, photos in enumerate(batches)]
    trials = [trial for trial in found if trial is not None]
    if not trials:
        return skipped(
            _PHOTOS,
            "pixels could not be traced: the draws cannot be repeated, or the mix changes with the "
            "brightness of the photos.",
        )
    return check_shares(trials, smoothing, least, label=label, name=_PHOTOS)


def _own_shares(trials: Sequence[Trial], soft: Tensor, smoothing: float, target: Tensor) -> Tensor:
    """Return (R,B) shares of the originals: of the label, or of the pixels where classes repeat."""
    classes = target.argmax(1) if target.ndim == 2 else target
    if len(set(classes.tolist())) == len(classes):
        rows = without_smoothing(soft.flatten(0, 1), smoothing).view_as(soft)
        return rows.gather(2, classes.expand(len(rows), -1).unsqueeze(2)).squeeze(2)
    return torch.stack([torch.diagonal(trial.shares) for trial in trials])


def _draw_note(own: Tensor) -> str:
    """Return whether shares (R,B) are drawn for each sample or each batch."""
    own = own[(own < 1 - 1e-3).any(1)]
    if not len(own):
        return "no sample was mixed."
    if float(own.max() - own.min()) < 1e-3:
        return f"every mix has the same share of its original, {float(own.mean()):.3f}."
    clean = own >= 1 - 1e-3  # left so, or its own partner
    highest, least = own.masked_fill(clean, -1.0).amax(1), own.masked_fill(clean, 2.0).amin(1)
    alike = ((highest - least) < 1e-3).float().mean() > 0.9
    return f"one lam is drawn for each {'batch' if alike else 'sample'}."


def _classes_of_transform(subject: Subject, photos: Photos, seed: int) -> int | None:
    """Return the columns of a transform's targets; None where it gives no rows.

    Class 0 is a class of every transform.
    """
    soft = ask(subject, replace(photos, target=torch.zeros_like(photos.target)), seed).soft
    return soft.shape[1] if soft.ndim == 2 else None


def _worst(results: Sequence[CheckResult]) -> CheckResult:
    return next((result for result in results if result.verdict == "fail"), results[-1])


def _readable(answer: Answer) -> bool:
    """Return whether pixels and labels of a call can be compared."""
    same = answer.mixed.shape == answer.given.images.shape
    return same and answer.soft.ndim == 2 and len(answer.soft) == len(answer.mixed)


def _unread(subject: Subject, data: str, results: list[CheckResult]) -> PolicyCheck:
    """Return what was found where pixels and labels cannot be compared."""
    why = "images or target have a form that cannot be read: see above."
    more = [skipped(name, why) for name in (*_TRACED, *_DRAWN)]
    return PolicyCheck(subject.name, data, (*results, *more), notes=subject.notes)


@dataclass(frozen=True)
class Answer:
    """What went into one call, and what came out."""

    given: Photos  # what was given
    after: Photos  # the same tensors after the call
    mixed: Tensor  # images that came back
    soft: Tensor  # target that came back


def ask(subject: Subject, photos: Photos, seed: int) -> Answer:
    """Call a transform once."""
    after = Photos(photos.images.clone(), photos.target.clone())
    mixed, soft = mix(subject, after.images, after.target, seed)
    return Answer(photos, after, mixed, soft)


def check_images(answer: Answer) -> CheckResult:
    """Check shape and dtype of the images."""
    got, wanted = answer.mixed, answer.given.images
    return passed_if(
        "images",
        got.shape == wanted.shape and got.dtype == wanted.dtype,
        f"shape {shape_of(wanted)} and {dtype_of(wanted)} are kept.",
        f"{shape_of(wanted)} {dtype_of(wanted)} became {shape_of(got)} {dtype_of(got)}.",
    )


def check_target(answer: Answer) -> CheckResult:
    """Check that the target became soft rows."""
    soft, batch = answer.soft, len(answer.given.images)
    return passed_if(
        "target",
        soft.ndim == 2 and len(soft) == batch and soft.is_floating_point(),
        f"soft rows {shape_of(soft)} of {dtype_of(soft)}.",
        f"expected soft rows ({batch},K) of floating point, got {shape_of(soft)} {dtype_of(soft)}; "
        "a mixed image has no single class.",
    )


def check_range(answer: Answer) -> CheckResult:
    """Check that a mix has only values that lie between those of its photos."""
    images, mixed = answer.given.images, answer.mixed.float()
    finite = torch.isfinite(mixed)
    if not finite.all():
        bad = int((~finite).sum())
        return CheckResult("range", "fail", f"{bad:,} values of the mixes are no finite numbers.")
    if mixed.ndim != 4 or mixed.shape[1] != images.shape[1]:
        return skipped("range", "the mixes have other channels than the photos.")
    low, high = images.amin((0, 2, 3)), images.amax((0, 2, 3))
    least, most = mixed.amin((0, 2, 3)), mixed.amax((0, 2, 3))
    slack = 1e-3 * (high - low).clamp_min(1e-6)
    shown = f"{float(least.min()):.3g} to {float(most.max()):.3g}"
    given = f"{float(low.min()):.3g} to {float(high.max()):.3g}"
    return passed_if(
        "range",
        bool(((least >= low - slack) & (most <= high + slack)).all()),
        f"values of the mixes, {shown}, lie within those of the photos.",
        f"values of the mixes, {shown}, leave those of the photos, {given}, in some channel.",
    )


def check_input(answer: Answer, in_place: bool) -> CheckResult:
    """Check that the call changed nothing of what was given to it."""
    given, after = answer.given, answer.after
    pairs = {"images": (given.images, after.images), "target": (given.target, after.target)}
    changed = " and ".join(word for word, pair in pairs.items() if not _same(*pair))
    if changed and in_place:
        return skipped("input", f"the given {changed} changed in place, as allowed.")
    return passed_if(
        "input",
        not changed,
        "the given images and target are as they were.",
        f"the given {changed} changed in place; give a copy (.clone()) where they are used again.",
    )


def _same(given: Tensor, after: Tensor) -> bool:
    """Say whether two tensors are equal, NaN to NaN as well."""
    return given.shape == after.shape and torch.allclose(
        given, after, rtol=0.0, atol=0.0, equal_nan=True
    )


def shape_of(tensor: Tensor) -> str:
    """Return a shape in words."""
    return f"({','.join(str(length) for length in tensor.shape)})"


def dtype_of(tensor: Tensor) -> str:
    """Return a dtype in words."""
    return str(tensor.dtype).removeprefix("torch.")
