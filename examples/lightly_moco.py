"""SAMix in a MoCo loop made of lightly's parts: the Mixer joins, the rest of the loop stays.

Run it with ``python examples/lightly_moco.py``; it makes its own images and takes seconds.
"""

from __future__ import annotations

import copy

import timm
import torch
import torch.nn.functional as F
from lightly.loss.memory_bank import MemoryBankModule
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.models.utils import update_momentum
from torch import Tensor, nn

import samix
from samix.networks import find_tap, tap_features

STEPS, BATCH, TEMPERATURE = 12, 32, 0.2


def make_views(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two noisy views of a batch of random patterns; a real loop has a loader here."""
    patterns = F.interpolate(torch.randn(BATCH, 3, 4, 4, generator=generator), 32)
    noise = torch.randn(2, BATCH, 3, 32, 32, generator=generator)
    return patterns + 0.3 * noise[0], patterns + 0.3 * noise[1]


def main() -> None:
    """Train for a few steps."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    small = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16), "num_classes": 0}
    backbone = samix.small_stem(timm.create_model("resnet18", **small))
    encoder = nn.Sequential(backbone, MoCoProjectionHead(16, 16, 32))
    momentum_encoder = copy.deepcopy(encoder).requires_grad_(False).eval()
    queue = MemoryBankModule(size=(128, 32))

    tap = find_tap(backbone)  # samix: where the Mixer reads, and the Mixer
    policy = samix.create_policy("samix", channels=tap.channels)

    optimizer = torch.optim.SGD([*encoder.parameters(), *policy.parameters()], lr=0.05)
    for step in range(STEPS):
        view_1, view_2 = make_views(generator)
        with torch.no_grad():
            key = F.normalize(momentum_encoder(view_2), dim=1)
            features = tap_features(momentum_encoder[0], view_1, tap)  # samix
        _, bank = queue(key, update=True)
        negatives = bank.t()
        evidence = samix.Evidence(features)

        # samix: the encoder learns from one mix, the Mixer from another under the momentum encoder
        losses = {}
        for name, network in (("encoder", encoder), ("mixer", momentum_encoder)):
            plan = policy.plan(view_1, evidence=evidence, generator=generator)
            plan = plan.detach() if name == "encoder" else plan
            query = F.normalize(network(samix.blend(view_1, plan)), dim=1)
            candidates = samix.queue_candidates(query, key, key[plan.index], negatives, TEMPERATURE)
            loss = samix.global_loss if name == "encoder" else samix.eta_balanced_loss
            losses[name] = loss(*candidates, plan.lam)

        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        decay = samix.momentum_decay(step, STEPS)
        update_momentum(encoder, momentum_encoder, decay)
        buffers = zip(momentum_encoder.buffers(), encoder.buffers(), strict=True)
        for average, new in buffers:  # the batch statistics, too
            average.copy_(new)
        print(f"step {step + 1}: " + ", ".join(f"{k} {v.item():.3f}" for k, v in losses.items()))
    print(f"{type(backbone).__module__}: embeddings {tuple(backbone(view_1).shape)}")


if __name__ == "__main__":
    main()
