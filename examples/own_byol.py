"""SAMix in a BYOL of one's own, on a backbone of one's own: a regression has no candidates.

python examples/own_byol.py
"""

import torch
import torch.nn.functional as F
from photos import make_views, neighbours, tell
from torch import nn

import samix
from samix.objectives import mixed_regression, pair_candidates

STEPS, BATCH, TEMPERATURE = 60, 32, 0.2


def own_backbone() -> nn.Module:
    """Return a small network: its first part gives a feature map, the whole an embedding."""
    first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def head(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 16))


def main() -> float:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    online, predictor = nn.Sequential(own_backbone(), head(32)), head(16)
    momentum = samix.MomentumEncoder(online)
    policy = samix.create_policy("samix", channels=16)  # samix: the Mixer
    before = neighbours(online[0])
    learning = nn.ModuleList([online, predictor, policy])
    optimizer = torch.optim.SGD(learning.parameters(), lr=0.1, momentum=0.9)
    for step in range(STEPS):
        loss = torch.zeros(())
        views = make_views(BATCH, seed=step)
        for view, other in (views, views[::-1]):
            with torch.no_grad():
                key = F.normalize(momentum(other), dim=1)
                evidence = samix.Evidence(momentum.module[0][0](view))
            # samix: the encoder regresses from its mix to both keys, the Mixer learns from another
            plan = policy.plan(view, evidence=evidence, generator=generator).detach()
            query = F.normalize(predictor(online(samix.blend(view, plan))), dim=1)
            loss = loss + mixed_regression(query, key, key[plan.index], plan.lam)
            plan = policy.plan(view, evidence=evidence, generator=generator)
            query = F.normalize(momentum(samix.blend(view, plan)), dim=1)
            pairs = pair_candidates(query, key, key[plan.index], TEMPERATURE)
            loss = loss + samix.local_loss(*pairs, plan.lam)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        momentum.update(online, samix.momentum_decay(step, STEPS))
    return tell(before, online[0], STEPS)


if __name__ == "__main__":
    main()
