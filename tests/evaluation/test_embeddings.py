from __future__ import annotations

import pytest
import torch
from torch import nn

from samix.data import make_splits, open_images
from samix.evaluation.embeddings import (
    Embeddings,
    Machine,
    PhotoParts,
    calibrate,
    pixel_embeddings,
    random_embeddings,
)
from samix.evaluation.encoder import open_encoder
from samix.progress import Silent

from .conftest import MAKE, tiny_model

HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def photos():
    images = open_images("demo:photos_per_class=12,size=40")
    return PhotoParts(images, make_splits(images), 40, (HALF, HALF), Silent())


def test_statistics_are_the_plain_average_over_batches():
    norm = nn.BatchNorm2d(3, momentum=0.1)
    batches = [(torch.randn(5, 3, 4, 4) * 3 + 2, torch.zeros(5)) for _ in range(3)]
    norm.running_mean.fill_(77.0)
    assert calibrate(nn.Sequential(norm), batches, Machine()) == 1
    mean = torch.stack([images.mean((0, 2, 3)) for images, _ in batches]).mean(0)
    variance = torch.stack([images.var((0, 2, 3)) for images, _ in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert norm.momentum == 0.1
    assert not norm.training


def test_calibration_changes_every_batch_norm_and_nothing_else(photos):
    network = tiny_model(0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert calibrate(network, photos.batches("train"), Machine()) > 5
    after = network.state_dict()
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    assert changed == {name for name in after if "running" in name or "batches_tracked" in name}
    assert not any(module.training for module in network.modules())


def test_a_network_without_batch_norm_is_left_alone(photos):
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.LayerNorm(4800))
    assert calibrate(network, photos.batches("train"), Machine()) == 0
    assert not network[1].training


def test_random_encoders_are_calibrated_and_follow_the_seed(photos, checkpoint):
    encoder = open_encoder(checkpoint, **MAKE)
    one, again, other = (
        random_embeddings(encoder, photos, seed, Machine(), Silent()) for seed in (1, 1, 2)
    )
    norm = one.network.bn1
    assert norm.num_batches_tracked > 0
    assert not norm.running_mean.equal(torch.zeros(4))
    assert one.of("val").equal(again.of("val"))
    assert not one.of("val").equal(other.of("val"))


def test_pixels_are_those_of_the_photos_reduced_to_32(photos):
    pixels = pixel_embeddings(photos, Machine(), Silent())
    assert pixels.of("test").shape == (len(photos.target("test")), 3 * 32 * 32)
    small = PhotoParts(photos.images, photos.splits, 16, (HALF, HALF), Silent())
    first = next(iter(small.batches("val")))[0]
    assert pixel_embeddings(small, Machine(), Silent()).of("val")[:4].equal(first[:4].flatten(1))


def test_each_part_is_embedded_once_and_in_order(photos, monkeypatch):
    network, seen = tiny_model(0), []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: seen.append(len(x)) or forward(x))
    embeddings = Embeddings(network, photos, Machine(), Silent(), "encoder")
    first = embeddings.of("train")
    assert embeddings.of("train") is first
    assert sum(seen) == len(first) == len(photos.target("train"))
    some = [4, 1, 7]
    images, target = next(iter(photos.batches("train", some)))
    with torch.no_grad():
        torch.testing.assert_close(network(images), first[some])
    assert target.equal(photos.target("train")[some])


def test_low_precision_is_near(photos):
    network = tiny_model(0)
    exact = Embeddings(network, photos, Machine(), Silent(), "a").of("val")
    low = Embeddings(network, photos, Machine("cpu", torch.bfloat16), Silent(), "b").of("val")
    assert low.dtype == torch.float32
    assert not low.equal(exact)
    torch.testing.assert_close(low, exact, rtol=0.1, atol=0.05)
