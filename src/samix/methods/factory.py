"""create_method: one call from names and options to a method that is ready to train."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from torch import nn

from samix.networks import (
    Clusters,
    KeyQueue,
    Projected,
    Tap,
    backbone_of,
    create_backbone,
    embedding_width,
    find_tap,
)
from samix.policies import Policy, check_options, create_policy, nearest, policy_options
from samix.policies.policy import check_kind

from .contrast import Contrast
from .mix_step import GuardLike, find_guard
from .options import MixOptions, SelfSupervisedOptions, SupervisedOptions
from .rivals import RIVALS, MixedObjective
from .self_supervised import SelfSupervisedMethod
from .step import StepCounter
from .supervised import SupervisedMethod

_CLUSTERS = 64
_CLUSTER_EVERY = 100  # steps
_BANK = 4096  # keys that clusters are found in, where a method has no queue
_BY_RUN = ("steps", "mix_batches", "seed")
PAIR_TEMPERATURE = 0.2
"""Of the Mixer's local term where a method has no negatives and no temperature of its own."""

Kind = TypeVar("Kind", bound=MixOptions)
_BACKBONE = tuple(n for n in inspect.signature(create_backbone).parameters if n != "num_classes")


def create_supervised(
    *,
    num_classes: int | None = None,
    policy: str | Policy = "samix",
    guard: GuardLike = None,
    classes: Sequence[str] | None = None,
    steps: int | None = None,
    mix_batches: int | None = None,
    seed: int = 0,
    **options: Any,
) -> SupervisedMethod:
    """Create a supervised method.

    Args:
        num_classes: Number of classes K.
        policy: A name in :data:`samix.POLICIES` or a policy.
        guard: Checks and repairs mixes: True for the defaults, fields of
            :class:`samix.guard.GuardOptions`, or a :class:`samix.guard.Guard`; None lets all pass.
        classes: Names of the classes in the order of their numbers, for a guard whose rules name
            them; None names them "0", "1" and so on.
        steps: Planned number of optimiser steps, from which the decay of the momentum average is
            derived; None if unknown.
        mix_batches: Batches after the first so many are not mixed; None mixes all.
        seed: Seed of all draws.
        **options: Arguments of :func:`samix.networks.create_backbone`; fields of
            :class:`samix.methods.SupervisedOptions`; and options of the named policy such as
            ``alpha`` and ``p``.
    """
    if isinstance(policy, str) and policy in RIVALS:
        raise ValueError(
            f"policy: {policy!r} is for self-supervised methods "
            f"({', '.join(RIVALS[policy].methods)}), got method 'supervised'"
        )
    own = tuple(inspect.signature(create_supervised).parameters)[:-1]
    chosen = _sorted(options, SupervisedOptions, policy, own, "supervised")
    if num_classes == 1:
        raise ValueError(
            "num_classes: expected at least 2, got 1: the loss of one class is always 0; two "
            "classes, such as good and bad, have num_classes=2"
        )
    counter = StepCounter(seed, planned=steps, mix_batches=mix_batches)
    encoder = create_backbone(**_those(options, _BACKBONE), num_classes=num_classes)
    policy, place = _policy_and_place(encoder, policy, chosen)
    names = classes or [str(number) for number in range(num_classes or 0)]
    return SupervisedMethod(
        encoder,
        policy,
        tap=place if policy.traits.needs else None,
        guard=find_guard(guard, names),
        options=chosen,
        counter=counter,
    )


def create_moco(
    *,
    temperature: float = 0.2,
    queue_size: int = 4096,
    hidden: int | None = None,
    width: int = 128,
    batch_norm: bool = True,
    **options: Any,
) -> SelfSupervisedMethod:
    """MoCo v2: a queue of keys of earlier steps gives the negatives (arXiv 2003.04297).

    Deviations: the momentum encoder normalises by averaged statistics instead of shuffled batches,
    its decay follows the planned steps (see :func:`samix.momentum_decay`), and the projector has
    batch norm, as in MoCo v3: without it all projections of a small ResNet stayed parallel for the
    first 350 steps.

    Args:
        temperature: Divides the similarities, above 0.
        queue_size: Number of keys; need not be a multiple of the batch.
        hidden: Width of the projector's hidden layer; None is that of the embedding.
        width: P, width of projections.
        batch_norm: False is the published projector.
        **options: As for :func:`create_self_supervised`.
    """
    from lightly.models.modules.heads import MoCoProjectionHead  # noqa: PLC0415 - an extra

    return create_self_supervised(
        Contrast("moco", "queue", False, True, _above_zero(temperature)),
        lambda d: (MoCoProjectionHead(d, hidden or d, width, batch_norm=batch_norm), None),
        queue_size=queue_size,
        width=width,
        **options,
    )


