"""How a method mixes a batch: what is looked up, planned, guarded, labelled and shown.

The momentum encoder says what the policy needs to know (:func:`look`), the policy proposes a plan
and the guard repairs it (:func:`plan_mix`), and the encoder sees the mix (:class:`EncoderPass`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix.guard import Guard, GuardOptions, GuardRecord, create_guard
from samix.mixing import (
    Evidence,
    MixPlan,
    Pairing,
    Relabel,
    blend,
    by_attention,
    by_content,
    check_classes,
    draw_partners,
    feature_saliency,
    keep_clean,
    mix_targets,
)
from samix.networks import (
    MomentumEncoder,
    Tap,
    changed_at,
    class_shares,
    classifier_weight,
    in_format,
    last_attention,
    stage_module,
    watched_attention,
)
from samix.policies import Policy
from samix.policies.policy import check_batch

GuardLike = Guard | GuardOptions | Mapping[str, Any] | bool | None
"""What the argument ``guard`` of :func:`samix.create_method` may be."""


def find_guard(guard: GuardLike, classes: Sequence[str] = ()) -> Guard | None:
    """Return a guard from what was given: one as it is, options, True for the defaults, or none."""
    if guard is None or guard is False:
        return None
    if isinstance(guard, Guard):
        return guard
    return create_guard(None if guard is True else guard, classes)


def check_guard(guard: Guard | None, policy: Policy) -> None:
    """Raise a ValueError where there is nothing to guard."""
    if guard is not None and not policy.traits.mixes:
        raise ValueError(
            f"guard: expected None with policy {policy.name!r}, which mixes nothing, got a guard"
        )
    if guard is not None and policy.traits.sources != "pair":
        raise ValueError(
            f"guard: expected None with policy {policy.name!r}, whose mixes are made of more than "
            "two images, got a guard"
        )
    if guard is not None and policy.traits.seam == "feature":
        raise ValueError(
            f"guard: expected None with policy {policy.name!r}, which mixes inside the network "
            "where a guard sees nothing, got a guard"
        )


def asks_average(guard: Guard | None) -> bool:
    """Say whether a guard needs a momentum encoder."""
    return guard is not None and (
        "plausibility" in guard.rules or guard.options.saliency == "attention"
    )


def reads_features(guard: Guard | None) -> bool:
    """Say whether a guard looks at the features of the momentum encoder."""
    return guard is not None and guard.options.visibility and guard.options.saliency == "attention"


def plan_mix(
    policy: Policy,
    guard: Guard | None,
    images: Tensor,
    *,
    relabel: Relabel | None = None,
    pairing: Pairing = "any",
    evidence: Evidence,
    generator: torch.Generator | None,
    target: Tensor | None = None,
    judge: Any = None,
    count: bool = True,
) -> tuple[MixPlan, GuardRecord | None]:
    """Plan the mix of a batch, and repair what a guard finds harmful.

    A plan that follows from number and size of the images alone costs next to nothing and is drawn
    anew where a repair wants it; the work of a Mixer is not repeated, and pairs by class are kept.

    Args:
        policy: Proposes the plan.
        guard: Repairs it, or None.
        images: (B,C,H,W).
        relabel: Puts another label on plans before the guard looks; None puts none.
        pairing: Who is mixed with whom; see :func:`samix.mixing.draw_partners`.
        evidence: What the policy needs.
        generator: Source of randomness, on the CPU; None takes fresh entropy.
        target: (B,) int64 classes.
        judge: The network that the plausibility rule asks, from images to probabilities.
        count: Add the outcome to the guard's counters.

    Returns:
        The plan, and what the guard did; None without a guard.
    """

    def draw(index: Tensor | None = None) -> MixPlan:
        paired = None
        if pairing != "any":
            known = _classes(target, f"partners of pairing {pairing!r}")
            index, paired = draw_partners(known, pairing, generator=generator)
        drawn = policy.plan(
            images, target=target, evidence=evidence, generator=generator, index=index
        )
        drawn = drawn if paired is None else keep_clean(drawn, ~paired)
        return drawn if relabel is None else relabel(drawn)

    plan = draw()
    if guard is None:
        return plan, None
    if reads_features(guard) and evidence.features is not None and evidence.saliency is None:
        evidence = with_attention(evidence)

    cheap = not policy.traits.needs and not policy.traits.reads_pixels
    guarded: tuple[MixPlan, GuardRecord] = guard(
        images,
        plan,
        redraw=draw if cheap and pairing == "any" else None,
        relabel=relabel,
        target=target,
        evidence=evidence,
        judge=judge,
        generator=generator,
        count=count,
    )
    return guarded


def with_attention(evidence: Evidence) -> Evidence:
    """Return evidence whose saliency is where the features depart from their mean."""
    own, other = (
        None if features is None else feature_saliency(features)
        for features in (evidence.features, evidence.partner_features)
    )
    return replace(evidence, saliency=own, partner_saliency=other)


Label = Literal["area", "lam", "saliency", "attention"]
LABELS: tuple[Label, ...] = ("area", "lam", "saliency", "attention")
"""The labels that have a name; see :class:`samix.methods.SupervisedOptions`."""


def chosen_label(policy: Policy, label: Label | None) -> Label | None:
    """Return the label that is used: the one that was chosen, or what the policy itself asks for.

    None is the one that the policy's plans have already.
    """
    return label or ("attention" if policy.traits.label == "attention" else None)


def check_label(policy: Policy, label: Label | None, encoder: nn.Module) -> None:
    """Raise a ValueError where a label is unknown or goes with neither policy nor network."""
    if label is not None and label not in LABELS:
        raise ValueError(f"label: expected one of {', '.join(LABELS)} or None, got {label!r}")
    if label is not None and not policy.traits.relabel:
        raise ValueError(
            f"label: expected None with policy {policy.name!r}, whose mixes have no other label, "
            f"got {label!r}"
        )
    if chosen_label(policy, label) == "attention":
        last_attention(encoder)


def relabel_before(label: Label | None, evidence: Evidence) -> Relabel | None:
    """Return what changes the label of a plan before the pass; None where nothing does.

    The attention is known after the pass alone; "saliency" looks at the features.
    """
    if label == "area":
        return lambda plan: plan.relabel(plan.area)
    if label == "lam":
        return lambda plan: plan.relabel(plan.lam)
    if label == "saliency":
        seen = with_attention(evidence)
        if seen.saliency is None:
            raise ValueError(
                "evidence: label 'saliency' expected the features of the images, got none"
            )
        return partial(by_content, saliency=seen.saliency, partner_saliency=seen.partner_saliency)
    return None


_GRADIENT_SCALE = 1024.0  # keeps gradients within the range of float16


def look(
    average: MomentumEncoder,
    images: Tensor,
    target: Tensor | None,
    *,
    wanted: Collection[str],
    tap: Tap | None = None,
    scale: float = 1.0,
) -> Evidence:
    """Return what is wanted of the evidence, and no more.

    Args:
        average: The momentum encoder, from (B,3,H,W) to (B,K) logits.
        images: (B,3,H,W), normalised.
        target: (B,) int64 classes; may be None where nothing wanted depends on them.
        wanted: Fields of :class:`Evidence`.
        tap: Where features are read.
        scale: Side of the images in which features are looked for, as a share of their side.

    Raises:
        ValueError: Classes are needed and were not given.
    """
    features = gradient = activation = attention = None
    if "features" in wanted and tap is not None:
        features = average.features(scaled(images, scale), tap)
    if "gradient" in wanted:
        gradient = pixel_gradient(average, images, _classes(target, "gradient"))
    if "activation" in wanted:
        classes = _classes(target, "activation")
        check_classes(classes, len(classifier_weight(average.module)))
        with torch.no_grad():
            shown = in_format(images, average.channels_last)
            activation = class_shares(average.module, shown, classes)
    if "attention" in wanted:
        place = last_attention(average.module)
        with torch.no_grad(), watched_attention(place) as seen:
            average(images)
        attention = place.to_map(seen[-1])
    return Evidence(
        features=features, gradient=gradient, activation=activation, attention=attention
    )


def pixel_gradient(network: torch.nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Return the length of the gradient of the loss by each pixel, over the channels.

    ``|d cross_entropy(network(x), y) / dx|``. Source: Puzzle Mix, arXiv 2009.06962.

    Args:
        network: From (B,3,H,W) to (B,K) logits, without statistics of the batch.
        images: (B,3,H,W).
        target: (B,) int64 classes.

    Returns:
        (B,1,H,W) float32 of at least 0.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = network(leaf).float()
        check_classes(target, logits.shape[1])
        loss = F.cross_entropy(logits, target, reduction="sum")
        (gradient,) = torch.autograd.grad(loss * _GRADIENT_SCALE, leaf)
    length: Tensor = gradient.float().norm(dim=1, keepdim=True)
    return length / _GRADIENT_SCALE


def _classes(target: Tensor | None, what: str) -> Tensor:
    if target is None:
        raise ValueError(f"target: expected (B,) class numbers to find the {what}, got None")
    return target


@dataclass(frozen=True)
class EncoderPass:
    """One pass through an encoder."""

    encoder: nn.Module  # from (B,3,H,W) to (B,K) logits
    channels_last: bool  # of the encoder, see :func:`samix.networks.settle_format`
    # (N,3,H,W) images that are shown in the same pass, after those that are mixed; None for none
    clean: Tensor | None = None

    def logits(self, images: Tensor) -> Tensor:
        """Return the (B + N,K) logits of (B,3,H,W) images and of the clean ones after them."""
        shown = images if self.clean is None else torch.cat([images, self.clean])
        return cast("Tensor", self.encoder(in_format(shown, self.channels_last)))


def mixed_logits(
    run: EncoderPass,
    policy: Policy,
    images: Tensor,
    target: Tensor,
    plan: MixPlan,
    generator: torch.Generator,
) -> Tensor:
    """Return the (B + N,K) logits of the mix, and of the clean images of the pass."""
    if not policy.traits.mixes:
        return run.logits(images)
    inside = policy.mix_inside(generator)
    if inside is not None:
        stage, mix_features = inside

        def mix(features: Tensor) -> Tensor:
            mixed = mix_features(features[: len(plan)], plan)
            return mixed if run.clean is None else torch.cat([mixed, features[len(plan) :]])

        with changed_at(run.encoder, stage, mix):
            return run.logits(images)
    mixed = blend(images, plan)
    logits = run.logits(mixed)
    if policy.traits.sources == "history":
        policy.after(mixed, mix_targets(target, plan, logits.shape[1]))
    return logits


def attended_logits(
    run: EncoderPass, images: Tensor, plan: MixPlan, record: GuardRecord | None = None
) -> tuple[Tensor, MixPlan]:
    """Return logits as :func:`mixed_logits`, and the plan with the label of the attention it got.

    What a guard repaired keeps the label that the guard gave it.
    """
    place = last_attention(run.encoder)
    with watched_attention(place) as seen:
        logits = run.logits(blend(images, plan))
    attended = by_attention(plan, place.to_map(seen[-1])[: len(plan)])
    if record is not None:
        attended = plan.relabel(plan.weight.where(record.repair > 0, attended.weight))
    return logits, attended


def check_tap(policy: Policy, tap: Tap | None) -> None:
    """Raise a ValueError where a Mixer is made for another place of the network."""
    if policy.traits.learned and tap and policy.mixer.channels != tap.channels:
        raise ValueError(
            f"policy: expected a Mixer for the {tap.channels} channels at tap {tap.index}, got "
            f"one for {policy.mixer.channels}"
        )


def check_seam(encoder: nn.Module, policy: Policy) -> None:
    """Raise a ValueError where a policy mixes or reads what the encoder does not have."""
    if "attention" in policy.traits.needs:
        last_attention(encoder)
    for stage in policy.stages:
        if stage is not None:
            stage_module(encoder, stage)


Views = tuple[Tensor, Tensor]  # two views of each image, (B,3,H,W) each


def check_images(images: Tensor, name: str = "images") -> None:
    """Raise a ValueError unless images are (B,C,H,W), and a TypeError unless they are floats."""
    check_batch(images, name)
    if not images.is_floating_point():
        raise TypeError(
            f"{name}: expected normalised images of floating point, got {images.dtype}; convert "
            "them, for instance with images.float() / 255"
        )


def check_views(views: Sequence[Tensor]) -> Views:
    """Return two views that fit each other.

    Args:
        views: What a loader gave.

    Raises:
        TypeError: The views are no sequence of tensors of floating point.
        ValueError: The views are not two of one shape (B,3,H,W), or the batch has one photo.
    """
    if isinstance(views, Tensor):
        raise TypeError(
            f"views: expected two views (view_1, view_2), got one tensor {tuple(views.shape)}"
        )
    if len(views) != 2:
        raise ValueError(f"views: expected two views of each image, got {len(views)}")
    first, second = views
    for view in views:
        if not isinstance(view, Tensor):
            raise TypeError(
                f"views: expected two tensors (B,3,H,W), got {type(view).__name__}; a loader that "
                "also gives labels is read as: for views, _ in loader"
            )
        check_images(view, "views")
    if first.shape != second.shape:
        raise ValueError(
            "views: expected two batches (B,3,H,W) of one shape, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    if len(first) < 2:
        raise ValueError(
            "views: expected a batch of at least 2 images, since one has no partner, got 1; leave "
            "the incomplete last batch out (drop_last=True)"
        )
    return first, second


def scaled(images: Tensor, scale: float) -> Tensor:
    """Return images with their sides multiplied by a scale, as they are for a scale of 1.

    Args:
        images: (B,C,H,W) floating point.
        scale: In (0, 1].
    """
    if scale == 1.0:
        return images
    size = [max(round(side * scale), 1) for side in images.shape[2:]]
    return F.interpolate(images, size, mode="area")
