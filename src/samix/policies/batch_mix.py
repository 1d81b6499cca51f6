"""Mixing batches that are there already: a drop-in for ``timm.data.Mixup`` and its relatives."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import torch.distributed as dist
from torch import Tensor

from samix.mixing import Pairing, step_generator

from .collate import mix_collate
from .policy import Policy
from .registry import create_policy


class BatchMix:
    """From (images, target) to (mixed images, soft target), with any policy that needs only these.

    It takes the place of ``timm.data.Mixup``, ``torchvision.transforms.v2.MixUp`` and ``CutMix``
    where a loop calls one of them with a batch, on any device. Unlike timm's it leaves the batch
    that it is given as it is, takes batches of odd size, and draws lam per sample.

    Every draw is a function of (seed, step, rank): ``step`` counts the calls, and is to be set
    where a run is taken up again. Calls from several threads each have a step of their own.

    Args:
        policy: A name in :data:`samix.POLICIES` or a policy, of those that need nothing but the
            images: all hand-made ones, and "samix-p".
        num_classes: Number of classes K; None for targets that are rows already.
        label_smoothing: Share in [0, 1) of each label that is spread over all classes.
        pairing: Who is mixed with whom, by class numbers: "any", "same", "different" or "balanced";
            see :func:`samix.mixing.draw_partners`.
        seed: Seed of the draws.

    Attributes:
        mixup_enabled: False mixes nothing and still gives soft targets; timm's training script sets
            it at ``--mixup-off-epoch``.
        step: Number of the next call.

    Raises:
        ValueError: The policy needs what only a method knows, or there is none of this name.
    """

    def __init__(
        self,
        policy: str | Policy,
        num_classes: int | None = None,
        *,
        label_smoothing: float = 0.0,
        pairing: Pairing = "any",
        seed: int = 0,
    ) -> None:
        self._mixes = mix_collate(
            policy, num_classes, label_smoothing=label_smoothing, pairing=pairing
        )
        self._clean = replace(self._mixes, policy=create_policy("none"), pairing="any")
        self.seed = seed
        self.step = 0
        self._counting = threading.Lock()
        self.mixup_enabled = True

    @property
    def policy(self) -> Policy:
        """What plans the mixes."""
        return self._mixes.policy

    @property
    def pairing(self) -> Pairing:
        """Who is mixed with whom."""
        return self._mixes.pairing

    @property
    def p(self) -> float:
        """Share of samples that are mixed."""
        return float(getattr(self.policy, "p", 1.0)) if self.mixup_enabled else 0.0

    @property
    def label_smoothing(self) -> float:
        """Share of each label that is spread over all classes."""
        return self._mixes.label_smoothing

    def __call__(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed batch.

        Args:
            images: (B,C,H,W) floating point, on any device; not changed.
            target: (B,) classes, or (B,K) rows.

        Returns:
            (B,C,H,W) images, and (B,K) float32 soft targets on the device of the target.
        """
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        with self._counting:
            step = self.step
            self.step += 1
        generator = step_generator(self.seed, step, rank)
        kind = self._mixes if self.mixup_enabled else self._clean
        return kind.mix(images, target, generator)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process has; it counts for itself."""
        return {name: value for name, value in vars(self).items() if name != "_counting"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _counting=threading.Lock())
