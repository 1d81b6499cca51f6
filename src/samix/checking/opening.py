"""From a policy, a callable or a transform of another library to a subject that can be checked."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.errors import InputError
from samix.mixing import PAIRINGS, MixPlan, blend, mix_targets
from samix.policies import MixCollate, Policy, RecursivePolicy, create_policy, policy_options

from .stand_in import CHANNELS, stand_in_evidence
from .subject import Call, Subject

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
    apply: Callable[[Tensor, MixPlan], Tensor] = getattr(policy, "mix", blend)
    if isinstance(policy, RecursivePolicy):
        apply = _blend_with_itself

    def plan(images: Tensor, target: Tensor, generator: torch.Generator) -> MixPlan:
        evidence = stand_in_evidence(images, needs)
        if isinstance(policy, RecursivePolicy):  # the batch itself stands for the one before
            rows = target if target.ndim == 2 else F.one_hot(target, num_classes)
            policy.remember(images, rows)
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
    if apply is _blend_with_itself:
        notes.append("the policy mixes with the batch before; the batch itself stood for it here.")
    elif apply is not blend:
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
    return blend(images, replace(plan, past_images=images))


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
