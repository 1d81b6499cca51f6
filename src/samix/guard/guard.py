"""Guard: looks at every mix before it is made, and repairs or refuses the harmful ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from samix.mixing import (
    Boxed,
    Evidence,
    MixPlan,
    Relabel,
    blend,
    by_content,
    check_generator,
    choose,
    draw_index,
    keep_clean,
    spectral_residual,
    within_side,
)

from .counters import GuardCounters
from .options import OUTCOMES, GuardOptions, class_flags, guard_options, pair_table
from .rules import (
    RuleVerdict,
    pair_verdict,
    plausibility_verdict,
    range_verdict,
    visibility_verdict,
)

Redraw = Callable[[Tensor], MixPlan]  # from partners (B,) to a fresh plan of the same policy
Judge = Callable[[Tensor], Tensor]  # from mixed images (B,C,H,W) to probabilities (B,K)

_TRUSTED = 0.5  # mean probability of both sources from which on a judge is believed
_MEMORY = 0.95  # weight of the old value in that mean
_TINY = 1e-6
_SIDE = 32  # px; what is visible of a coarser map differs by next to nothing


class GuardRecord(NamedTuple):
    """What a guard did to each mix of a batch, and why.

    Attributes:
        repair: (B,) int64, a position in :data:`samix.guard.OUTCOMES`.
        broken: (B,) int64, which rules the mix broke before it was repaired, one bit each in the
            order of the guard's rules.
    """

    repair: Tensor
    broken: Tensor


class _Batch(NamedTuple):
    """What the rules may look at: see :meth:`Guard.forward`; and where the content lies."""

    images: Tensor
    target: Tensor | None
    evidence: Evidence | None
    judge: Judge | None
    saliency: Tensor
    partner_saliency: Tensor | None

    def classes(self, rule: str) -> Tensor:
        """Return the classes, which a rule needs."""
        if self.target is None or self.target.ndim != 1:
            got = "none" if self.target is None else str(tuple(self.target.shape))
            raise ValueError(f"target: rule {rule!r} expected (B,) class numbers, got {got}")
        return self.target


class Guard(nn.Module):
    """Checks the mixes of a batch against rules, and repairs those that break one.

    Repairs are tried in a stated order, for all samples at once and without waiting for the device:
    each kind is worked out for the whole batch and taken where a sample still needs one.

    Args:
        options: What is checked and how it is repaired.
        classes: Names of the classes, in the order of their numbers; none where there are no
            labels.
    """

    most: Tensor | None
    empty: Tensor | None
    believed: Tensor

    def __init__(self, options: GuardOptions, classes: Sequence[str] = ()) -> None:
        super().__init__()
        needs_classes = {
            "pairs": bool(options.pairs),
            "good": bool(options.good),
            "plausibility": options.plausibility is not None,
        }
        for name, needed in needs_classes.items():
            if needed and not classes:
                raise ValueError(f"{name}: expected photos with classes, got none")
        if not options.rules:
            raise ValueError("guard: expected at least one rule, got none; leave the guard out")
        self.options = options
        self.rules = options.rules
        table = pair_table(options.pairs, classes) if options.pairs else None
        flags = class_flags(options.good, classes, "good") if options.good else None
        self.register_buffer("most", table, persistent=False)
        self.register_buffer("empty", flags, persistent=False)
        self.register_buffer("believed", torch.zeros(()))
        self.counters = GuardCounters(self.rules, classes)

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        plan: MixPlan,
        *,
        redraw: Redraw | None = None,
        relabel: Relabel | None = None,
        target: Tensor | None = None,
        evidence: Evidence | None = None,
        judge: Judge | None = None,
        generator: torch.Generator | None = None,
        count: bool = True,
    ) -> tuple[MixPlan, GuardRecord]:
        """Return the plan with harmful mixes repaired, and what was done.

        Args:
            images: (B,C,H,W) of the batch that the plan is for.
            plan: The plan of a policy.
            redraw: Makes a fresh plan of the policy for given partners; None where that costs too
                much or masks follow from the images, and the ways "partner" and "mask" are passed
                over.
            relabel: Puts the label on a plan with other partners; None keeps the shares.
            target: (B,) int64 classes; needed by rules that look at them.
            evidence: With ``saliency``, unless the guard finds it in the images.
            judge: The network that the plausibility rule asks.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            count: Add the outcome to :attr:`counters`.

        Raises:
            ValueError: A rule lacks what it needs, or the mixes are no pairs of the batch.
        """
        _check_pairs(plan)
        generator = check_generator(generator)
        batch = _Batch(images, target, evidence, judge, *self._saliency(images, evidence))
        broken = self._broken(plan, batch) | self._implausible(plan, batch, learn=True)
        repair = torch.zeros_like(plan.index)
        wanting, kept = broken > 0, plan
        for name in self.options.repair[:-1]:
            best = torch.full_like(plan.lam, torch.inf)
            for candidate in self._candidates(name, plan, redraw, relabel, batch, generator):
                better = wanting & self._repairs(name, candidate, plan, batch)
                apart = (candidate.lam - plan.lam).abs()
                better = better & (apart < best)
                kept = choose(kept, candidate, better)
                best = torch.where(better, apart, best)
            fits = wanting & (best < torch.inf)
            repair = repair.masked_fill(fits, OUTCOMES.index(name))
            wanting = wanting & ~fits
        if "plausibility" in self.rules:  # what was repaired is judged once more
            doubtful = self._implausible(kept, batch, learn=False) > 0
            wanting = wanting | (doubtful & (repair > 0))
        kept = keep_clean(kept, wanting)
        repair = repair.masked_fill(wanting, OUTCOMES.index("clean"))
        if count:
            self.counters.update(repair, broken, plan, target)
        return kept, GuardRecord(repair, broken)

    @torch.no_grad()
    def verdicts(
        self,
        images: Tensor,
        plan: MixPlan,
        *,
        target: Tensor | None = None,
        evidence: Evidence | None = None,
        judge: Judge | None = None,
    ) -> dict[str, RuleVerdict]:
        """Return what each rule says about a plan, with its numbers; nothing is changed.

        Args:
            images: (B,C,H,W).
            plan: The plan.
            target: (B,) int64 classes.
            evidence: As for :meth:`forward`.
            judge: As for :meth:`forward`.
        """
        batch = _Batch(images, target, evidence, judge, *self._saliency(images, evidence))
        found = self._verdicts(plan, batch)
        if "plausibility" in self.rules:
            found["plausibility"] = self._judged(plan, batch)
        return {name: found[name] for name in self.rules}

    def _candidates(
        self,
        name: str,
        plan: MixPlan,
        redraw: Redraw | None,
        relabel: Relabel | None,
        batch: _Batch,
        generator: torch.Generator,
    ) -> Iterator[MixPlan]:
        """Yield the plans that one way of repairing has to offer; the nearest lam is taken."""
        if name == "label":
            yield by_content(plan, batch.saliency, batch.partner_saliency)
        elif name == "mixup":
            yield as_mixup(plan)
        elif redraw is not None:
            for _ in range(self.options.tries):
                if name == "partner":
                    index = draw_index(len(plan), generator=generator, device=plan.lam.device)
                    other = replace(plan, index=index)
                    yield other if relabel is None else relabel(other)
                else:
                    yield redraw(plan.index)

    def _repairs(self, name: str, candidate: MixPlan, plan: MixPlan, batch: _Batch) -> Tensor:
        """Return (B,) bool, whether a candidate breaks no rule and is what its name says."""
        share = self.options.share
        if name in ("partner", "mask"):
            share = (1.0 + share) / 2
        geometry = plan if name == "label" else candidate
        good = self._broken(candidate, batch, geometry=geometry, share=share) == 0
        if name == "partner":
            return good & (candidate.index != plan.index)
        # a fresh draw may leave a sample clean, which is another repair
        return good & candidate.mixed if name == "mask" else good

    def _verdicts(
        self,
        plan: MixPlan,
        batch: _Batch,
        *,
        geometry: MixPlan | None = None,
        share: float | None = None,
    ) -> dict[str, RuleVerdict]:
        """Return the verdicts of all rules but the plausibility."""
        options, verdicts = self.options, {}
        if self.most is not None:
            verdicts["pairs"] = pair_verdict(plan, batch.classes("pairs"), self.most)
        if options.visibility:
            target = batch.target if self.empty is None else batch.classes("good")
            verdicts["visibility"] = visibility_verdict(
                plan,
                batch.saliency,
                weight=options.weight,
                share=options.share if share is None else share,
                target=target,
                empty=self.empty,
                partner_saliency=batch.partner_saliency,
            )
        if options.range is not None:
            verdicts["range"] = range_verdict(geometry or plan, options.range)
        return verdicts

    def _broken(
        self,
        plan: MixPlan,
        batch: _Batch,
        *,
        geometry: MixPlan | None = None,
        share: float | None = None,
    ) -> Tensor:
        """Return (B,) int64, one bit for each rule that a mix breaks."""
        broken = torch.zeros_like(plan.index)
        verdicts = self._verdicts(plan, batch, geometry=geometry, share=share)
        for name, verdict in verdicts.items():
            broken = broken | ((~verdict.passed).to(torch.int64) << self.rules.index(name))
        return broken

    def _implausible(self, plan: MixPlan, batch: _Batch, *, learn: bool) -> Tensor:
        """Return (B,) int64 with the bit of the plausibility rule; 0 until the judge is good."""
        if "plausibility" not in self.rules:
            return torch.zeros_like(plan.index)
        verdict = self._judged(plan, batch)
        if learn:
            self.believed.lerp_(verdict.number.mean().to(self.believed.dtype), 1.0 - _MEMORY)
        wrong = ~verdict.passed & (self.believed >= _TRUSTED)
        return wrong.to(torch.int64) << self.rules.index("plausibility")

    def _judged(self, plan: MixPlan, batch: _Batch) -> RuleVerdict:
        least = self.options.plausibility
        if batch.judge is None or least is None:
            raise ValueError(
                "judge: the rule 'plausibility' expected a network to ask, got none; keep a "
                "momentum average, or leave the rule out"
            )
        partners = None if batch.evidence is None else batch.evidence.partner_images
        probability = batch.judge(blend(batch.images, plan, partner_images=partners))
        return plausibility_verdict(probability, plan, batch.classes("plausibility"), least)

    def _saliency(self, images: Tensor, evidence: Evidence | None) -> tuple[Tensor, Tensor | None]:
        """Return where the content of the images and of the partners' view lies."""
        if not self.options.visibility:
            return images.new_zeros(len(images), 1, 1, 1), None
        if evidence is not None and evidence.saliency is not None:
            other = evidence.partner_saliency
            coarse = within_side(evidence.saliency, _SIDE)
            return coarse, None if other is None else within_side(other, _SIDE)
        if self.options.saliency != "image":
            raise ValueError(
                f"evidence: saliency {self.options.saliency!r} expected Evidence(saliency=...), "
                "got none"
            )
        partners = None if evidence is None else evidence.partner_images
        own, other = spectral_residual(images), None
        if partners is not None:
            other = within_side(spectral_residual(partners), _SIDE)
        return within_side(own, _SIDE), other


def _check_pairs(plan: MixPlan) -> None:
    if plan.source.beyond_pairs:
        raise ValueError(
            "plan: a guard expected mixes of two images of the batch, got mixes of "
            f"{plan.source.beyond_pairs}; these cannot be checked"
        )


def as_mixup(plan: MixPlan) -> MixPlan:
    """Return the plan as mixup of the same pairs: the mask is the plan's weight everywhere."""
    weight = plan.weight
    whole = torch.tensor([0, 0, *plan.size], device=weight.device).expand(len(plan), 4)
    return MixPlan.of_boxes(weight, plan.index, Boxed(whole, plan.size, weight), weight)


def create_guard(
    options: GuardOptions | Mapping[str, Any] | None = None, classes: Sequence[str] = ()
) -> Guard:
    """Create a guard.

    Args:
        options: What is checked, as :class:`GuardOptions` or as names and values of it; None takes
            the defaults.
        classes: Names of the classes, in the order of their numbers.

    Raises:
        ValueError: An option or class is unknown (the nearest is named), a value is outside
            its range, or pair rules contradict each other.
        TypeError: A value is of another kind.
    """
    if not isinstance(options, GuardOptions):
        options = guard_options(options or {})
    return Guard(options, classes)
