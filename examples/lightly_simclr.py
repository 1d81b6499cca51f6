"""SAMix in a SimCLR loop made of lightly's parts: the images of the batch are the candidates.

Run it with ``python examples/lightly_simclr.py``; it makes its own photos and takes seconds.
"""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import samix
from samix.networks import find_tap, tap_features

EPOCHS, PHOTOS, BATCH, TEMPERATURE = 2, 96, 32, 0.2


class Photos(Dataset[list[Tensor]]):
    """Two views by lightly of photos that are made here; a real loop opens files."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (PHOTOS, 4, 4, 3), generator=generator).byte()
        self.views = SimCLRTransform(input_size=32, gaussian_blur=0.0)

    def __len__(self) -> int:
        return PHOTOS

    def __getitem__(self, index: int) -> list[Tensor]:
        photo = Image.fromarray(self.pixels[index].numpy()).resize((32, 32))
        return self.views(photo)


def main() -> None:
    """Train for two epochs."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    small = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16), "num_classes": 0}
    backbone = samix.small_stem(timm.create_model("resnet18", **small))
    encoder = nn.Sequential(backbone, SimCLRProjectionHead(16, 16, 32))
    loader = DataLoader(Photos(), batch_size=BATCH, shuffle=True, drop_last=True)
    steps = EPOCHS * len(loader)

    tap = find_tap(backbone)  # samix: where the Mixer reads, the Mixer, and a momentum encoder
    policy = samix.create_policy("samix", channels=tap.channels)
    average = samix.MomentumEncoder(encoder)

    optimizer = torch.optim.SGD([*encoder.parameters(), *policy.parameters()], lr=0.05)
    for step, (view_1, view_2) in enumerate(batch for _ in range(EPOCHS) for batch in loader):
        with torch.no_grad():
            features = tap_features(average.module[0], view_1, tap)
            judge_keys = F.normalize(average(view_2), dim=1)
        evidence = samix.Evidence(features)
        keys = F.normalize(encoder(view_2), dim=1)

        # samix: the encoder learns from one mix, the Mixer from another under the momentum encoder
        plan = policy.plan(view_1, evidence=evidence, generator=generator).detach()
        query = F.normalize(encoder(samix.blend(view_1, plan)), dim=1)
        candidates = samix.batch_candidates(query, keys, plan.index, TEMPERATURE)
        encoder_loss = samix.global_loss(*candidates, plan.lam)

        plan = policy.plan(view_1, evidence=evidence, generator=generator)
        query = F.normalize(average(samix.blend(view_1, plan)), dim=1)
        candidates = samix.batch_candidates(query, judge_keys, plan.index, TEMPERATURE)
        mixer_loss = samix.eta_balanced_loss(*candidates, plan.lam)

        (encoder_loss + mixer_loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(encoder, samix.momentum_decay(step, steps))
        print(f"step {step + 1}: encoder {encoder_loss.item():.3f}, mixer {mixer_loss.item():.3f}")
    print(f"{type(backbone).__module__}: embeddings {tuple(backbone(view_1).shape)}")


if __name__ == "__main__":
    main()
