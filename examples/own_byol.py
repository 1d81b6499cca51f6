"""SAMix in a BYOL loop of one's own, with a network that is not from timm.

Run it with ``python examples/own_byol.py``; it makes its own images and takes seconds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import samix
from samix.objectives import mixed_regression, pair_candidates

STEPS, BATCH, TEMPERATURE = 12, 32, 0.2


class Backbone(nn.Module):
    """A small network that gives a feature map on its way to an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())

    def features(self, images: Tensor) -> Tensor:
        """Return what the Mixer reads: (B,16,h,w)."""
        return self.first(images)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B,32) embeddings."""
        return self.second(self.features(images)).mean((2, 3))


def head(inputs: int, outputs: int) -> nn.Module:
    """Return a projector or predictor."""
    layers = (nn.Linear(inputs, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, outputs))
    return nn.Sequential(*layers)


def make_views(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two noisy views of a batch of random patterns; a real loop has a loader here."""
    patterns = F.interpolate(torch.randn(BATCH, 3, 4, 4, generator=generator), 32)
    noise = torch.randn(2, BATCH, 3, 32, 32, generator=generator)
    return patterns + 0.3 * noise[0], patterns + 0.3 * noise[1]


def main() -> None:
    """Train for a few steps."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    online = nn.Sequential(Backbone(), head(32, 16))
    predictor = head(16, 16)
    target = samix.MomentumEncoder(online)
    policy = samix.create_policy("samix", channels=16)  # samix: the Mixer

    trained = nn.ModuleList([online, predictor, policy])
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9)
    for step in range(STEPS):
        losses = []
        views = make_views(generator)
        for query_view, key_view in (views, views[::-1]):
            with torch.no_grad():
                key = F.normalize(target(key_view), dim=1)
                evidence = samix.Evidence(target.module[0].features(query_view))

            # samix: the encoder regresses from its mix to both keys
            plan = policy.plan(query_view, evidence=evidence, generator=generator).detach()
            prediction = F.normalize(predictor(online(samix.blend(query_view, plan))), dim=1)
            losses.append(mixed_regression(prediction, key, key[plan.index], plan.lam))

            # samix: the Mixer learns from another mix, by the local term under the target
            plan = policy.plan(query_view, evidence=evidence, generator=generator)
            query = F.normalize(target(samix.blend(query_view, plan)), dim=1)
            candidates = pair_candidates(query, key, key[plan.index], TEMPERATURE)
            losses.append(samix.local_loss(*candidates, plan.lam))

        torch.stack(losses).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        target.update(online, samix.momentum_decay(step, STEPS))
        print(f"step {step + 1}: encoder {losses[0].item():.3f}, mixer {losses[1].item():.3f}")


if __name__ == "__main__":
    main()
