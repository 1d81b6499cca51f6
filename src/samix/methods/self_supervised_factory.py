"""From names and options to a self-supervised method: MoCo v2, SimCLR, BYOL, MoCo v3."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from torch import nn

from samix.networks import (
    Clusters,
    KeyQueue,
    Projected,
    Tap,
    create_backbone,
    embedding_width,
    find_tap,
)
from samix.policies import Policy, check_options, create_policy, policy_options

from .contrast import Contrast
from .mix_step import GuardLike, find_guard
from .rivals import RIVALS, MixedObjective, Rival
from .self_supervised import SelfSupervisedMethod
from .self_supervised_options import Memory, SelfSupervisedOptions

_CLUSTERS = 64
_CLUSTER_EVERY = 100  # steps
_BANK = 4096  # keys that clusters are found in, where a method has no queue
PAIR_TEMPERATURE = 0.2
"""Of the Mixer's local term where a method has no negatives and no temperature of its own."""


@dataclass(frozen=True)
class Backbone:
    """How the backbone is made; see :func:`samix.networks.create_backbone`."""

    backbone: str | nn.Module
    stem: Literal["small"] | None = None
    image_size: int | None = None
    pretrained: bool = False
    weights: str | Path | None = None
    model_kwargs: Mapping[str, Any] | None = None

    def create(self) -> nn.Module:
        """Return it, without a classifier."""
        return create_backbone(
            self.backbone,
            num_classes=0,
            stem=self.stem,
            image_size=self.image_size,
            pretrained=self.pretrained,
            weights=self.weights,
            model_kwargs=self.model_kwargs,
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
    from lightly.models.modules.heads import (  # noqa: PLC0415 - an extra
        BYOLPredictionHead,
        BYOLProjectionHead,
    )

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
    from lightly.models.modules.heads import (  # noqa: PLC0415 - an extra
        BYOLPredictionHead,
        MoCoProjectionHead,
    )

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
    backbone: str | nn.Module,
    policy: str | Policy = "samix",
    tap: int | None = None,
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
        backbone: Name of a timm model, a timm model without classifier, or a module that returns a
            feature map and an embedding.
        policy: A name in :data:`samix.POLICIES`, a rival's name, or a policy.
        tap: Where the Mixer reads; None takes the default of :func:`samix.networks.find_tap`.
        guard: As for :func:`samix.methods.factory.create_supervised`; there are no classes here.
        queue_size: Number of keys that wait as negatives or for clusters; None is the default.
        clusters: K, number of clusters for ``mixer_candidates="clusters"``.
        cluster_every: Steps from one search for clusters to the next.
        **options: ``stem``, ``image_size``, ``pretrained``, ``weights``, ``model_kwargs`` of the
            backbone, fields of :class:`SelfSupervisedOptions`, and options of the named policy
            such as ``alpha`` and ``p``.
    """
    rival = RIVALS.get(policy) if isinstance(policy, str) else None
    objective = MixedObjective()
    if rival is not None:
        _check_rival(str(policy), rival, contrast)
        options.setdefault("clean_branch", rival.clean_branch)
        options.update({k: v for k, v in rival.policy_options.items() if k not in options})
        policy, objective = rival.policy, rival.objective
    of_backbone = _names(Backbone)
    of_method = _names(SelfSupervisedOptions)
    of_policy = policy_options(policy) if isinstance(policy, str) else ()
    known = (*_own_names(contrast.name), *of_backbone, *of_method, *of_policy)
    check_options(options, known, f"method {contrast.name!r}")
    encoder = Backbone(backbone, **_those(options, of_backbone)).create()
    place = _place(encoder, policy, tap, of_policy)
    if isinstance(policy, str):
        arguments = _those(options, of_policy)
        if place is not None:
            arguments.setdefault("channels", place.channels)
        policy = create_policy(policy, **arguments)
    method_options = SelfSupervisedOptions(**_those(options, of_method))
    projector, predictor = heads(embedding_width(encoder))
    grouped = method_options.mixer_candidates == "clusters"
    if queue_size is not None and contrast.negatives != "queue" and not grouped:
        raise ValueError(
            f"queue_size: expected None with method {contrast.name!r}, which needs a queue for "
            f"mixer_candidates='clusters' alone, got {queue_size}"
        )
    waiting = _BANK if queue_size is None and grouped else queue_size
    if waiting is None and contrast.negatives == "queue":
        raise ValueError(f"queue_size: expected a number with method {contrast.name!r}, got None")
    memory = Memory(
        None if waiting is None else KeyQueue(waiting, width, seed=method_options.seed),
        Clusters(clusters, width, every=cluster_every) if grouped else None,
    )
    return SelfSupervisedMethod(
        Projected(encoder, projector),
        policy,
        contrast,
        predictor=predictor,
        memory=memory,
        objective=objective,
        tap=place if policy.traits.needs else None,
        guard=find_guard(guard),
        options=method_options,
    )


SELF_SUPERVISED = {
    "moco": create_moco,
    "simclr": create_simclr,
    "byol": create_byol,
    "mocov3": create_mocov3,
}
"""Every self-supervised method: its name, and the function that makes it."""


def method_options(name: str) -> tuple[str, ...]:
    """Return the names of the options of a self-supervised method, without those of a policy."""
    own = (*_own_names(name), "policy")
    return (*own, *_names(Backbone), *_names(SelfSupervisedOptions))


def _own_names(name: str) -> tuple[str, ...]:
    """Return the options that a factory and the common part take by name."""
    own = inspect.signature(SELF_SUPERVISED[name]).parameters
    shared = inspect.signature(create_self_supervised).parameters
    left_out = ("contrast", "heads", "options")
    return tuple(dict.fromkeys(key for key in (*own, *shared) if key not in left_out))


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _those(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _place(
    encoder: nn.Module, policy: str | Policy, tap: int | None, of_policy: tuple[str, ...]
) -> Tap | None:
    """Return where the policy reads, or None where it reads nothing."""
    reads = "channels" in of_policy if isinstance(policy, str) else bool(policy.traits.needs)
    return find_tap(encoder, tap) if reads or tap is not None else None


def _check_rival(name: str, rival: Rival, contrast: Contrast) -> None:
    if contrast.name not in rival.methods:
        raise ValueError(
            f"policy: {name!r} is defined for {', '.join(rival.methods)}, got method "
            f"{contrast.name!r}"
        )


def _above_zero(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0, got {temperature}")
    return temperature
