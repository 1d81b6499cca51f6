"""Self-supervised training with any mixing policy: MoCo, SimCLR, BYOL and MoCo v3 in one step.

The step is that of supervised training: the momentum encoder looks at the clean images, the policy
plans two mixes, the encoder learns from its own and the Mixer from the other. Only what a mix is
compared with differs; see :mod:`samix.objectives.candidates`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from samix.guard import Guard, GuardRecord
from samix.mixing import MixPlan, blend, draw_lam
from samix.networks import (
    Clusters,
    KeyQueue,
    MomentumEncoder,
    Projected,
    Tap,
    find_tap,
    momentum_decay,
    unit,
)
from samix.objectives import Candidates, cluster_candidates
from samix.policies import Evidence, Policy

from .clean import CleanBranch, check_clean, find_clean
from .contrast import (
    Contrast,
    Keys,
    Seen,
    clean_loss,
    encoder_keys,
    full_precision,
    gather_keys,
    mixed_candidates,
    mixed_key_loss,
    mixed_loss,
)
from .mix_step import (
    asks_average,
    check_guard,
    check_tap,
    check_views,
    plan_mix,
    reads_features,
    scaled,
)
from .mixer_step import plan_loss, signs_of_life, untouched
from .options import SelfSupervisedOptions
from .rivals import MixedObjective
from .step import StepCounter, StepOutput, find_cost, parameter_groups


class SelfSupervisedMethod(nn.Module):
    """An encoder in training without labels: ``method((view_1, view_2))`` gives a step's loss.

    The encoder learns from its own mix of the query view, compared with the keys of both sources.
    A learned policy's Mixer learns from another mix, by the eta-balanced loss that the momentum
    encoder gives to it. Neither gradient reaches the other network.

    No information leaks through batch statistics: keys of the momentum encoder are computed with
    averaged statistics, each from its image alone (as EMAN, arXiv 2101.08482), and keys of the
    encoder itself (SimCLR) leave their process only where its statistics cannot be told from those
    of others.

    Every call is a step, in either mode: it mixes, draws afresh, counts, and fills a queue where
    there is one. ``eval()`` freezes batch statistics and dropout and nothing else. For features of
    clean photos ask :meth:`export`.

    Args:
        network: Backbone and projector.
        policy: Plans the mixes.
        contrast: What makes the method.
        predictor: From (B,P) to (B,P) on the query's side, or None.
        queue: Keys: negatives, or what clusters are found in; None keeps none.
        clusters: Centroids for SAMix-C, or None.
        objective: What a rival changes about the loss of mixes, or None.
        tap: Where a learned policy reads the momentum encoder; None for a static policy.
        guard: Repairs harmful mixes before the encoder learns from them; None lets all pass.
        options: See :class:`samix.methods.SelfSupervisedOptions`.
        counter: Seed of all draws, and how many steps and mixed batches are planned; None has seed
            0 and plans nothing.
    """

    def __init__(
        self,
        network: Projected,
        policy: Policy,
        contrast: Contrast,
        *,
        predictor: nn.Module | None = None,
        queue: KeyQueue | None = None,
        clusters: Clusters | None = None,
        objective: MixedObjective | None = None,
        tap: Tap | None = None,
        guard: Guard | None = None,
        options: SelfSupervisedOptions | None = None,
        counter: StepCounter | None = None,
    ) -> None:
        super().__init__()
        self.options = options or SelfSupervisedOptions()
        self.cost = find_cost(self.options.cost)
        self.clean = find_clean(self.options.clean_branch)
        self.contrast, self.objective = contrast, objective or MixedObjective()
        tapped = "features" in policy.traits.needs or reads_features(guard)
        self.tap = tap or (find_tap(network.backbone) if tapped else None)
        self.network, self.predictor, self.policy = network, predictor, policy.own()
        self.queue, self.clusters = queue, clusters
        check_fit(policy, self.tap, self.options, contrast, self.objective)
        check_guard(guard, policy)
        keep = contrast.momentum_keys or bool(policy.traits.needs) or asks_average(guard)
        self.average = MomentumEncoder(network, statistics="averaged") if keep else None
        self.guard, self.counter = guard, counter or StepCounter(0)

    @property
    def encoder(self) -> nn.Module:
        """The backbone, from (B,3,H,W) to (B,D) embeddings."""
        return self.network.backbone

    def forward(self, views: Sequence[Tensor]) -> StepOutput:
        """Return the loss of one step.

        Args:
            views: Two views of each image, (B,3,H,W) each, floating point, normalised.

        Raises:
            ValueError: The views do not fit each other, or are too few.
        """
        first, second = check_views(views)
        self.counter.warn_judging(self.training)
        mixing = self.counter.mixes()
        generator = self.counter.next_generator()
        if self.average is not None:
            self.counter.warn_forgotten()
        seen = self._look(first, second, features=not (mixing and self._looks_itself))
        ways = (seen, seen[::-1]) if self.contrast.symmetric else (seen,)
        steps = [self._direction(*way, generator, mixing=mixing) for way in ways]
        self._remember(seen[1])
        share = 1.0 / len(steps)
        terms = {
            name: torch.stack([step.terms[name] for step in steps]).mean()
            for name in steps[0].terms
        }
        loss = torch.stack([step.loss for step in steps]).sum() * share
        return StepOutput(loss, terms, steps[0].logits, steps[0].plan, steps[0].guard)

    def _direction(
        self, query: Seen, key: Seen, generator: torch.Generator, *, mixing: bool
    ) -> StepOutput:
        """Return the loss of one view as the query and the other one as the key."""
        mixes, partner_images = mixing and self.policy.traits.mixes, self._partner_images(key)
        judging = None if key.key is None else self._momentum_keys(query, key)
        keys = judging if self.contrast.momentum_keys else None
        terms: dict[str, Tensor] = {}

        # clean views first, since what the encoder sees of them can serve the Mixer
        unmixed = None
        if self.clean is not None or not mixes:
            unmixed, query = self._clean_pass(query, mixes=mixes)
        with torch.no_grad():
            plan, record = self._plan(query, key, generator) if mixing else (None, None)

        # the Mixer learns from a mix of its own, under the momentum encoder
        learning = judging if mixing else None
        mixer_loss, mixer_terms = self._mixer_loss(query, key, learning, generator)

        # the encoder learns from its mix by the global term; no gradient goes into the mask
        keys = keys or encoder_keys(self.network, key)
        losses, logits = [mixer_loss], None
        if mixes and plan is not None:
            projection = self._query(blend(query.images, plan, partner_images=partner_images))
            with full_precision(projection):
                loss, logits = mixed_loss(self.contrast, self.objective, projection, keys, plan)
            if self.objective.mixed_keys:
                loss = loss + self._against_mixed_keys(projection, key, plan)
            losses.append(loss)
            terms["encoder"] = loss.detach()
        if unmixed is not None:
            hard, beside = None, keys.head(len(unmixed))
            if self.objective.hard is not None and self.queue is not None:
                hard = self.objective.hard.make(unmixed.detach(), self.queue.keys, generator)
            with full_precision(unmixed):
                clean, clean_logits = clean_loss(self.contrast, unmixed, beside, hard=hard)
            losses.append(clean)
            terms["clean" if mixes else "encoder"] = clean.detach()
            logits = clean_logits if logits is None else logits
        total = torch.stack(losses).sum()
        shown = None if logits is None else logits.detach()
        return StepOutput(total, {**terms, **mixer_terms}, shown, plan, record)

    def _clean_pass(self, query: Seen, *, mixes: bool) -> tuple[Tensor, Seen]:
        """Return queries of clean views, and the view with the features that the encoder saw."""
        shown = self.clean.count(len(query.images)) if mixes and self.clean else len(query.images)
        if mixes and self._looks_itself and self.tap is not None:
            features, output = self.network.look(query.images, self.tap)
            return self._head(output), query._replace(features=features.detach())
        return self._query(query.images[:shown]), query

    @torch.no_grad()
    def update_momentum(self) -> None:
        """Move the momentum average after an optimiser step; does nothing where there is none."""
        if self.average is not None:
            decay = momentum_decay(self.counter.updates, self.counter.planned)
            self.average.update(self.network, decay)
            self.counter.updates += 1

    def parameter_groups(
        self,
        lr: float,
        *,
        weight_decay: float | None = None,
        mixer_lr: float | None = None,
        mixer_weight_decay: float = 0.0,
    ) -> list[dict[str, Any]]:
        """Return groups for an optimiser; see :meth:`samix.SupervisedMethod.parameter_groups`.

        Args:
            lr: Learning rate of backbone and heads.
            weight_decay: For weights of two or more dimensions; None leaves it to the optimiser.
            mixer_lr: Learning rate of the Mixer; None takes ``lr``.
            mixer_weight_decay: For the Mixer's weights of two or more dimensions, 0 or more.
        """
        trained = nn.ModuleList([self.network, *([self.predictor] if self.predictor else [])])
        return parameter_groups(
            trained,
            self.policy,
            lr=lr,
            weight_decay=weight_decay,
            mixer_lr=mixer_lr,
            mixer_weight_decay=mixer_weight_decay,
        )

    @torch.no_grad()
    def plan(self, views: Sequence[Tensor], *, generator: torch.Generator | None = None) -> MixPlan:
        """Plan the mix of the first view as a step would, without counting it as one.

        Args:
            views: Two views, (B,3,H,W) each, normalised.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
        """
        query, key = self._look(*check_views(views))
        return self._plan(query, key, generator, count=False)[0]

    def mixed(self, views: Sequence[Tensor], plan: MixPlan) -> Tensor:
        """Return the first view mixed by a plan, with partners from the view that a step takes.

        Args:
            views: Two views, (B,3,H,W) each.
            plan: From :meth:`plan`.
        """
        query, key = check_views(views)
        return blend(query, plan, partner_images=key if self.options.cross_view else None)

    @torch.no_grad()
    def held_out_loss(self, views: Sequence[Tensor]) -> Tensor:
        """Return the unmixed loss of two views, without any effect on the method.

        InfoNCE with the other images of the batch as negatives, also where training has a queue, so
        that policies can be compared; without negatives the regression.

        Args:
            views: Two views, (B,3,H,W) each, normalised; for comparison always of the same B.
        """
        first, second = check_views(views)
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        query = self._query(first)
        network = self.average if self.contrast.momentum_keys and self.average else self.network
        key = unit(network(second))
        for module, mode in modes:
            module.training = mode
        contrast = replace(
            self.contrast,
            negatives="batch" if self.contrast.negatives else None,
            momentum_keys=True,
        )
        with full_precision(query):
            return clean_loss(contrast, query, Keys(key, key, 0))[0]

    def export(self, *, average: bool = False) -> nn.Module:
        """Return a copy of the backbone, without anything of samix around a timm model.

        Args:
            average: The momentum average instead of the trained encoder.

        Raises:
            ValueError: The average is asked for, and the method keeps none.
        """
        chosen = self.average_encoder() if average else self.encoder
        if chosen is None:
            raise ValueError(
                f"average: expected False, since method {self.contrast.name!r} keeps no momentum "
                f"average with policy {self.policy.name!r}"
            )
        own = copy.deepcopy(chosen).requires_grad_(True)
        return own.to(memory_format=torch.contiguous_format).eval()

    def average_encoder(self) -> nn.Module | None:
        """Return the averaged backbone, or None where no average is kept."""
        return None if self.average is None else self._averaged.backbone

    @torch.no_grad()
    def signs_of_life(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return what shows whether the Mixer is alive; empty for a policy without one.

        The draws are the same at every call, so that successive values can be compared.

        Args:
            views: Two views, (B,3,H,W) each, normalised.
        """
        if not self.policy.traits.learned:
            return {}
        query, key = self._look(*check_views(views))
        keys = self._momentum_keys(query, key, gather=False)
        return signs_of_life(
            self.policy,
            query.images,
            self._evidence(query, key),
            judge=lambda mixed, index: self._judge(mixed, keys, index),
            partner_images=self._partner_images(key),
        )

    @property
    def _averaged(self) -> Projected:
        if self.average is None or not isinstance(self.average.module, Projected):
            raise RuntimeError("average: expected a momentum encoder, got none")
        return self.average.module

    def _look(self, first: Tensor, second: Tensor, *, features: bool = True) -> tuple[Seen, Seen]:
        """Return what the momentum encoder says of both views: no more than is needed."""
        crossed = self.contrast.symmetric or self.options.cross_view
        both = crossed or self.options.extended_positives
        looked = features and (bool(self.policy.traits.needs) or reads_features(self.guard))
        keyed = self.contrast.momentum_keys or bool(self.policy.traits.needs)
        return (
            self._see(first, features=looked, key=keyed and both),
            self._see(second, features=looked and crossed, key=keyed),
        )

    @torch.no_grad()
    def _see(self, images: Tensor, *, features: bool, key: bool) -> Seen:
        tap = self.tap
        if features and key and tap is not None:
            found, output = self._averaged.look(images, tap)
            return Seen(images, found, unit(output))
        if features and tap is not None:
            looked_at = scaled(images, self.cost.look_scale)
            return Seen(images, self._averaged.features(looked_at, tap), None)
        return Seen(images, None, unit(self._averaged(images)) if key else None)

    def _evidence(self, query: Seen, key: Seen) -> Evidence:
        """Return what the policy needs to know: of the very images and views that are mixed."""
        if not self.options.cross_view:
            return Evidence(query.features)
        return Evidence(query.features, key.features, key.images)

    def _plan(
        self, query: Seen, key: Seen, generator: torch.Generator | None, *, count: bool = True
    ) -> tuple[MixPlan, GuardRecord | None]:
        known = self._evidence(query, key)
        return plan_mix(
            self.policy, self.guard, query.images, evidence=known, generator=generator, count=count
        )

    def _partner_images(self, key: Seen) -> Tensor | None:
        return key.images if self.options.cross_view else None

    @property
    def _looks_itself(self) -> bool:
        """Whether the encoder's pass over clean views gives the features of the Mixer."""
        return self.clean is not None and self.clean.look == "encoder"

    def _query(self, images: Tensor) -> Tensor:
        return self._head(self.network(images))

    def _head(self, output: Tensor) -> Tensor:
        return unit(output if self.predictor is None else self.predictor(output))

    def _momentum_keys(self, query: Seen, key: Seen, *, gather: bool = True) -> Keys:
        if key.key is None:
            raise RuntimeError("average: expected keys of the momentum encoder, got none")
        everything, first = gather_keys(key.key) if gather else (key.key, 0)
        other = query.key if self.options.cross_view else None
        kept = self.queue if self.contrast.negatives == "queue" else None
        queue = None if kept is None else kept.keys.clone()
        return Keys(key.key, everything, first, other, queue, gather)

    def _extended(self, query: Seen, keys: Keys, generator: torch.Generator) -> Keys:
        """Return keys that lie between or beyond those of both views, by 2 Beta(2, 2)."""
        if query.key is None:
            raise RuntimeError("average: expected keys of both views, got those of one")
        weight = 2.0 * draw_lam(len(keys.own), 2.0, generator=generator, device=keys.own.device)
        return keys.extended(query.key, weight)

    def _judge(self, mixed: Tensor, keys: Keys, index: Tensor) -> Candidates:
        """Return what the momentum encoder compares a mix with, for the Mixer."""
        query, contrast = unit(self._averaged(mixed)), self.contrast
        with full_precision(query):
            if self.clusters is not None and self.clusters.ready:
                centroids = self.clusters.centroids.clone()
                cluster = self.clusters.assign(keys.own)
                return cluster_candidates(query, centroids, cluster, index, contrast.temperature)
            return mixed_candidates(contrast, query, keys, index)

    def _mixer_loss(
        self, query: Seen, key: Seen, keys: Keys | None, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the Mixer's loss and its terms; zero and none for a policy that learns nothing."""
        options = self.options
        if not self.policy.learns:
            return query.images.new_zeros(()), {}
        if keys is None or self.cost.mixer_turn(self.counter.steps - 1) is None:
            return untouched(self.policy), {}
        if options.extended_positives:
            keys = self._extended(query, keys, generator)
        part = self.cost.mixer_part(len(query.images))
        query, key, keys = query.head(part), key.head(part), keys.head(part)
        known = self._evidence(query, key)
        plan = self.policy.plan(query.images, evidence=known, generator=generator)
        # without negatives or clusters there is nothing but the two sources to tell apart
        grouped = self.clusters is not None and self.clusters.ready
        alone = self.contrast.negatives is None and not grouped
        eta = 0.0 if alone else options.eta

        def loss_of(mask: Tensor) -> Tensor:
            shown = replace(plan, mask=mask)
            mixed = blend(query.images, shown, partner_images=self._partner_images(key))
            judged_by = self._judge(mixed, keys, plan.index)
            return self.policy.mixer_loss(judged_by, plan.lam, eta)

        return plan_loss(plan, loss_of, options.area_weight, options.area_margin)

    def _against_mixed_keys(self, projection: Tensor, key: Seen, plan: MixPlan) -> Tensor:
        """Return the loss against key views that were mixed by the same plan."""
        with torch.no_grad():
            own = unit(self._averaged(blend(key.images, plan)))
            everything, first = gather_keys(own)
        queue = self.queue.keys.clone() if self.queue is not None else None
        mixed = Keys(own, everything, first, None, queue, gathered=True)
        with full_precision(projection):
            return mixed_key_loss(self.contrast, projection, mixed, plan)

    @torch.no_grad()
    def _remember(self, key: Seen) -> None:
        """Put the keys of all processes into the queue, and find clusters in it on schedule."""
        if self.queue is None or key.key is None:
            return
        self.queue.enqueue(gather_keys(key.key)[0])
        if self.clusters is not None and self.queue.full:
            self.clusters.refresh(self.queue.keys, self.counter.steps)


def check_fit(
    policy: Policy,
    tap: Tap | None,
    options: SelfSupervisedOptions,
    contrast: Contrast,
    objective: MixedObjective,
) -> None:
    """Raise a ValueError where policy, tap, options and method do not go together."""
    special = policy.traits.seam == "feature" or policy.traits.sources != "pair"
    if special or policy.traits.label == "attention":
        raise ValueError(
            f"policy: expected one that mixes pairs of images and asks no classifier with method "
            f"{contrast.name!r}, got {policy.name!r}; use it in method 'supervised'"
        )
    if policy.traits.learned and (
        policy.objective == "adversarial"
        or (policy.objective == "global" and contrast.negatives is None)
    ):
        raise ValueError(
            f"policy: {policy.name!r} has no loss for its Mixer in method {contrast.name!r}; take "
            "'samix', or method 'supervised'"
        )
    for need in policy.traits.needs:
        if need != "features":
            raise ValueError(
                f"policy: expected one that needs no {need} with method {contrast.name!r}, got "
                f"{policy.name!r}; use it in method 'supervised'"
            )
    check_tap(policy, tap)
    clean = find_clean(options.clean_branch)
    check_clean(policy, clean)
    if clean is not None:
        _check_clean_views(clean, options, contrast)
    if not policy.traits.mixes and options.cross_view:
        raise ValueError(
            f"cross_view: expected False with policy {policy.name!r}, which mixes nothing, got True"
        )
    if options.cross_view and objective.mixed_keys:
        raise ValueError(
            "cross_view: expected False where mixes are compared with mixed keys (policy 'sdmp'), "
            "which would show the same view of the partner in both, got True"
        )
    if options.mixer_candidates == "clusters" and not policy.traits.learned:
        raise ValueError(
            f"mixer_candidates: expected 'instances' with policy {policy.name!r}, which has no "
            "Mixer to train, got 'clusters'"
        )
    if options.extended_positives and not policy.traits.learned:
        raise ValueError(
            f"extended_positives: expected False with policy {policy.name!r}, which has no Mixer "
            "to train, got True"
        )
    if options.cross_view and not contrast.momentum_keys:
        raise ValueError(
            f"cross_view: expected False with method {contrast.name!r}, which has no keys of the "
            "other view without a further pass, got True"
        )


def _check_clean_views(
    clean: CleanBranch, options: SelfSupervisedOptions, contrast: Contrast
) -> None:
    wanted = {"mode": "branch", "head": "shared"}
    if not contrast.momentum_keys:  # both views are queries and keys of the whole batch
        wanted["fraction"] = 1.0  # type: ignore[assignment]
    if options.cross_view:  # features of the partners are those of the other view
        wanted["look"] = "average"
    for name, value in wanted.items():
        if getattr(clean, name) != value:
            how = " and cross_view" if name == "look" else ""
            raise ValueError(
                f"clean_branch.{name}: expected {value!r} with method {contrast.name!r}{how}, got "
                f"{getattr(clean, name)!r}"
            )