def create_simclr(
    *, temperature: float = 0.2, hidden: int | None = None, width: int = 128, **options: Any
) -> SelfSupervisedMethod:
    """SimCLR: the other images of the batch are the negatives (arXiv 2002.05709).

    A mixed view is compared with the other views of the batch's images; mixed views are no
    negatives of each other, since they share sources.

    Args:
        temperature: Divides the similarities, above 0.
        hidden: Width of the projector's hidden layer; None is that of the embedding.
        width: P, width of projections.
        **options: As for :func:`create_self_supervised`.
    """
    from lightly.models.modules.heads import SimCLRProjectionHead  # noqa: PLC0415 - an extra

    return create_self_supervised(
        Contrast("simclr", "batch", False, False, _above_zero(temperature)),
        lambda d: (SimCLRProjectionHead(d, hidden or d, width), None),
        width=width,
        **options,
    )


def create_byol(
    *,
    temperature: float = PAIR_TEMPERATURE,
    hidden: int | None = None,
    width: int = 256,
    **options: Any,
) -> SelfSupervisedMethod:
    """BYOL: no negatives, a predictor regresses to the momentum encoder (arXiv 2006.07733).

    A mix regresses to the keys of both sources, weighted by lam. The Mixer has the local term
    alone, over the cosines with both keys divided by ``temperature``.

    Args:
        temperature: Of the Mixer's local term, above 0.
        hidden: Width of hidden layers; None is twice that of the embedding.
        width: P, width of projections.
        **options: As for :func:`create_self_supervised`.
    """
    from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead  # noqa: PLC0415 - an extra

    return create_self_supervised(
        Contrast("byol", None, True, True, _above_zero(temperature)),
        lambda d: (
            BYOLProjectionHead(d, hidden or 2 * d, width),
            BYOLPredictionHead(width, hidden or 2 * d, width),
        ),
        width=width,
        **options,
    )


def create_mocov3(
    *, temperature: float = 0.2, hidden: int | None = None, width: int = 256, **options: Any
) -> SelfSupervisedMethod:
    """MoCo v3, for transformers: no queue, a predictor, both directions (arXiv 2104.02057).

    Deviation: the loss is the mean of both directions, without the factor 2 * temperature; the
    patch embedding is trained (``freeze`` it in the model that is passed where it is unstable).

    Args:
        temperature: Divides the similarities, above 0.
        hidden: Width of hidden layers; None is twice that of the embedding.
        width: P, width of projections.
        **options: As for :func:`create_self_supervised`.
    """
    from lightly.models.modules.heads import BYOLPredictionHead, MoCoProjectionHead  # noqa: PLC0415 - an extra

    return create_self_supervised(
        Contrast("mocov3", "batch", True, True, _above_zero(temperature)),
        lambda d: (
            MoCoProjectionHead(d, hidden or 2 * d, width, num_layers=3, batch_norm=True),
            BYOLPredictionHead(width, hidden or 2 * d, width),
        ),
        width=width,
        **options,
    )


