from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from samix.explain.judging import _kept, study_confidence, study_confusion, study_near
from samix.explain.mixer import correlation
from samix.explain.pairs import choose_pairs
from samix.explain.representation import (
    alignment,
    apart,
    detour,
    measure_spread,
    path_of,
    stride,
    study_map,
    uniformity,
)
from samix.explain.subject import Looked, look_at
from samix.progress import Silent

QUIET = Silent()


def test_alignment_and_uniformity_of_hand_made_embeddings():
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    target = torch.tensor([0, 0, 1, 1])
    assert alignment(same, target) == pytest.approx(0.0)
    assert apart(same, target) == pytest.approx(2.0)  # right angles
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert alignment(opposite, torch.tensor([0, 0])) == pytest.approx(4.0)
    assert alignment(opposite, torch.tensor([0, 1])) is None
    assert apart(opposite, torch.tensor([0, 0])) is None
    assert uniformity(opposite) == pytest.approx(-8.0)  # log exp(-2 * 4)
    assert uniformity(same[:2]) == pytest.approx(0.0)
    assert uniformity(same) == pytest.approx(math.log((2 + 4 * math.exp(-4)) / 6))


def test_alignment_and_apart_are_means_over_pairs():
    points = F.normalize(torch.randn(9, 4), dim=1)
    target = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2])
    pairs = [(i, j) for i in range(9) for j in range(i)]
    same = [(points[i] - points[j]).square().sum() for i, j in pairs if target[i] == target[j]]
    other = [(points[i] - points[j]).square().sum() for i, j in pairs if target[i] != target[j]]
    assert alignment(points, target) == pytest.approx(float(sum(same) / len(same)), rel=1e-5)
    assert apart(points, target) == pytest.approx(float(sum(other) / len(other)), rel=1e-5)


def test_length_and_step_of_a_way():
    straight = torch.linspace(0, 1, 5)[:, None]
    assert (detour(straight), stride(straight)) == pytest.approx((1.0, 0.25))
    jump = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert stride(jump) == pytest.approx(1.0)
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert detour(corner) == pytest.approx(2 / math.sqrt(2))


@pytest.mark.parametrize("name", ["samix", "cutmix", "moco"])
def test_a_way_starts_and_ends_at_the_two_photos(opened, name):
    subject, photos = opened(name)
    pair = photos.parts["test"][:2]
    path = path_of(subject, photos, pair, seed=0)
    ends = subject.ask(subject.look(photos.load(pair)))[0]
    torch.testing.assert_close(path[[0, -1]], ends, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(path.norm(dim=1), torch.ones(len(path)))


def test_ways_are_in_the_map_of_the_photos(opened):
    subject, photos = opened("cutmix")
    looked = look_at(subject, photos, photos.parts["test"], QUIET, "")
    pairs = choose_pairs(photos, looked.positions, 2, 0)
    study = study_map(photos, looked, pairs, subject, seed=0, progress=QUIET)
    assert list(study.routes[0].points) == ["cutmix", "mixup"]
    for (first, second), route in zip(pairs, study.routes, strict=True):
        for points in route.points.values():
            ends = study.points[[looked.row(first), looked.row(second)]]
            torch.testing.assert_close(points[[0, -1]], ends, atol=1e-4, rtol=1e-4)


def test_without_classes_alignment_is_of_two_views(opened):
    subject, photos = opened("moco")
    blind = replace(photos, classes=(), targets=(-1,) * len(photos.targets))
    looked = look_at(subject, blind, photos.parts["test"], QUIET, "")
    spread = measure_spread(subject, blind, looked, seed=0)
    assert spread.of == "view"
    assert 0 < spread.alignment < spread.apart


def test_correlation_of_masks_and_heat():
    heat = torch.rand(2, 1, 4, 4)
    assert correlation(heat, heat) == pytest.approx(1.0)
    assert correlation(1 - heat, heat) == pytest.approx(-1.0)
    assert correlation(torch.full_like(heat, 0.3), heat) is None
    flat = torch.cat([heat[:1], torch.full_like(heat[:1], 0.3)])
    assert correlation(flat, heat) == pytest.approx(1.0)  # a flat mask does not count


def test_the_nearest_photo_of_an_unmixed_photo_is_itself(opened):
    subject, photos = opened("cutmix")
    whole = replace(photos, parts={"train": photos.parts["test"]})
    looked = look_at(subject, whole, photos.parts["test"], QUIET, "")
    near = study_near(
        whole, looked, looked, [(i, i) for i in looked.positions], subject, shown=3, seed=0
    )
    assert near.usual == pytest.approx(1.0, abs=1e-5)
    for one in near.shown:
        values = [n.cosine for n in one.neighbours]
        assert values[0] == pytest.approx(1.0, abs=1e-5)
        assert values == sorted(values, reverse=True)


def test_confident_mixes_are_ordered_and_both_sources_count(opened):
    subject, photos = opened("cutmix")
    looked = look_at(subject, photos, photos.parts["test"], QUIET, "")
    found = study_confidence(
        photos, looked, subject, shown=3, count=128, seed=0, progress=QUIET
    )  # fmt: skip
    both = [one.both for one in found.most]
    assert both == sorted(both, reverse=True)
    assert found.least[0].both == pytest.approx(float(found.both.min()))
    assert found.most[0].both == pytest.approx(float(found.both.max()))
    for one in (*found.most, *found.least):
        assert one.mix.names[0] != one.mix.names[1]
        assert 0.2 <= one.mix.weight <= 0.8
        assert one.other not in one.mix.names
        assert one.sure[0] + one.sure[1] + one.other_sure <= 1 + 1e-5


def test_confusion_of_photos_and_of_mixes(opened):
    subject, photos = opened("cutmix")
    looked = look_at(subject, photos, photos.parts["test"], QUIET, "")
    found = study_confusion(photos, looked, subject, draws=2, seed=0, progress=QUIET)
    torch.testing.assert_close(found.clean.sum(1), torch.ones(6))
    assert sum(found.photos) == len(looked.positions)
    said = looked.probability.argmax(1)
    assert found.clean[1, 1] == (said[looked.target == 1] == 1).float().mean()
    for row, names in enumerate(found.other):
        for column, name in enumerate(names):
            if name:
                assert name not in (found.classes[row], found.classes[column])


def test_of_many_classes_the_worst_are_shown(opened):
    subject, photos = opened("cutmix")
    looked = look_at(subject, photos, photos.parts["test"], QUIET, "")
    count = 20
    sure = torch.eye(count).roll(1, 1)
    sure[:10] = torch.eye(count)[:10]  # the first ten are right
    many = Looked(looked.positions[:count], looked.embedding[:count], sure, torch.arange(count))
    kept = _kept(sure.argmax(1), many.target)
    assert kept[-10:] == list(range(10, 20))
    assert len(kept) == 12
