"""A policy, a callable or a transform of another library, behind one interface.

Its draws can be repeated, and what a network would know of the images is made of their pixels.
"""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samix.errors import InputError
from samix.mixing import PAIRINGS, Evidence, MixPlan, blend, mix_targets, spectral_residual
from samix.policies import MixCollate, Policy, create_policy, policy_options

Source = Literal["torch", "numpy", "random"]
SOURCES: tuple[Source, ...] = ("torch", "numpy", "random")
"""Global random states that transforms draw from: of torch, of numpy, of Python."""
Call = Callable[[Tensor, Tensor, torch.Generator | None], tuple[Any, Any]]
"""From (images, target, generator) to (mixed images, soft target)."""


@dataclass(frozen=True)
class Subject:
    """A mixing transform that is checked.

    Attributes:
        name: What it is called.
        call: Calls it.
        p: Share of samples, or of batches, that it says it mixes; None where it says nothing.
        policy: The policy behind it, where its plans can be looked at.
        plan: Makes such a plan, from (images, target, generator); None where there is none.
        apply: Mixes images as a plan says.
        takes_generator: It takes a ``torch.Generator``.
        smoothing: Label smoothing that it says it adds; None where it says nothing.
        twin: Gives the call of an equal transform in the same state, for one that keeps a state.
        paired: It mixes photos only where a partner of the right class is there.
        notes: What a reader should know about how it was called, a sentence each.
    """

    name: str
    call: Call
    p: float | None = None
    policy: Policy | None = None
    plan: Callable[[Tensor, Tensor, torch.Generator], MixPlan] | None = None
    apply: Callable[[Tensor, MixPlan], Tensor] = blend
    takes_generator: bool = False
    smoothing: float | None = None
    twin: Callable[[], Call] | None = None
    paired: bool = False
    notes: tuple[str, ...] = ()


def fresh(subject: Subject) -> Subject:
    """Return the subject with a transform of its own, in the state that it is in now."""
    return subject if subject.twin is None else replace(subject, call=subject.twin())


