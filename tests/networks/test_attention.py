from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from samix.networks import last_attention, watched_attention

TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3}


def vit(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    made = timm.create_model("vit_tiny_patch16_224", num_classes=4, **{**TINY, **options})
    return made.eval()


@pytest.mark.parametrize("pooled", [False, True])
def test_it_is_the_attention_of_the_last_block(pooled: bool) -> None:
    options: dict[str, Any] = {"class_token": False, "global_pool": "avg"} if pooled else {}
    model: Any = vit(**options)
    images = torch.randn(2, 3, 32, 32)
    place = last_attention(model)
    kept: list[torch.Tensor] = []
    handle = model.blocks[-1].attn.register_forward_pre_hook(lambda _, x: kept.append(x[0]))
    with watched_attention(place) as seen:
        logits = model(images)
    handle.remove()
    attention = model.blocks[-1].attn
    q, k, _ = attention.qkv(kept[0]).view(2, -1, 3, 3, 4).permute(2, 0, 3, 1, 4)
    wanted = (q @ k.transpose(-2, -1) / 2.0).softmax(-1)
    assert torch.allclose(seen[0], wanted, atol=1e-5)
    assert torch.allclose(logits, model(images), atol=1e-5)
    assert len(seen) == 1
    found = place.to_map(seen[0])
    assert found.shape == (2, 1, 4, 4)
    assert torch.allclose(found.sum((1, 2, 3)), torch.ones(2), atol=1e-5)
    rows = wanted.mean(1).mean(1) if pooled else wanted.mean(1)[:, 0, 1:]
    assert torch.allclose(found.flatten(1), rows / rows.sum(1, keepdim=True), atol=1e-5)


def test_the_fused_kernel_comes_back() -> None:
    model: Any = vit()
    place = last_attention(model)
    before = model.blocks[-1].attn.fused_attn
    with pytest.raises(RuntimeError, match="stop"), watched_attention(place):
        raise RuntimeError("stop")
    assert model.blocks[-1].attn.fused_attn is before


@pytest.mark.parametrize("name", ["resnet10t", "swin_tiny_patch4_window7_224", "convnext_atto"])
def test_networks_without_such_attention_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="backbone: expected a vision transformer of one resolu"):
        last_attention(timm.create_model(name, num_classes=2))
