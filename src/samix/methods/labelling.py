"""The label of a mix as a user wants it, whatever the policy: area, lam, saliency or attention."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from samix.mixing import Evidence, MixPlan, Relabel, by_content, feature_saliency
from samix.networks import last_attention
from samix.policies import Policy

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

    Args:
        label: From :func:`chosen_label`; the attention is known after the pass alone.
        evidence: With features for "saliency".
    """
    if label == "area":
        return lambda plan: plan.relabel(plan.area)
    if label == "lam":
        return lambda plan: plan.relabel(plan.lam)
    if label == "saliency":
        return lambda plan: _by_saliency(plan, evidence)
    return None


@torch.no_grad()
def _by_saliency(plan: MixPlan, evidence: Evidence) -> MixPlan:
    if evidence.features is None:
        raise ValueError("evidence: label 'saliency' expected the features of the images, got none")
    own, other = evidence.features, evidence.partner_features
    partner = None if other is None else feature_saliency(other)
    return by_content(plan, feature_saliency(own), partner)