def create_self_supervised(
    contrast: Contrast,
    heads: Callable[[int], tuple[nn.Module, nn.Module | None]],
    *,
    width: int,
    policy: str | Policy = "samix",
    guard: GuardLike = None,
    queue_size: int | None = None,
    clusters: int = _CLUSTERS,
    cluster_every: int = _CLUSTER_EVERY,
    **options: Any,
) -> SelfSupervisedMethod:
    """Create a self-supervised method around heads of one's own.

    Args:
        contrast: What makes the method.
        heads: From D to a projector and a predictor or None.
        width: P, width of projections.
        policy: A name in :data:`samix.POLICIES`, a rival's name, or a policy.
        guard: As for :func:`create_supervised`; there are no classes here.
        queue_size: Number of keys that wait as negatives or for clusters; None is the default.
        clusters: K, number of clusters for ``mixer_candidates="clusters"``.
        cluster_every: Steps from one search for clusters to the next.
        **options: As for :func:`create_supervised`, without classes, with the fields of
            :class:`samix.methods.SelfSupervisedOptions`.
    """
    rival = RIVALS.get(policy) if isinstance(policy, str) else None
    objective = MixedObjective()
    if rival is not None:
        if contrast.name not in rival.methods:
            raise ValueError(
                f"policy: {policy!r} is defined for {', '.join(rival.methods)}, got method "
                f"{contrast.name!r}"
            )
        if options.get("clean_branch") is None:
            options["clean_branch"] = rival.clean_branch
        options["policy_options"] = {**rival.policy_options, **options.get("policy_options", {})}
        policy, objective = rival.policy, rival.objective
    own = (*_own_names(contrast.name), *_BY_RUN)
    chosen = _sorted(options, SelfSupervisedOptions, policy, own, contrast.name)
    seed: int = options.get("seed", 0)
    counter = StepCounter(
        seed, planned=options.get("steps"), mix_batches=options.get("mix_batches")
    )
    encoder = create_backbone(**_those(options, _BACKBONE), num_classes=0)
    policy, place = _policy_and_place(encoder, policy, chosen)
    projector, predictor = heads(embedding_width(encoder))
    grouped = chosen.mixer_candidates == "clusters"
    if queue_size is not None and contrast.negatives != "queue" and not grouped:
        raise ValueError(
            f"queue_size: expected None with method {contrast.name!r}, which needs a queue for "
            f"mixer_candidates='clusters' alone, got {queue_size}"
        )
    waiting = _BANK if queue_size is None and grouped else queue_size
    if waiting is None and contrast.negatives == "queue":
        raise ValueError(f"queue_size: expected a number with method {contrast.name!r}, got None")

    return SelfSupervisedMethod(
        Projected(encoder, projector),
        policy,
        contrast,
        predictor=predictor,
        queue=None if waiting is None else KeyQueue(waiting, width, seed=seed),
        clusters=Clusters(clusters, width, every=cluster_every) if grouped else None,
        objective=objective,
        tap=place if policy.traits.needs else None,
        guard=find_guard(guard),
        options=chosen,
        counter=counter,
    )


SELF_SUPERVISED = {
    "moco": create_moco,
    "simclr": create_simclr,
    "byol": create_byol,
    "mocov3": create_mocov3,
}
"""Every self-supervised method: its name, and the function that makes it."""

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
        ValueError: A name or option is unknown, or a value is outside its range.
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


def backbone_options() -> tuple[str, ...]:
    """Return the names of the options that say how a backbone is made."""
    return _BACKBONE


def method_options(name: str) -> tuple[str, ...]:
    """Return the names of the options of a self-supervised method, without those of a policy."""
    return (*_own_names(name), *_BY_RUN, *_BACKBONE, *SelfSupervisedOptions.names())


def _own_names(name: str) -> tuple[str, ...]:
    """Return the options that a factory and the common part take by name."""
    own = inspect.signature(SELF_SUPERVISED[name]).parameters
    shared = inspect.signature(create_self_supervised).parameters
    left_out = ("contrast", "heads", "options")
    return tuple(dict.fromkeys(key for key in (*own, *shared) if key not in left_out))


def _sorted(
    options: Mapping[str, Any],
    kind: type[Kind],
    policy: str | Policy,
    own: Sequence[str],
    method: str,
) -> Kind:
    """Return the record of what was chosen; options of the named policy may stand by themselves."""
    check_kind(policy)
    of_policy = policy_options(policy) if isinstance(policy, str) else ()
    known = (*own, *_BACKBONE, *kind.names(), *of_policy)
    check_options(options, known, f"method {method!r}")
    given = {**options.get("policy_options", {}), **_those(options, of_policy)}
    if isinstance(policy, str):
        check_options(given, of_policy, f"policy {policy!r}")
    chosen = _those(options, kind.names())
    name = policy if isinstance(policy, str) else policy.name
    return kind(**{**chosen, "policy": name, "policy_options": given})


def _policy_and_place(
    encoder: nn.Module, policy: str | Policy, chosen: MixOptions
) -> tuple[Policy, Tap | None]:
    """Return the policy, and where it reads, or None where it reads nothing."""
    if isinstance(policy, str):
        reads = "channels" in policy_options(policy)
    else:
        reads = bool(policy.traits.needs)
    place = find_tap(encoder, chosen.tap) if reads or chosen.tap is not None else None
    if not isinstance(policy, str):
        return policy, place
    arguments = dict(chosen.policy_options)
    if reads and place is not None:
        arguments.setdefault("channels", place.channels)
    return create_policy(policy, **arguments), place


def _those(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _above_zero(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0, got {temperature}")
    return temperature
