"""The Mixer lives: on a small teacher that tells classes apart, its masks get structure and pay."""

from __future__ import annotations

import pytest
import torch

from samix import create_method


def striped(batch: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with one small bright square in noise; its colour is the class."""
    target = torch.randint(0, 3, (batch,), generator=generator)
    images = 0.3 * torch.randn(batch, 3, 16, 16, generator=generator)
    corner = torch.randint(0, 11, (batch, 2), generator=generator)
    for i, (y, x) in enumerate(corner.tolist()):
        images[i, target[i], y : y + 6, x : x + 6] += 1.5
    return images, target


@pytest.mark.parametrize(("cost", "batch"), [("full", 32), ("fast", 128)])
def test_the_mixer_comes_alive_on_a_frozen_teacher(cost: str, batch: int) -> None:
    """It learns from 32 images a step: all of a batch, or a quarter of a larger one."""
    generator = torch.Generator().manual_seed(0)
    method = create_method(
        "supervised",
        backbone="resnet18",
        num_classes=3,
        stem="small",
        policy="samix",
        cost=cost,
        model_kwargs={
            "layers": (1, 1, 1, 1),
            "channels": (8, 16, 16, 16),
            "stem_type": "deep",
            "stem_width": 8,
        },
    )
    teacher = torch.optim.SGD(method.encoder.parameters(), lr=0.05, momentum=0.9)
    for _ in range(60):
        images, target = striped(64, generator)
        torch.nn.functional.cross_entropy(method.encoder(images), target).backward()
        teacher.step()
        teacher.zero_grad()
    method.update_momentum()  # the first update of a run copies
    images, target = striped(256, generator)
    assert method.average is not None
    assert method.average(images).argmax(1).eq(target).float().mean() > 0.9

    before = method.signs_of_life(images, target)
    method.encoder.requires_grad_(False).eval()
    mixer = torch.optim.SGD(method.policy.parameters(), lr=0.03, momentum=0.9)  # type: ignore[attr-defined]
    for _ in range(300):
        method(*striped(batch, generator)).loss.backward()
        mixer.step()
        mixer.zero_grad()
    after = method.signs_of_life(images, target)

    def objective(signs: dict[str, torch.Tensor], name: str) -> float:
        return (signs[f"{name}_local"] + 0.5 * signs[f"{name}_global"]).item()

    # it starts as mixup
    assert before["area_lam_correlation"] > 0.99
    assert abs(objective(before, "samix") - objective(before, "mixup")) < 0.03
    # it learns masks with more structure, of the wanted area, that the teacher reads better
    assert after["mask_deviation"] > max(before["mask_deviation"], torch.tensor(0.05))
    assert after["area_lam_correlation"] > 0.9
    assert objective(after, "samix") < objective(after, "mixup") - 0.05
