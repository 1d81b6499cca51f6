"""create_method: one call from names and options to a method that is ready to train."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, overload

from torch import nn

from samix.networks import backbone_of, create_backbone, find_tap
from samix.policies import Policy, check_options, create_policy, nearest, policy_options

from .mix_step import GuardLike, find_guard
from .rivals import RIVALS
from .self_supervised import SelfSupervisedMethod
from .self_supervised_factory import SELF_SUPERVISED
from .supervised import SupervisedMethod, SupervisedOptions


def create_supervised(
    *,
    backbone: str | nn.Module,
    num_classes: int | None = None,
    policy: str | Policy = "samix",
    stem: Literal["small"] | None = None,
    image_size: int | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    tap: int | None = None,
    guard: GuardLike = None,
    classes: Sequence[str] | None = None,
    **options: Any,
) -> SupervisedMethod:
    """Create a supervised method.

    Args:
        backbone: Name of a timm model, a timm model, or a module that returns a feature map and an
            embedding.
        num_classes: Number of classes K.
        policy: A name in :data:`samix.POLICIES` or a policy.
        stem: "small" for images of up to 64 pixels; None keeps timm's first layers.
        image_size: Height and width in pixels; transformers are built for one size.
        pretrained: Load timm's weights.
        weights: File or name of trained weights, see :func:`samix.networks.load_weights`.
        model_kwargs: Further arguments of ``timm.create_model``.
        tap: Where the Mixer reads; None takes the default of :func:`samix.networks.find_tap`.
        guard: Checks and repairs mixes: True for the defaults, fields of
            :class:`samix.guard.GuardOptions`, or a :class:`samix.guard.Guard`; None lets all pass.
        classes: Names of the classes in the order of their numbers, for a guard whose rules name
            them; None names them "0", "1" and so on.
        **options: Fields of :class:`SupervisedOptions`, and options of the named policy such as
            ``alpha`` and ``p``.
    """
    if isinstance(policy, str) and policy in RIVALS:
        raise ValueError(
            f"policy: {policy!r} is for self-supervised methods "
            f"({', '.join(RIVALS[policy].methods)}), got method 'supervised'"
        )
    of_method = tuple(field.name for field in fields(SupervisedOptions))
    of_policy = policy_options(policy) if isinstance(policy, str) else ()
    own = tuple(inspect.signature(create_supervised).parameters)[:-1]
    check_options(options, (*own, *of_method, *of_policy), "method 'supervised'")
    encoder = create_backbone(
        backbone,
        num_classes=num_classes,
        stem=stem,
        image_size=image_size,
        pretrained=pretrained,
        weights=weights,
        model_kwargs=model_kwargs,
    )
    policy_arguments = {name: value for name, value in options.items() if name in of_policy}
    method_arguments = {name: value for name, value in options.items() if name in of_method}
    tapped = tap is not None or "channels" in of_policy or not isinstance(policy, str)
    place = find_tap(encoder, tap) if tapped else None
    if isinstance(policy, str):
        if "channels" in of_policy and place is not None:
            policy_arguments.setdefault("channels", place.channels)
        policy = create_policy(policy, **policy_arguments)
    names = classes or [str(number) for number in range(num_classes or 0)]
    return SupervisedMethod(
        encoder,
        policy,
        tap=place if policy.traits.needs else None,
        guard=find_guard(guard, names),
        options=SupervisedOptions(**method_arguments),
    )


METHODS: dict[str, Callable[..., SupervisedMethod | SelfSupervisedMethod]] = {
    "supervised": create_supervised,
    **SELF_SUPERVISED,
}
"""Every method: its name, and the function that makes it."""


@overload
def create_method(name: Literal["supervised"], **options: Any) -> SupervisedMethod: ...


@overload
def create_method(
    name: Literal["moco", "simclr", "byol", "mocov3"], **options: Any
) -> SelfSupervisedMethod: ...


@overload
def create_method(name: str, **options: Any) -> SupervisedMethod | SelfSupervisedMethod: ...


def create_method(name: str, **options: Any) -> SupervisedMethod | SelfSupervisedMethod:
    """Create a method by name.

    Args:
        name: A key of :data:`METHODS`.
        **options: Arguments of the function behind it, see :func:`create_supervised`,
            :func:`create_moco`, :func:`create_simclr`, :func:`create_byol`, :func:`create_mocov3`.

    Raises:
        ValueError: Unknown name or option, or a value outside its range.
        ModuleNotFoundError: A self-supervised method without the extra ``samix[ssl]``.
    """
    if name not in METHODS:
        raise ValueError(
            f"method: expected one of {', '.join(METHODS)}, got {name!r}; the nearest is "
            f"{nearest(name, METHODS)!r}"
        )
    if "backbone" not in options and "weights" in options:
        options = {**options, "backbone": backbone_of(options["weights"])}
    if options.get("backbone") is None:
        raise ValueError("backbone: expected the name of a timm model or a module, got nothing")
    try:
        return METHODS[name](**options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "lightly":
            raise
        raise ModuleNotFoundError(
            f"method {name!r} takes its heads from the package 'lightly', which is not installed; "
            "run pip install 'samix[ssl]'",
            name="lightly",
        ) from error
