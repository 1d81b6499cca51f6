"""How many samples are still mixed: a share that training may lower."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samix.mixing import MixPlan, draw_uniform, keep_clean


class MixShare(nn.Module):
    """The share of samples that stay mixed, in [0, 1]; 1 until somebody lowers it.

    It is part of the state dict, so that a resumed run mixes as much as it did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.value = 1.0

    def thin(self, plan: MixPlan, generator: torch.Generator | None) -> MixPlan:
        """Return the plan with the rest of the samples left unmixed.

        Args:
            plan: The plan.
            generator: Source of randomness, on the CPU; nothing is drawn while the share is 1.
        """
        if self.value >= 1.0:
            return plan
        drawn = draw_uniform(len(plan), generator=generator, device=plan.lam.device)
        return keep_clean(plan, drawn >= self.value)

    def get_extra_state(self) -> Tensor:
        """Return the share for the state dict."""
        return torch.tensor(self.value, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the share from a state dict."""
        self.value = float(state)
