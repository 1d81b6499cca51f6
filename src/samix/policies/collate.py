"""Mixing outside a method: batches in a ``collate_fn``, or batches that are there already.

:func:`mix_collate` serves a DataLoader; :class:`BatchMix` takes the place of ``timm.data.Mixup``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from samix.mixing import (
    MixPlan,
    Pairing,
    as_rows,
    as_target,
    blend,
    check_pairing,
    check_smoothing,
    draw_partners,
    keep_clean,
    mix_rows,
    step_generator,
)

from .policy import Policy, check_kind
from .registry import create_policy, policy_options

_RANKS_APART = 0x9E3779B97F4A7C15  # odd and far from a sum of small numbers
_NEEDS = (
    "policy: '{name}' needs {needs} of the images, which only a method knows; use it inside "
    "a method (samix.create_method), or take 'samix-p' here"
)


def _rank() -> int:
    """Return the number of this training process, which a worker process reads from where it is."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    word = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"
    return int(word) if word.isdecimal() else 0


@dataclass(frozen=True)
class MixCollate:
    """Collates samples and mixes the batch; made by :func:`mix_collate`.

    Attributes:
        policy: Plans the mix.
        num_classes: Number of classes K; None for targets that are rows already.
        label_smoothing: Share in [0, 1) of each label that is spread over all classes.
        pairing: Who is mixed with whom; see :func:`samix.mixing.draw_partners`.
        rank: Number of the training process that batches are for; None finds it.
    """

    policy: Policy
    num_classes: int | None = None
    label_smoothing: float = 0.0
    pairing: Pairing = "any"
    rank: int | None = None

    def __post_init__(self) -> None:
        check_pairing(self.pairing)
        check_smoothing(self.label_smoothing)
        if isinstance(self.num_classes, np.integer):
            object.__setattr__(self, "num_classes", int(self.num_classes))
        whole = isinstance(self.num_classes, int) and not isinstance(self.num_classes, bool)
        if self.num_classes is not None and not whole:
            raise TypeError(f"num_classes: expected a whole number, got {self.num_classes!r}")
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(f"num_classes: expected at least 1, got {self.num_classes}")

    def __call__(self, samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Return the mixed batch.

        Args:
            samples: Pairs of an image (C,H,W), floating point, and a target: a class number, or a
                row of K numbers.

        Returns:
            (B,C,H,W) images and (B,K) soft targets.

        Raises:
            ValueError: A sample is no pair of an image and a target.
        """
        batch = default_collate(list(samples))
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise ValueError(
                "samples: expected pairs (image, target) from the dataset, got "
                f"{type(samples[0]).__name__}; write a collate_fn of your own with policy.plan, "
                "samix.blend and samix.mix_targets"
            )
        # a number of this process, as DataLoader itself takes one for its workers
        seed = int(torch.empty((), dtype=torch.int64).random_().item())
        images, target = batch
        # ranks that were seeded alike mix otherwise all the same
        seed = (seed + _RANKS_APART * (_rank() if self.rank is None else self.rank)) % 2**63
        return self.mix(images, target, torch.Generator().manual_seed(seed))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker process gets, which does not know its rank by itself."""
        return {**vars(self), "rank": _rank() if self.rank is None else self.rank}

    def mix(self, images: Tensor, target: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return mixed images (B,C,H,W) and (B,K) soft targets of a batch.

        Args:
            images: (B,C,H,W) floating point or uint8.
            target: (B,) or (B,1) classes, or (B,K) rows; a tensor, list or numpy array.
            generator: Source of randomness, on the CPU.
        """
        _check_layout(images)
        target = as_target(target, self.num_classes)
        with torch.no_grad():
            plan = self._plan(images, target, generator)
        mixed = blend(images, plan)  # a gradient goes through, to what made the images
        rows = as_rows(target, self.num_classes)
        return mixed, mix_rows(rows, plan, label_smoothing=self.label_smoothing)

    def _plan(self, images: Tensor, target: Tensor, generator: torch.Generator) -> MixPlan:
        if self.pairing == "any":
            return self.policy.plan(images, target=target, generator=generator)
        index, paired = draw_partners(target, self.pairing, generator=generator)
        plan = self.policy.plan(images, target=target, generator=generator, index=index)
        return keep_clean(plan, ~paired)


def _check_layout(images: Any) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(
            f"images: expected a tensor (B,C,H,W), got {type(images).__name__}; convert them, for "
            "instance with torch.from_numpy"
        )
    if images.ndim == 4 and images.shape[3] in (1, 3, 4) and min(images.shape[1:3]) > 4:
        raise ValueError(
            f"images: expected (B,C,H,W), got {tuple(images.shape)}, whose channels come last; "
            "give images.permute(0, 3, 1, 2)"
        )


def mix_collate(
    policy: str | Policy,
    num_classes: int | None = None,
    *,
    label_smoothing: float = 0.0,
    pairing: Pairing = "any",
) -> MixCollate:
    """Return a ``collate_fn`` for a DataLoader that mixes each batch.

    It can be sent to worker processes. Each batch draws one number from torch's random state of
    the process that collates it, and nothing else does: a worker has its own state, which the
    DataLoader seeds, and ``torch.manual_seed`` before the loop repeats the mixes. In distributed
    training the rank is added to it, so that processes that are seeded alike mix differently.

    Args:
        policy: A name in :data:`samix.POLICIES` or a policy, of those that need nothing but the
            images: all hand-made ones, and "samix-p".
        num_classes: Number of classes K; None for targets that are rows already.
        label_smoothing: Share in [0, 1) of each label that is spread over all classes.
        pairing: Who is mixed with whom, by class numbers: "any", "same", "different" or "balanced";
            see :func:`samix.mixing.draw_partners`. A sample without such a partner is not mixed.

    Raises:
        ValueError: The policy needs what only a method knows, or there is none of this name.
        TypeError: The policy is neither a name nor a policy.
    """
    check_kind(policy)
    if isinstance(policy, str):
        # a Mixer in training is made for the feature map of a network, which is not here
        if "channels" in policy_options(policy):
            raise ValueError(_NEEDS.format(name=policy, needs="features"))
        policy = create_policy(policy)
    if policy.traits.seam == "feature":
        raise ValueError(
            f"policy: {policy.name!r} mixes inside the network, which only a method knows; "
            "use it inside a method (samix.create_method), or take 'mixup' here"
        )
    if policy.traits.sources == "history":
        raise ValueError(
            f"policy: {policy.name!r} mixes with the batch before, which must be remembered after "
            "each batch; use it inside a method (samix.create_method), or call policy.plan, "
            "samix.blend, samix.mix_targets and policy.after"
        )
    if policy.traits.label == "attention":
        raise ValueError(
            f"policy: {policy.name!r} labels mixes by the attention of the network in training, "
            "which only a method knows; use it inside a method (samix.create_method), or "
            "take 'cutmix' here"
        )
    if policy.traits.needs:
        raise ValueError(_NEEDS.format(name=policy.name, needs=", ".join(policy.traits.needs)))
    return MixCollate(policy, num_classes, label_smoothing, pairing)


class BatchMix:
    """From (images, target) to (mixed images, soft target), with any policy that needs only these.

    It takes the place of ``timm.data.Mixup``, ``torchvision.transforms.v2.MixUp`` and ``CutMix``
    where a loop calls one of them with a batch, on any device. Unlike timm's it leaves the batch
    that it is given as it is, takes batches of odd size, and draws lam per sample.

    Every draw is a function of (seed, step, rank): ``step`` counts the calls; ``state_dict`` and
    ``load_state_dict`` carry it over where a run is taken up again. Calls from several threads each
    have a step of their own. Worker processes of a DataLoader each count for themselves, so there
    the worker's own seed, another one in each epoch, is added to ``seed``.

    Args:
        policy: A name in :data:`samix.POLICIES` or a policy, of those that need nothing but the
            images: all hand-made ones, and "samix-p".
        num_classes: Number of classes K; None for targets that are rows already.
        label_smoothing: Share in [0, 1) of each label that is spread over all classes.
        pairing: Who is mixed with whom, by class numbers: "any", "same", "different" or "balanced";
            see :func:`samix.mixing.draw_partners`.
        seed: Seed of the draws, a whole number.

    Attributes:
        mixup_enabled: False mixes nothing and still gives soft targets; timm's training script sets
            it at ``--mixup-off-epoch``.
        step: Number of the next call.

    Raises:
        TypeError: The seed is no whole number.
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
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
            raise TypeError(f"seed: expected a whole number, got {seed!r}; give for instance 0")
        self.seed = int(seed)
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

    def __call__(self, images: Tensor, target: Any = None) -> tuple[Tensor, Tensor]:
        """Return the mixed batch.

        Args:
            images: (B,C,H,W) floating point or uint8, on any device; not changed.
            target: (B,) or (B,1) classes, or (B,K) rows; a tensor, list or numpy array.

        Returns:
            (B,C,H,W) images, and (B,K) float32 soft targets on the device of the target.

        Raises:
            TypeError: There is no target.
        """
        if target is None:
            raise TypeError(
                "target: expected the labels of the images, got nothing; call mix(images, target) "
                "in the loop, or give a DataLoader collate_fn=samix.mix_collate(...)"
            )
        rank = _rank()
        with self._counting:
            step = self.step
            self.step += 1
        worker = get_worker_info()  # each has a copy of this object, and a new one in each epoch
        generator = step_generator(self.seed + (worker.seed if worker else 0), step, rank)
        kind = self._mixes if self.mixup_enabled else self._clean
        return kind.mix(images, target, generator)

    def state_dict(self) -> dict[str, int]:
        """Return seed and step, for a checkpoint: what is loaded goes on with fresh draws."""
        return {"seed": self.seed, "step": self.step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another left off.

        Args:
            state: From :meth:`state_dict`.

        Raises:
            ValueError: The state is not one that :meth:`state_dict` gave.
        """
        if set(state) != {"seed", "step"}:
            raise ValueError(f"state: expected seed and step, got {', '.join(map(str, state))}")
        self.seed, self.step = int(state["seed"]), int(state["step"])

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process has; it counts for itself."""
        return {name: value for name, value in vars(self).items() if name != "_counting"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _counting=threading.Lock())
