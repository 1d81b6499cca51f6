"""SAMix in a MoCo loop made of lightly's parts: the Mixer joins, the rest of the loop stays.

python examples/lightly_moco.py
"""

import copy

import torch
import torch.nn.functional as F
from lightly.loss.memory_bank import MemoryBankModule
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.models.utils import update_momentum
from photos import make_network, make_views, neighbours, tell
from torch import nn

import samix
from samix.networks import find_tap, tap_features

STEPS, BATCH, TEMPERATURE = 30, 32, 0.2


def main() -> float:
    """Train, and return how often nearest neighbours show the same class."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    backbone = samix.small_stem(make_network(classes=0))
    encoder = nn.Sequential(backbone, MoCoProjectionHead(16, 16, 32))
    momentum_encoder = copy.deepcopy(encoder).requires_grad_(False)
    queue = MemoryBankModule(size=(128, 32))
    tap = find_tap(backbone)  # samix: where the Mixer reads, and the Mixer
    policy = samix.create_policy("samix", channels=tap.channels)
    before = neighbours(backbone)
    optimizer = torch.optim.SGD([*encoder.parameters(), *policy.parameters()], lr=0.05)
    for step in range(STEPS):
        view_1, view_2 = make_views(BATCH, seed=step)
        with torch.no_grad():
            key = F.normalize(momentum_encoder(view_2), dim=1)
            evidence = samix.Evidence(tap_features(momentum_encoder[0], view_1, tap))  # samix
        _, bank = queue(key, update=True)
        losses = []  # samix: the encoder learns from one mix, the Mixer from another
        for network, loss in (
            (encoder, samix.global_loss),
            (momentum_encoder, samix.eta_balanced_loss),
        ):
            plan = policy.plan(view_1, evidence=evidence, generator=generator)
            plan = plan.detach() if network is encoder else plan
            query = F.normalize(network(samix.blend(view_1, plan)), dim=1)
            keys = (query, key, key[plan.index], bank.t())
            losses.append(loss(*samix.queue_candidates(*keys, TEMPERATURE), plan.lam))
        sum(losses).backward()
        optimizer.step()
        optimizer.zero_grad()
        update_momentum(encoder, momentum_encoder, samix.momentum_decay(step, STEPS))
    return tell(before, backbone, STEPS)


if __name__ == "__main__":
    main()
