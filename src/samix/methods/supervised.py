"""Supervised training with any mixing policy, static or learned."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from samix.guard import Guard, GuardRecord
from samix.mixing import MixPlan, as_target, blend, check_classes, class_rows, mix_rows
from samix.networks import (
    MomentumEncoder,
    Tap,
    classifier_of,
    features_and_logits,
    find_tap,
    in_format,
    layer_scales,
    momentum_decay,
    second_head,
    settle_format,
    update_average,
    watched_embedding,
)
from samix.objectives import class_candidates, decoupled_loss, mix_likeness, soft_cross_entropy
from samix.policies import Evidence, Policy

from .clean import check_clean, find_clean
from .mix_step import (
    EncoderPass,
    asks_average,
    attended_logits,
    check_guard,
    check_images,
    check_label,
    check_seam,
    check_tap,
    chosen_label,
    look,
    mixed_logits,
    plan_mix,
    reads_features,
    relabel_before,
)
from .mixer_step import plan_loss, signs_of_life, untouched
from .options import SupervisedOptions
from .step import StepCounter, StepOutput, find_cost, parameter_groups


class SupervisedMethod(nn.Module):
    """A classifier in training: ``method(images, target)`` gives the loss of one step.

    The encoder learns from its own mix by the mixup cross-entropy. A learned policy's Mixer learns
    from another mix, by the eta-balanced loss that the momentum encoder gives to it and the area
    loss. Neither gradient reaches the other network.

    Every call is a step, in either mode: it mixes, draws afresh and counts. ``eval()`` freezes
    batch statistics and dropout and nothing else. For a loss or a class of clean photos ask
    :meth:`export`, or ``encoder``, whose outputs are plain logits.

    Args:
        encoder: From (B,3,H,W) to (B,K) logits.
        policy: Plans the mixes.
        tap: Where a learned policy reads the momentum encoder; None for a static policy.
        guard: Repairs harmful mixes before the encoder learns from them; None lets all pass.
        options: See :class:`samix.methods.SupervisedOptions`.
        counter: Seed of all draws, and how many steps and mixed batches are planned; None has seed
            0 and plans nothing.
    """

    def __init__(
        self,
        encoder: nn.Module,
        policy: Policy,
        *,
        tap: Tap | None = None,
        guard: Guard | None = None,
        options: SupervisedOptions | None = None,
        counter: StepCounter | None = None,
    ) -> None:
        super().__init__()
        self.options = options or SupervisedOptions()
        self.encoder = encoder
        self.channels_last = settle_format(encoder)
        self.policy = policy.own()
        self.cost = find_cost(self.options.cost)
        chosen = self.options.clean_branch
        self.clean = find_clean(policy.traits.clean if chosen is None else chosen)
        self.guard = guard
        check_guard(guard, policy)
        check_seam(encoder, policy)
        check_label(policy, self.options.label, encoder)
        self.label = chosen_label(policy, self.options.label)
        attended = ("features",) if reads_features(guard) or self.label == "saliency" else ()
        self.wanted = frozenset((*policy.traits.needs, *attended))
        self.tap = tap or (find_tap(encoder) if "features" in self.wanted else None)
        _check_fit(policy, self.tap, self.options)
        check_clean(policy, self.clean)
        needed = bool(self.wanted) or asks_average(guard)
        keep = needed or bool(self.options.momentum_average)
        self.average = (
            MomentumEncoder(encoder, statistics=self.options.teacher_statistics) if keep else None
        )
        own = self.clean is not None and self.clean.head == "own"
        self.clean_head = second_head(encoder) if own else None
        self.average_head = copy.deepcopy(self.clean_head) if own and keep else None
        self.counter = counter or StepCounter(0)
        found = getattr(encoder, "num_classes", None)
        self.num_classes = found if isinstance(found, int) and found > 0 else None

    def train(self, mode: bool = True) -> SupervisedMethod:
        """Set the mode; frozen batch norms keep to their statistics."""
        super().train(mode)
        self._settle_norms()
        return self

    def _settle_norms(self) -> None:
        """Let batch norms of the encoder use what they began with, where that is asked for."""
        if self.options.norms == "frozen":
            for part in self.encoder.modules():
                if isinstance(part, _BatchNorm):
                    part.training = False

    def forward(self, images: Tensor, target: Tensor) -> StepOutput:
        """Return the loss of one step.

        Args:
            images: (B,3,H,W) floating point, normalised.
            target: (B,) or (B,1) classes; a tensor, list or numpy array.
        """
        check_images(images)
        self._settle_norms()  # who judges the encoder puts all of it back into training mode
        target = as_target(target, self.num_classes).to(images.device)
        if target.ndim != 1 or target.is_floating_point():
            raise ValueError(
                f"target: expected (B,) class numbers, got {tuple(target.shape)} {target.dtype}; "
                "for soft targets use a policy with samix.blend and samix.mix_targets"
            )
        self.counter.warn_judging(self.training)
        mixing = self.counter.mixes()
        generator = self.counter.next_generator()
        if self.average is not None:
            self.counter.warn_forgotten()
        if not mixing:
            logits = self._pass().logits(images)
            loss = self._cross_entropy(logits, target, None)
            terms = {"encoder": loss.detach()}
            return StepOutput(self._with_idle_mixer(loss), terms, logits.detach(), None)

        # clean images in a pass of their own, and which of the batch stay clean in that of the mix
        clean_loss, seen = self._clean_pass(images, target)
        rest = None
        share = self.clean if self.clean is not None and self.clean.mode == "share" else None
        if share is not None and (stay := share.count(len(images))):
            rest = images[-stay:], target[-stay:]
            images, target = images[:-stay], target[:-stay]
        evidence = self._evidence(images, target, seen)
        # how often the Mixer learned before, or None where it does not learn now
        turn = self.cost.mixer_turn(self.counter.steps - 1) if self.policy.learns else None
        plan, record, mixer_plan = self._plans(images, target, evidence, generator, turn)

        # the Mixer learns from a mix of its own, under the momentum encoder
        mixer_loss, terms = None, {}
        if mixer_plan is not None and turn is not None:
            mixer_loss, terms = self._mixer_loss(images, target, mixer_plan, turn)

        # the encoder learns from its mix by the global term; no gradient goes into the mask
        mix = plan, record
        loss, logits, own, plan = self._encoder_loss(images, target, mix, rest, generator)
        if clean_loss is not None:
            loss, own["clean"] = loss + clean_loss, clean_loss.detach()
        loss = self._with_idle_mixer(loss) if mixer_loss is None else loss + mixer_loss
        return StepOutput(loss, {**own, **terms}, logits.detach(), plan, record)

    def _pass(self, clean: Tensor | None = None) -> EncoderPass:
        """Return a pass through the encoder, with clean images after the others."""
        return EncoderPass(self.encoder, self.channels_last, clean)

    def _clean_pass(self, images: Tensor, target: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the loss of clean images in a pass of their own, and what it saw of them."""
        clean = self.clean
        if clean is None or clean.mode != "branch":
            return None, None
        shown = clean.count(len(images))
        images, target = images[:shown], target[:shown]
        features = None
        with self._watched() as seen:
            if clean.look == "encoder" and self.tap is not None:
                faster = in_format(images, self.channels_last)
                features, logits = features_and_logits(self.encoder, faster, self.tap)
            else:
                logits = self._pass().logits(images)
        if self.clean_head is not None:
            logits = self.clean_head(seen[-1])
        loss = self._cross_entropy(logits, target, None)
        return loss, None if features is None else features.detach()

    def _watched(self) -> AbstractContextManager[list[Tensor]]:
        """Collect the embeddings of a pass where clean images have a head of their own."""
        return nullcontext([]) if self.clean_head is None else watched_embedding(self.encoder)

    def _encoder_loss(
        self,
        images: Tensor,
        target: Tensor,
        mix: tuple[MixPlan, GuardRecord | None],
        rest: tuple[Tensor, Tensor] | None,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor], MixPlan]:
        """Return the encoder's loss, logits of the mix, the terms, and the plan with its label.

        Args:
            images: (B,3,H,W), to be mixed.
            target: (B,) int64 classes.
            mix: Their plan, and what a guard did to it.
            rest: (N,3,H,W) images of the same batch that stay clean, and their (N,) classes; None
                where there are none.
            generator: Of the step.
        """
        options, run = self.options, self._pass(None if rest is None else rest[0])
        plan, record = mix
        with self._watched() as seen:
            if self.label == "attention":
                logits, plan = attended_logits(run, images, plan, record)
            else:
                logits = mixed_logits(run, self.policy, images, target, plan, generator)
        clean_logits = logits[len(images) :] if rest is not None else None
        logits = logits if rest is None else logits[: len(images)]
        loss = self._cross_entropy(logits, target, plan)
        terms = {"encoder": loss.detach()}
        if options.decoupled and self.policy.traits.mixes:
            apart = decoupled_loss(*class_candidates(logits, target, plan.index), plan.weight)
            loss, terms["decoupled"] = loss + options.decoupled * apart, apart.detach()
        if rest is not None and clean_logits is not None:
            if self.clean_head is not None:
                clean_logits = self.clean_head(seen[-1][len(images) :])
            clean = self._cross_entropy(clean_logits, rest[1], None)
            share = len(clean_logits) / (len(clean_logits) + len(logits))
            loss, terms["clean"] = (1.0 - share) * loss + share * clean, clean.detach()
        return loss, logits, terms, plan

    def _plan(
        self,
        images: Tensor,
        target: Tensor | None,
        evidence: Evidence,
        generator: torch.Generator | None,
        *,
        count: bool = True,
    ) -> tuple[MixPlan, GuardRecord | None]:
        with torch.no_grad():
            return plan_mix(
                self.policy,
                self.guard,
                images,
                relabel=relabel_before(self.label, evidence),
                pairing=self.options.pairing,
                target=target,
                evidence=evidence,
                judge=self._judge,
                generator=generator,
                count=count,
            )

    def _plans(
        self,
        images: Tensor,
        target: Tensor,
        evidence: Evidence,
        generator: torch.Generator,
        turn: int | None,
    ) -> tuple[MixPlan, GuardRecord | None, MixPlan | None]:
        if turn is None:
            return (*self._plan(images, target, evidence, generator), None)
        part = self.cost.mixer_part(len(images))
        if self.guard is None and self.options.pairing == "any":  # nothing between both draws
            plan, own = self.policy.plan_both(
                images, part, target=target, evidence=evidence, generator=generator
            )
            relabel = relabel_before(self.label, evidence)
            return plan if relabel is None else relabel(plan), None, own
        plan, record = self._plan(images, target, evidence, generator)
        images, target, evidence = images[:part], target[:part], evidence.head(part)
        own = self.policy.plan(images, target=target, evidence=evidence, generator=generator)
        return plan, record, own

    @torch.no_grad()
    def update_momentum(self) -> None:
        """Move the momentum average after an optimiser step; does nothing where there is none."""
        if self.average is not None:
            decay = 1.0
            if self.options.teacher == "average":
                decay = momentum_decay(self.counter.updates, self.counter.planned)
            self.average.update(self.encoder, decay)
            if self.clean_head is not None and self.average_head is not None:
                update_average(self.average_head, self.clean_head, decay)
            self.counter.updates += 1

    def parameter_groups(
        self,
        lr: float,
        *,
        weight_decay: float | None = None,
        mixer_lr: float | None = None,
        mixer_weight_decay: float = 0.0,
        layer_decay: float = 1.0,
    ) -> list[dict[str, Any]]:
        """Return groups for an optimiser: encoder (with and without weight decay) and Mixer.

        Args:
            lr: Learning rate of the encoder.
            weight_decay: For the encoder's weights of two or more dimensions; None leaves it to
                the optimiser. Biases and norms have none.
            mixer_lr: Learning rate of the Mixer; None takes ``lr``.
            mixer_weight_decay: For the Mixer's weights of two or more dimensions, 0 or more.
            layer_decay: Learning rate of a layer of the encoder as a share of that of the next
                one, in (0, 1]; the classifier has ``lr``.
        """
        heads = [] if self.clean_head is None else [self.clean_head]
        return parameter_groups(
            nn.ModuleList([self.encoder, *heads]),
            self.policy,
            lr=lr,
            weight_decay=weight_decay,
            mixer_lr=mixer_lr,
            mixer_weight_decay=mixer_weight_decay,
            scales=layer_scales(self.encoder, layer_decay) if layer_decay < 1.0 else None,
        )

    @torch.no_grad()
    def plan(
        self,
        images: Tensor,
        target: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> MixPlan:
        """Plan the mix of some images as a step would, without counting it as one.

        Args:
            images: (B,3,H,W), normalised.
            target: (B,) int64 classes, for policies that look at them.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
        """
        evidence = self._evidence(images, target)
        return self._plan(images, target, evidence, generator, count=False)[0]

    def export(
        self, *, average: bool = False, head: Literal["shared", "clean"] = "shared"
    ) -> nn.Module:
        """Return a copy of the trained classifier, without anything of samix around a timm model.

        Args:
            average: The momentum average instead of the trained encoder.
            head: The last layer that mixes are judged by ("shared"), or that of clean images.

        Raises:
            ValueError: The average or head that is asked for is not kept by this method.
        """
        if average and self.average is None:
            raise ValueError(
                "average: expected False, since no momentum average was kept; create the method "
                "with momentum_average=True"
            )
        if head not in ("shared", "clean"):
            raise ValueError(f"head: expected 'shared' or 'clean', got {head!r}")
        if head == "clean" and self.clean_head is None:
            raise ValueError(
                "head: expected 'shared', since clean images have no head of their own, got "
                "'clean'; create the method with clean_branch='own-head'"
            )
        network = self.average.module if average and self.average is not None else self.encoder
        network = copy.deepcopy(network)
        last = self.average_head if average else self.clean_head
        if head == "clean" and last is not None:
            classifier_of(network).load_state_dict(last.state_dict())
        return network.requires_grad_(True).to(memory_format=torch.contiguous_format).eval()

    @torch.no_grad()
    def signs_of_life(self, images: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return what shows whether the Mixer is alive; empty for a policy without one.

        The draws are the same at every call, so that successive values can be compared.

        Args:
            images: (B,3,H,W), normalised.
            target: (B,) int64 classes.
        """
        average = self.average
        if not self.policy.traits.learned or average is None:
            return {}
        return signs_of_life(
            self.policy,
            images,
            self._evidence(images, target),
            judge=lambda mixed, index: class_candidates(average(mixed).float(), target, index),
        )

    def _judge(self, mixed: Tensor) -> Tensor:
        """Return the probabilities (B,K) that the momentum encoder gives to mixed images."""
        if self.average is None:
            raise RuntimeError("average: expected a momentum encoder, got none")
        logits: Tensor = self.average(mixed)
        return logits.float().softmax(1)

    def _mixer_loss(
        self, images: Tensor, target: Tensor, plan: MixPlan, turn: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the Mixer's loss for its plan of the first images of a batch, and its terms."""
        options, average = self.options, self.average
        if average is None:
            raise RuntimeError("average: expected a momentum encoder, got none")
        images, target = images[: len(plan)], target[: len(plan)]
        clean = self._clean_logits(images, turn)

        def loss_of(mask: Tensor) -> Tensor:
            logits = average(blend(images, replace(plan, mask=mask)))
            if logits.shape[1] != self.num_classes:
                check_classes(target, logits.shape[1])
            candidates = class_candidates(logits, target, plan.index)
            like = None if clean is None else mix_likeness(logits, clean, plan.index, plan.lam)
            return self.policy.mixer_loss(candidates, plan.lam, options.eta, like)

        return plan_loss(plan, loss_of, options.area_weight, options.area_margin)

    def _with_idle_mixer(self, loss: Tensor) -> Tensor:
        """Return a loss with the gradient of 0 of a Mixer that distributed training waits for."""
        return loss + untouched(self.policy) if self.policy.learns else loss

    @torch.no_grad()
    def _clean_logits(self, images: Tensor, turn: int) -> Tensor | None:
        """Return what the momentum encoder says of unmixed images where an adversary's turn is."""
        if self.average is None or not self.policy.wants_likeness(turn):
            return None
        logits: Tensor = self.average(images)
        return logits

    def _evidence(
        self, images: Tensor, target: Tensor | None, features: Tensor | None = None
    ) -> Evidence:
        """Return what the policy needs to know of the clean images, from the momentum encoder.

        Features that are given are taken instead of its own.
        """
        if self.average is None or not self.wanted:
            return Evidence()
        wanted = self.wanted if features is None else self.wanted - {"features"}
        scale = self.cost.look_scale
        seen = look(self.average, images, target, wanted=wanted, tap=self.tap, scale=scale)
        return seen if features is None else replace(seen, features=features)

    def _cross_entropy(self, logits: Tensor, target: Tensor, plan: MixPlan | None) -> Tensor:
        """Return the encoder's loss: the global term of a mix; without a plan, of clean images."""
        classes, smoothing = logits.shape[1], self.options.label_smoothing
        if classes != self.num_classes:  # by which they were checked when the step began
            check_classes(target, classes)
        if plan is None or not self.policy.traits.mixes:
            return F.cross_entropy(logits, target, label_smoothing=smoothing)
        rows = mix_rows(class_rows(target, classes), plan, label_smoothing=smoothing)
        return soft_cross_entropy(logits, rows)


def _check_fit(policy: Policy, tap: Tap | None, options: SupervisedOptions) -> None:
    check_tap(policy, tap)
    if (policy.traits.needs or options.label == "saliency") and options.momentum_average is False:
        reads = f"policy {policy.name!r}" if policy.traits.needs else "label 'saliency'"
        raise ValueError(
            f"momentum_average: expected None or True with {reads}, which reads the momentum "
            "encoder, got False"
        )
    for name, wanted in (("pairing", options.pairing != "any"), ("decoupled", options.decoupled)):
        if wanted and policy.traits.sources != "pair":
            raise ValueError(
                f"{name}: expected the default with policy {policy.name!r}, whose mixes are no "
                f"pairs of the batch, got {getattr(options, name)!r}"
            )
