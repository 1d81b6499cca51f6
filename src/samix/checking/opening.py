"""From what a user gives to what can be checked: names, policies, callables, other libraries."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.errors import InputError
from samix.mixing import PAIRINGS, MixPlan, blend, mix_targets
from samix.policies import MixCollate, Policy, create_policy, policy_options

from .libraries import library_subject, two
from .subject import CHANNELS, Call, Subject, copied, name_of, stand_in_evidence

_PAIRED = (
    "with pairing {0!r} a photo is mixed only where a partner of the right class is in its batch; "
    "here photos of one colour come in pairs of a class, and how often is mixed was not checked."
)


def open_subject(given: str | Policy | Callable[..., Any], num_classes: int) -> Subject:
    """Return a name of a policy, folder of a Mixer, policy or callable as what can be checked."""
    if isinstance(given, str):
        given = policy_of(given)
    if isinstance(given, MixCollate):
        return _collate_subject(given)
    if hasattr(given, "plan") and hasattr(given, "traits"):
        return _policy_subject(given, num_classes)  # type: ignore[arg-type]
    subject = library_subject(given, num_classes)
    if subject is not None:
        return subject
    if not callable(given):
        raise TypeError(
            "policy: expected a name, a policy, or a callable (images, target) -> (images, soft "
            f"target), got {type(given).__name__}"
        )
    return _callable_subject(given, num_classes)


def policy_of(name: str, **options: Any) -> Policy:
    """Return a policy by name; one that a method tells how many channels there are gets a number.

    Args:
        name: A name in :data:`samix.POLICIES`, or the folder of a pre-trained Mixer.
        **options: Of the policy.

    Raises:
        InputError: The name is not that of a policy, or the policy has no such option.
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
    policy, needs = copied(policy), policy.traits.needs
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


def _callable_subject(transform: Callable[..., Any], num_classes: int) -> Subject:
    takes_generator = "generator" in _parameters(transform)

    def call_of(called: Callable[..., Any]) -> Call:
        def call(
            images: Tensor, target: Tensor, generator: torch.Generator | None
        ) -> tuple[Any, Any]:
            options = {"generator": generator} if takes_generator else {}
            return two(called(images, target, **options), num_classes)

        return call

    own, notes = copied(transform), _pair_notes(transform)
    return Subject(
        name=name_of(transform),
        call=call_of(own),
        p=None if notes else _probability(transform),
        takes_generator=takes_generator,
        smoothing=getattr(transform, "label_smoothing", None),
        twin=lambda: call_of(copied(own)),
        paired=bool(notes),
        notes=notes,
    )


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


def _parameters(transform: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the parameters; none where they cannot be read."""
    try:
        call = transform.forward if isinstance(transform, torch.nn.Module) else transform
        return tuple(inspect.signature(call).parameters)
    except (TypeError, ValueError):
        return ()
