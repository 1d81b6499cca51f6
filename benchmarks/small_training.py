"""Training and judging on small objects: one pipeline for every policy."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from sklearn.metrics import recall_score, roc_auc_score
from torch import Tensor

import samix
from oracle_policy import Oracle, oracle_mask
from samix.mixing import box_mask, constant_mask, cut_box
from seeing import Masks, Pairs
from small_objects import Objects, augmented, good_class, shown
from stepping import batches, learn
from yardstick import RESNET

BATCH, TAP = 64, 2  # the tap is an eighth of the side: 8 x 8 of 64 px
NETWORK = {**{name: RESNET[name] for name in ("backbone", "model_kwargs")}, "tap": TAP}


def make_method(
    policy: Any, classes: int, steps: int, seed: int, **options: Any
) -> samix.SupervisedMethod:
    """Return a method of the ten-layer ResNet with a deep stem; every policy has an average."""
    torch.manual_seed(seed)
    return samix.create_method(
        "supervised",
        num_classes=classes,
        policy=policy,
        steps=max(steps, 1),
        seed=seed,
        momentum_average=True,
        **NETWORK,
        **options,
    ).to(memory_format=torch.channels_last)


def train(
    method: samix.SupervisedMethod, data: Objects, steps: int, seed: int, batch: int = BATCH
) -> float:
    """Train for so many steps; return the seconds of processor time.

    SGD 0.1 with Nesterov momentum, weight decay 5e-4, warm-up of a twentieth, cosine to zero. On
    photos with and without defects, rare classes are drawn more often (weight count^-0.5).
    """
    groups = method.parameter_groups(0.1, weight_decay=5e-4)
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / warm, 0.5 * (1 + math.cos(math.pi * t / steps)))
    )
    generator = torch.Generator().manual_seed(seed)
    count = torch.bincount(data.target)
    even = bool((count == count[0]).all())
    chance = count.float()[data.target] ** -0.5
    method.train()
    begin = time.process_time()
    for pick in batches(len(data), batch, steps, generator):
        chosen = pick if even else torch.multinomial(chance, batch, generator=generator)
        images, regions = augmented(data, chosen, generator)
        if isinstance(method.policy, Oracle):
            method.policy.regions = regions
        learn(method, optimizer, schedule, images, data.target[chosen])
    return time.process_time() - begin


@torch.no_grad()
def scores(network: torch.nn.Module, data: Objects) -> dict[str, float]:
    """Return top-1 accuracy and mean recall of the classes; with a good class also the AUC.

    The AUC says in per cent how well photos with any defect are told from good ones.
    """
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        parts = [network(shown(part)).float() for part in data.images.split(256)]
    network.train()
    shares = torch.cat(parts).softmax(1)
    found = shares.argmax(1)
    recall = recall_score(data.target, found, average="macro", zero_division=0)
    row = {"top1": 100 * (found == data.target).float().mean().item(), "recall": 100 * recall}
    good = good_class(data.classes)
    if good is not None:
        row["auc"] = 100 * roc_auc_score(data.target != good, 1 - shares[:, good])
    return row


def pairs_of(data: Objects, count: int) -> Pairs:
    """Return some photos with an object, the same at every call, each with a partner."""
    generator = torch.Generator().manual_seed(0)
    there = data.regions.flatten(1).any(1).nonzero().flatten()
    chosen = there[torch.randperm(len(there), generator=generator)[:count]]
    images, regions = data.rows(chosen).seen()
    index = (torch.arange(len(chosen)) + 1) % len(chosen)
    return Pairs(images, regions, data.target[chosen], index)


@torch.no_grad()
def masks_of(method: samix.SupervisedMethod, pairs: Pairs) -> Masks:
    """Return how a method's policy makes the masks of some pairs.

    Raises:
        ValueError: A policy that has no mask for a given pair and lam.
    """
    policy = method.policy
    if policy.traits.learned:
        if method.average is None or method.tap is None:
            raise ValueError("method: expected a momentum encoder and a tap, got none")
        mixer = policy.mixer.eval()
        features = _in_parts(lambda x: method.average.features(x, method.tap), pairs.images)
        return lambda a, b, lam: mixer(features[a], features[b], lam, pairs.size)
    if policy.mixer is not None:
        own = _in_parts(policy.mixer.features, pairs.images)
        return lambda a, b, lam: policy.mixer.mixer(own[a], own[b], lam, pairs.size)
    if isinstance(policy, Oracle):
        return lambda a, b, lam: oracle_mask(pairs.regions[a], pairs.regions[b], lam)
    if policy.name == "mixup":
        return lambda a, b, lam: constant_mask(lam, pairs.size)
    if policy.name == "cutmix":
        return lambda a, b, lam: _boxes(lam, pairs.size)
    raise ValueError(
        "policy: expected one with a mask for a given pair and lam (a learned or pre-trained one, "
        f"mixup, cutmix or oracle), got {policy.name!r}"
    )


def _in_parts(function: Any, images: Tensor) -> Tensor:
    return torch.cat([function(part) for part in images.split(256)])


def _boxes(lam: Tensor, size: tuple[int, int]) -> Tensor:
    """Return CutMix's masks, whose boxes lie in the same places at every call."""
    generator = torch.Generator().manual_seed(1)
    return box_mask(cut_box(lam, torch.rand(len(lam), 2, generator=generator), size), size)