def mix(
    subject: Subject,
    images: Tensor,
    target: Tensor,
    seed: int,
    sources: Sequence[Source] = SOURCES,
) -> tuple[Tensor, Tensor]:
    """Call a transform with a batch; what it draws follows from the seed, where that can be.

    Args:
        subject: The transform.
        images: (B,C,H,W); the transform may change them.
        target: (B,) classes, or (B,K) rows; the transform may change it.
        seed: Of the generator that it takes, or else of the global random states.
        sources: Which of these follow the seed.

    Returns:
        Mixed images and target as they came back.

    Raises:
        InputError: It raised an error, or gave back no two tensors.
    """
    generator = torch.Generator().manual_seed(seed) if subject.takes_generator else None
    try:
        if generator is None:
            with seeded(seed, sources):
                mixed, soft = subject.call(images, target, None)
        else:
            mixed, soft = subject.call(images, target, generator)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason was given"
        raise InputError(
            f"{subject.name} failed on images {tuple(images.shape)} {images.dtype} and a target "
            f"{tuple(target.shape)} {target.dtype}: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(mixed, Tensor) or not isinstance(soft, Tensor):
        raise InputError(
            f"{subject.name} should return two tensors (images, soft target), got "
            f"{type(mixed).__name__} and {type(soft).__name__}"
        )
    return mixed, soft


@contextmanager
def seeded(seed: int, sources: Sequence[Source] = SOURCES) -> Iterator[None]:
    """Seed the global random states that transforms draw from, and put the old ones back.

    Args:
        seed: Seed.
        sources: Which states get it; others get a fixed one.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    value = {source: seed if source in sources else 0 for source in SOURCES}
    torch.default_generator.manual_seed(value["torch"])
    np.random.seed(value["numpy"] % 2**32)  # noqa: NPY002 - what other libraries draw from
    random.seed(value["random"])
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


_PAIRED = (
    "with pairing {0!r} a photo is mixed only where a partner of the right class is in its batch; "
    "here photos of one colour come in pairs of a class, and how often is mixed was not checked."
)


def open_subject(given: str | Policy | Callable[..., Any], num_classes: int) -> Subject:
    """Return what was given as something that can be called and checked.

    Args:
        given: A name in :data:`samix.POLICIES` or the folder of a pre-trained Mixer, a policy, or a
            callable from (images, target) to (images, soft target).
        num_classes: Number of classes of the targets that it will be called with.

    Raises:
        InputError: There is no such policy.
        TypeError: It is none of these.
    """
    if isinstance(given, str):
        given = policy_of(given)
    if isinstance(given, MixCollate):
        return _collate_subject(given)
    if hasattr(given, "plan") and hasattr(given, "traits"):
        return _policy_subject(given, num_classes)  # type: ignore[arg-type]
    if not callable(given):
        raise TypeError(
            "policy: expected a name, a policy, or a callable (images, target) -> (images, soft "
            f"target), got {type(given).__name__}"
        )
    if type(given).__module__.startswith("kornia."):
        return _kornia_subject(given, num_classes)
    return _callable_subject(given)


def policy_of(name: str, **options: Any) -> Policy:
    """Return a policy by name; one that a method tells how many channels there are gets a number.

    Args:
        name: A name in :data:`samix.POLICIES`, or the folder of a pre-trained Mixer.
        **options: Of the policy.

    Raises:
        InputError: There is no such policy, or it has no such option.
    """
    try:
        if "channels" in policy_options(name):
            options = {"channels": CHANNELS, **options}
        return create_policy(name, **options)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error


def _policy_subject(policy: Policy, num_classes: int) -> Subject:
    policy, needs = _copied(policy), policy.traits.needs
    # a policy that mixes inside the network takes the photos as its features
    history = policy.traits.sources == "history"
    apply = _blend_with_itself if history else policy.mix

    def plan(images: Tensor, target: Tensor, generator: torch.Generator) -> MixPlan:
        evidence = stand_in_evidence(images, needs)
        if history:  # the batch itself stands for the one before
            rows = target if target.ndim == 2 else F.one_hot(target, num_classes)
            policy.after(images, rows)
        with torch.no_grad():
            return policy.plan(images, target=target, evidence=evidence, generator=generator)

    def call(
        images: Tensor, target: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        made = plan(images, target, generator or torch.Generator())
        classes = None if target.ndim == 2 else num_classes
        return apply(images, made), mix_targets(target, made, classes)

    notes = []
    if needs:
        notes.append(
            f"the policy needs {' and '.join(needs)} of a network; a stand-in made of the pixels "
            "was given here."
        )
    if history:
        notes.append("the policy mixes with the batch before; the batch itself stood for it here.")
    elif policy.traits.seam == "feature":
        notes.append("the policy mixes features inside a network; photos of 8 px stood for them.")
    return Subject(
        name=f"policy {policy.name}",
        call=call,
        p=float(getattr(policy, "p", 1.0)) if policy.traits.mixes else 0.0,
        policy=policy,
        plan=plan,
        takes_generator=True,
        smoothing=0.0,
        notes=tuple(notes),
        apply=apply,
    )


def _blend_with_itself(images: Tensor, plan: MixPlan) -> Tensor:
    """Blend by a plan for an earlier batch that was the same."""
    return blend(images, plan, partner_images=images)


def _collate_subject(collate: MixCollate) -> Subject:
    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Tensor, Tensor]:
        return collate(list(zip(images, target, strict=True)))

    notes = _pair_notes(collate)
    return Subject(
        name=f"mix_collate with {collate.policy.name}",
        call=call,
        p=None if notes else float(getattr(collate.policy, "p", 1.0)),
        smoothing=collate.label_smoothing,
        paired=bool(notes),
        notes=notes,
    )


def _callable_subject(transform: Callable[..., Any]) -> Subject:
    takes_generator = "generator" in _parameters(transform)

    def call_of(called: Callable[..., Any]) -> Call:
        def call(
            images: Tensor, target: Tensor, generator: torch.Generator | None
        ) -> tuple[Any, Any]:
            options = {"generator": generator} if takes_generator else {}
            return _two(called(images, target, **options))

        return call

    own, notes = _copied(transform), _pair_notes(transform)
    return Subject(
        name=_name_of(transform),
        call=call_of(own),
        p=None if notes else _probability(transform),
        takes_generator=takes_generator,
        smoothing=getattr(transform, "label_smoothing", None),
        twin=lambda: call_of(_copied(own)),
        paired=bool(notes),
        notes=notes,
    )


def _kornia_subject(transform: Any, num_classes: int) -> Subject:
    """Return a mix of kornia, whose labels are rows (class, class of the partner, weight).

    Of RandomMixUpV2, and of RandomCutMixV2 without ``use_correct_lambda``, the weight is that of
    the partner; with it, that of the original.
    """
    of_original = bool(getattr(transform, "use_correct_lambda", False))

    def call(images: Tensor, target: Tensor, _: torch.Generator | None) -> tuple[Tensor, Tensor]:
        mixed, rows = _two(transform(images, target, data_keys=["input", "class"]))
        if rows.ndim == 3 and len(rows) == 1:
            rows = rows[0]
        if rows.ndim != 2 or rows.shape[1] != 3:
            raise InputError(
                f"{_name_of(transform)}: expected labels (B,3) of one mix, got "
                f"{tuple(rows.shape)}; only with num_mix=1 do they say which share of the pixels "
                "they stand for"
            )
        own, partner, weight = rows[:, 0].long(), rows[:, 1].long(), rows[:, 2:]
        share = weight if of_original else 1.0 - weight
        classes = torch.eye(num_classes, dtype=rows.dtype)
        return mixed, share * classes[own] + (1.0 - share) * classes[partner]

    whose = "original" if of_original else "partner"
    return Subject(
        name=_name_of(transform),
        call=call,
        p=float(transform.p_batch),
        smoothing=0.0,
        notes=(
            "labels of kornia are rows (class, class of the partner, weight); here they were made "
            f"soft rows, with the weight as that of the {whose}.",
        ),
    )


def _two(result: object) -> tuple[Any, Any]:
    """Return the two things that a transform gave back.

    Raises:
        InputError: It gave something else.
    """
    if isinstance(result, tuple | list) and len(result) == 2:
        return result[0], result[1]
    kind = f"{len(result)} things" if isinstance(result, tuple | list) else type(result).__name__
    raise InputError(f"the transform should return (images, soft target), got {kind}")


def _copied(transform: Any) -> Any:
    """Return a copy with the same state; the transform itself where it cannot be copied."""
    try:
        return copy.deepcopy(transform)
    except (TypeError, RuntimeError, NotImplementedError, AttributeError):
        return transform


def _pair_notes(transform: object) -> tuple[str, ...]:
    """Return what a reader should know of a transform that pairs by class; nothing of another."""
    pairing = getattr(transform, "pairing", "any")
    return (_PAIRED.format(pairing),) if pairing in PAIRINGS and pairing != "any" else ()


def _probability(transform: Callable[..., Any]) -> float | None:
    """Return the share of samples or batches that a transform says it mixes."""
    module, kind = type(transform).__module__, type(transform).__name__
    if module.startswith("torchvision.") and kind in ("MixUp", "CutMix"):
        return 1.0  # they mix each batch
    for name in ("p", "mix_prob"):
        value = getattr(transform, name, None)
        if isinstance(value, int | float) and 0.0 <= value <= 1.0:
            return float(value)
    return None


def _name_of(transform: Callable[..., Any]) -> str:
    named: Any = transform if hasattr(transform, "__qualname__") else type(transform)
    module = (named.__module__ or "").partition(".")[0]  # a function of exec has none
    return f"{module} {named.__qualname__}".lstrip()


def _parameters(transform: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the parameters; none where they cannot be read."""
    try:
        call = transform.forward if isinstance(transform, torch.nn.Module) else transform
        return tuple(inspect.signature(call).parameters)
    except (TypeError, ValueError):
        return ()


CHANNELS = 16
"""Channels of the features."""
_SPOTS = 5  # a side
_SIDE = 8  # places along a side of features and maps


def stand_in_features(images: Tensor) -> Tensor:
    """Return (B,16,8,8) responses of fixed random filters, for images (B,C,H,W)."""
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(CHANNELS, images.shape[1], 3, 3, generator=generator)
    return F.adaptive_avg_pool2d(F.conv2d(images.float(), filters, padding=1).relu(), _SIDE)


def stand_in_evidence(images: Tensor, needs: Sequence[str]) -> Evidence | None:
    """Return evidence that looks like that of a network, the same for the same images.

    Args:
        images: (B,C,H,W).
        needs: Fields of :class:`samix.Evidence`.

    Raises:
        InputError: There is no stand-in for one of them.
    """
    if not needs:
        return None
    for need in needs:
        if need not in _MAKERS:
            raise InputError(
                f"a policy that needs '{need}' can only be checked inside a training step: there "
                "is no stand-in for it"
            )
    with torch.no_grad():
        seen = _with_content(images)
        return Evidence(**{need: _MAKERS[need](seen) for need in needs})


def _with_content(images: Tensor) -> Tensor:
    """Return images of which those of one colour have soft spots, always the same ones.

    A policy that mixes by content would otherwise find none to go by.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(len(images), 1, _SPOTS, _SPOTS, generator=generator).pow(4)
    spots = F.interpolate(coarse, images.shape[2:], mode="bilinear").expand_as(images)
    flat = (images == images[:, :, :1, :1]).flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(flat, spots.to(images), images)


def _shares(images: Tensor) -> Tensor:
    """Return (B,1,h,w) shares of the content, each map with sum 1."""
    saliency = F.adaptive_avg_pool2d(spectral_residual(images), _SIDE)
    return saliency / saliency.sum((2, 3), keepdim=True)


def _gradient(images: Tensor) -> Tensor:
    """Return (B,1,H,W) that is large where content lies, as the gradient of a loss is."""
    return F.interpolate(spectral_residual(images), images.shape[2:], mode="bilinear")


_MAKERS = {
    "features": stand_in_features,
    "saliency": spectral_residual,
    "gradient": _gradient,
    "activation": _shares,
    "attention": _shares,
}
