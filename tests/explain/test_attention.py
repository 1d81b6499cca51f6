from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from samix.explain.attention import (
    attention_rollout,
    open_class_looker,
    open_looker,
    share_inside,
    stretched,
)
from samix.networks import small_stem


class Quadrant(nn.Module):
    """Class 0 is how bright the upper left quarter is, class 1 how bright the lower right one."""

    num_classes = 2

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward_features(self, images):
        bright = F.avg_pool2d(images.mean(1, keepdim=True), 2) * self.scale
        here = torch.zeros_like(bright)
        half = bright.shape[-1] // 2
        here[..., :half, :half] = 1
        there = here.flip(2, 3)
        return torch.cat([bright * here, bright * there], 1)

    def forward_head(self, features, pre_logits=False):
        return features.mean((2, 3))

    def forward(self, images):
        return self.forward_head(self.forward_features(images))


@pytest.fixture
def looking(opened):
    """A subject with another network."""
    subject, _ = opened("cutmix")

    def make(network, classes=("a", "b"), size=16):
        return replace(
            subject, network=network.eval(), classes=classes, image_size=size,
            channels=((0.0,) * 3, (1.0,) * 3),
        )  # fmt: skip

    return make


def quarter(rows, columns):
    region = torch.zeros(1, 16, 16)
    region[:, rows, columns] = 1
    return region


UPPER_LEFT = quarter(slice(0, 8), slice(0, 8))
LOWER_RIGHT = quarter(slice(8, 16), slice(8, 16))


def test_heat_of_a_network_that_sees_one_quarter_lies_there(looking):
    looker = open_looker(looking(Quadrant()))
    assert (looker.name, looker.fields, looker.asks) == ("Grad-CAM", (8, 8), True)
    images = torch.rand(3, 3, 16, 16) + 0.5
    first, second = (looker(images, torch.full((3,), k)) for k in (0, 1))
    assert first.shape == (3, 1, 16, 16)
    for heat, other, region in ((first, second, UPPER_LEFT), (second, first, LOWER_RIGHT)):
        assert heat.amax((1, 2, 3)).tolist() == [1, 1, 1]
        for one, elsewhere in zip(heat, other, strict=True):
            assert share_inside(one, region) > 0.85  # its edge is blurred
            assert share_inside(elsewhere, region) < 0.05


def test_without_classes_heat_says_what_makes_the_embedding(looking):
    looker = open_looker(looking(Quadrant(), classes=()))
    heat = looker(torch.ones(1, 3, 16, 16), torch.tensor([[1.0, 0.0]]))
    assert share_inside(heat[0], UPPER_LEFT) > 0.85


def test_nothing_that_speaks_for_a_class_is_no_heat(looking):
    looker = open_looker(looking(Quadrant()))
    heat = looker(-torch.ones(1, 3, 16, 16), torch.tensor([0]))
    assert heat.count_nonzero() == 0
    assert share_inside(heat[0], UPPER_LEFT) is None


def test_rows_of_a_roll_out_sum_to_one_and_follow_the_paper():
    maps = [torch.randn(2, 3, 5, 5).softmax(-1) for _ in range(3)]
    whole = attention_rollout(maps)
    assert whole.shape == (2, 5, 5)
    torch.testing.assert_close(whole.sum(-1), torch.ones(2, 5))
    slow = torch.eye(5)
    for block in maps:
        slow = (block[1].mean(0) + torch.eye(5)) / 2 @ slow
    torch.testing.assert_close(whole[1], slow)


def test_attention_to_one_token_alone_is_found_there():
    blocks = []
    for _ in range(2):
        block = torch.eye(4).repeat(1, 2, 1, 1)
        block[:, :, 0] = torch.tensor([0.0, 0.0, 1.0, 0.0])
        blocks.append(block)
    row = attention_rollout(blocks)[0, 0]
    assert row.tolist() == [0.25, 0.0, 0.75, 0.0]


def small(name, **options):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, **options)
    return small_stem(model, image_size=32)


VIT = {"depth": 2, "embed_dim": 16, "num_heads": 2}
SWIN = {"depths": (1, 1), "embed_dim": 8, "num_heads": (1, 2), "window_size": 4}
RESNET = {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}
CONVNEXT = {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 8)}


@pytest.mark.parametrize(
    ("name", "options", "by", "fields"),
    [
        ("resnet18", RESNET, "Grad-CAM", (8, 8)),
        ("convnext_tiny", CONVNEXT, "Grad-CAM", (8, 8)),
        ("swin_tiny_patch4_window7_224", SWIN, "Grad-CAM", (8, 8)),
        ("vit_tiny_patch16_224", VIT, "attention roll-out", (8, 8)),
        ("vit_tiny_patch16_224", {**VIT, "global_pool": "avg"}, "attention roll-out", (8, 8)),
    ],
)
def test_every_family_has_a_way_that_suits_it(looking, name, options, by, fields):
    subject = looking(small(name, **options), classes=("a", "b", "c"), size=32)
    before = {k: v.clone() for k, v in subject.network.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    said = subject.network(images)
    looker, asker = open_looker(subject), open_class_looker(subject)
    assert looker.name == by
    assert asker.name == "Grad-CAM"
    assert asker.asks
    for one in (looker, asker):
        assert one.fields == fields
        heat = one(images, torch.tensor([0, 2]))
        assert heat.shape == (2, 1, 32, 32)
        assert 0 <= float(heat.min()) <= float(heat.max()) <= 1
    assert subject.network(images).equal(said)  # looking changes nothing
    assert all(v.equal(before[k]) for k, v in subject.network.state_dict().items())


def test_a_network_of_tokens_without_attention_has_no_way(looking):
    network = timm.models.MlpMixer(
        img_size=32, patch_size=8, num_blocks=1, embed_dim=16, num_classes=2
    )
    assert open_looker(looking(network, size=32)) is None


def test_stretching_keeps_the_hottest_place():
    heat = torch.zeros(1, 1, 2, 2)
    heat[0, 0, 1, 0] = 5
    large = stretched(heat, (8, 8))
    assert float(large.max()) == 1
    assert large[0, 0, 7, 0] == 1
    assert large[0, 0, 0, 7] == 0
    assert float(stretched(heat + 3, (8, 8), floor=True).min()) == 0
