"""Counters: what became of the mixes, by rule and by pair of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from samix.mixing import MixPlan

from .options import OUTCOMES


class GuardCounters(nn.Module):
    """Counts the outcomes of mixes and the rules that they broke.

    Counting waits for no device. The counts are part of the state dict, so that a resumed run goes
    on counting.

    Args:
        rules: Names of the rules that are in force.
        classes: Names of the classes; none counts all samples as one class.
    """

    def __init__(self, rules: Sequence[str], classes: Sequence[str]) -> None:
        super().__init__()
        self.rules = tuple(rules)
        self.classes = tuple(classes)
        number = max(len(classes), 1)
        shape = (len(OUTCOMES) + len(self.rules), number, number)
        self.counted = torch.zeros(shape, dtype=torch.int64)
        self.collected = torch.zeros(shape, dtype=torch.int64)

    @torch.no_grad()
    def update(self, repair: Tensor, broken: Tensor, plan: MixPlan, target: Tensor | None) -> None:
        """Count the mixes of a batch; samples that were not to be mixed at all do not count.

        Args:
            repair: (B,) int64, what was done to each, a position in :data:`samix.guard.OUTCOMES`.
            broken: (B,) int64, which rules each broke, one bit a rule.
            plan: The plan before the guard.
            target: (B,) int64 classes, where they are known.
        """
        if self.counted.device != plan.lam.device:
            self.counted = self.counted.to(plan.lam.device)
        number = self.counted.shape[1]
        pair = torch.zeros_like(plan.index)
        if target is not None and self.classes:
            pair = target * number + target[plan.index]
        ones = plan.mixed.to(torch.int64)
        flat = self.counted.view(len(self.counted), -1)
        flat.view(-1).index_add_(0, repair * number**2 + pair, ones)
        for bit in range(len(self.rules)):
            flat[len(OUTCOMES) + bit].index_add_(0, pair, ones * ((broken >> bit) & 1))

    @torch.no_grad()
    def collect(self) -> None:
        """Add up what all processes counted; each of them must call it."""
        counted = self.counted
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(counted)
        self.collected += counted.to(self.collected.device)
        self.counted = torch.zeros_like(counted)

    @property
    def totals(self) -> Tensor:
        """(outcomes and rules, K, K) int64 on the CPU: what was collected and what is new here."""
        return self.collected.cpu() + self.counted.cpu()

    def summary(self) -> dict[str, Any]:
        """Return shares of all mixes, and counts for each pair of original and partner class."""
        totals = self.totals
        outcomes, broken = totals[: len(OUTCOMES)], totals[len(OUTCOMES) :]
        mixes = int(outcomes.sum())
        shares = (outcomes.sum((1, 2)).double() / max(mixes, 1)).tolist()
        found: dict[str, Any] = {
            "mixes": mixes,
            **dict(zip(OUTCOMES, shares, strict=True)),
            "broken": {
                rule: float(count.sum()) / max(mixes, 1)
                for rule, count in zip(self.rules, broken, strict=True)
            },
        }
        if self.classes:
            found["pairs"] = [
                {
                    "classes": [self.classes[a], self.classes[b]],
                    "mixes": int(outcomes[:, a, b].sum()),
                    **{name: int(outcomes[k, a, b]) for k, name in enumerate(OUTCOMES)},
                    "broken": {rule: int(broken[k, a, b]) for k, rule in enumerate(self.rules)},
                }
                for a in range(len(self.classes))
                for b in range(len(self.classes))
                if outcomes[:, a, b].sum()
            ]
        return found

    def get_extra_state(self) -> Tensor:
        """Return the counts for the state dict."""
        return self.totals

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the counts from a state dict."""
        if state.shape != self.collected.shape:
            raise ValueError(
                f"guard counters: expected {tuple(self.collected.shape)} counts, got "
                f"{tuple(state.shape)}; rules or classes are others"
            )
        self.collected = state.clone().cpu()
        self.counted = torch.zeros_like(self.counted)
