"""SAMix in a SimCLR loop made of lightly's parts: the photos of the batch are the candidates.

python examples/lightly_simclr.py
"""

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from photos import make_network, make_views, neighbours, tell
from torch import Tensor, nn

import samix
from samix.networks import find_tap, tap_features

STEPS, BATCH, TEMPERATURE = 30, 32, 0.2


def candidates(projected: Tensor, keys: Tensor, plan: samix.MixPlan) -> samix.objectives.Candidates:
    """Return the photos of the batch as candidates of mixed ones."""
    query = F.normalize(projected, dim=1)
    return samix.batch_candidates(query, keys, plan.index, TEMPERATURE)


def main() -> float:
    """Train, and return how often nearest neighbours show the same class."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    backbone = samix.small_stem(make_network(classes=0))
    encoder = nn.Sequential(backbone, SimCLRProjectionHead(16, 16, 32))
    tap = find_tap(backbone)  # samix: where the Mixer reads, the Mixer, and a momentum encoder
    policy = samix.create_policy("samix", channels=tap.channels)
    average = samix.MomentumEncoder(encoder)
    before = neighbours(backbone)
    optimizer = torch.optim.SGD([*encoder.parameters(), *policy.parameters()], lr=0.05)
    for step in range(STEPS):
        view_1, view_2 = make_views(BATCH, seed=step)  # a real loop takes SimCLRTransform
        with torch.no_grad():
            evidence = samix.Evidence(tap_features(average.module[0], view_1, tap))
            keys = F.normalize(average(view_2), dim=1)

        # samix: the encoder learns from one mix, the Mixer from another under the momentum encoder
        plan = policy.plan(view_1, evidence=evidence, generator=generator).detach()
        own_keys = F.normalize(encoder(view_2), dim=1)
        loss = samix.global_loss(
            *candidates(encoder(samix.blend(view_1, plan)), own_keys, plan), plan.lam
        )
        plan = policy.plan(view_1, evidence=evidence, generator=generator)
        loss = loss + samix.eta_balanced_loss(
            *candidates(average(samix.blend(view_1, plan)), keys, plan), plan.lam
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(encoder, samix.momentum_decay(step, STEPS))
    return tell(before, backbone, STEPS)


if __name__ == "__main__":
    main()
