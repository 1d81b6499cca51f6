from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import timm
import torch

from samix.explain import ExplainOptions, explain
from samix.explain.page import explanation_record
from samix.networks import small_stem
from samix.policies import create_policy

whole = sys.modules[explain.__module__]


@pytest.fixture(autouse=True)
def fewer_mixes(monkeypatch):
    for name, number in (("_DRAWN", 64), ("_MEASURED", 8), ("_DRAWS", 1), ("_ROUTES", 2)):
        monkeypatch.setattr(whole, name, number)


FEW = ExplainOptions(pairs=2, photos=1)


def test_numbers_repeat_follow_the_seed_and_leave_the_random_state(opened):
    subject, photos = opened("samix")
    state = torch.get_rng_state()
    one, same, other = (
        json.dumps(explanation_record(explain(subject, photos, replace(FEW, seed=seed))))
        for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other
    assert torch.get_rng_state().equal(state)


def test_validation_and_training_photos_can_be_explained(opened):
    subject, photos = opened("cutmix")
    val = explain(subject, photos, replace(FEW, part="val"))
    keys = {photos.images.keys[i] for i in photos.parts["val"]}
    assert {one.key for one in val.seen} <= keys
    train = explain(subject, photos, replace(FEW, part="train"))
    assert train.near is None  # a photo is no neighbour of itself
    assert any("has seen them" in note.en for note in train.notes)


def test_a_run_without_classes_has_what_needs_none(opened):
    found = explain(*opened("moco"), FEW)
    assert not found.classifies
    assert found.confidence is None
    assert found.confusion is None
    assert found.accuracy is None
    assert len(found.seen_mixes[0].heats) == 2
    assert found.near.shown
    assert found.mixer.follows


def test_a_transformer_is_rolled_out_and_asked(opened):
    subject, photos = opened("cutmix")
    torch.manual_seed(0)
    network = timm.create_model(
        "vit_tiny_patch16_224", depth=2, embed_dim=16, num_heads=2, num_classes=6
    )
    subject = replace(subject, network=small_stem(network, image_size=16).eval())
    found = explain(replace(subject, policy=create_policy("samix-p")), photos, FEW)
    assert (found.looker, found.asker, found.fields) == ("attention roll-out", "Grad-CAM", (4, 4))
    assert found.mixer.looks


def test_a_run_that_did_not_mix_is_shown_with_mixup(opened):
    subject, photos = opened("cutmix")
    found = explain(replace(subject, policy=create_policy("none")), photos, FEW)
    assert found.mixed_by == "mixup"
    assert list(found.map.routes[0].points) == ["mixup"]
    assert any("did not mix" in note.en for note in found.notes)
    assert not any("guard" in note.en for note in found.notes)
    assert any("learned little" in note.en for note in found.notes)  # after one epoch
    assert found.confidence is not None


def test_a_guarded_run_is_said_to_be_shown_without_its_guard(opened):
    subject, photos = opened("cutmix")
    found = explain(replace(subject, guarded=True), photos, FEW)
    assert any("had a guard" in note.en for note in found.notes)


def test_other_photos_than_all_are_drawn_where_there_are_many(opened, monkeypatch):
    monkeypatch.setattr(whole, "_MOST_EXPLAINED", 5)
    found = explain(*opened("cutmix"), FEW)
    assert found.photos[0] == 5 < found.photos[1]
    assert any("drawn at random" in note.en for note in found.notes)
