from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from samix.data import make_splits, open_images
from samix.errors import InputError
from samix.evaluation.embeddings import Machine, PhotoParts
from samix.evaluation.encoder import open_encoder
from samix.evaluation.finetune import FinetuneOptions, Finetuner, recipe_for
from samix.progress import Silent

from .conftest import MAKE, tiny_model


@pytest.fixture
def tuner(checkpoint):
    def make(**options) -> Finetuner:
        encoder = open_encoder(checkpoint, **MAKE)
        images = open_images("demo:photos_per_class=12,size=16")
        photos = PhotoParts(images, make_splits(images), 16, (encoder.mean, encoder.std), Silent())
        return Finetuner(encoder, photos, FinetuneOptions(**options), Machine(), Silent())

    return make


def test_small_budgets_get_enough_steps():
    options = FinetuneOptions(epochs=30, least_steps=300, batch_size=64)
    assert [options.steps(photos) for photos in (6, 640, 641, 6400)] == [300, 300, 330, 3000]


def test_optimiser_follows_the_network_and_options_come_first():
    assert recipe_for(tiny_model(0), FinetuneOptions()).optimizer == "sgd"
    plain = recipe_for(nn.LayerNorm(3), FinetuneOptions())
    assert (plain.optimizer, plain.head_lr) == ("adamw", 10 * plain.lr)
    given = recipe_for(nn.LayerNorm(3), FinetuneOptions(lr=0.5, head_lr=0.1))
    assert (given.lr, given.head_lr) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"epochs": 0}, "epochs: expected"),
        ({"least_steps": -1}, "least_steps: expected"),
        ({"batch_size": 1}, "batch_size: expected"),
        ({"lr": 0.0}, "lr: expected"),
        ({"head_lr": math.nan}, "head_lr: expected"),
        ({"augmentation": "wild"}, "augmentation: expected"),
    ],
)
def test_numbers_out_of_range_are_refused(options, flag):
    with pytest.raises(InputError, match=flag):
        FinetuneOptions(**options)


def test_the_whole_network_learns_its_photos_and_the_encoder_stays(tuner):
    tuner = tuner(least_steps=60, epochs=1, augmentation="none", lr=0.05)
    before = {k: v.clone() for k, v in tuner.encoder.network.state_dict().items()}
    photos = tuner.photos
    chosen = [i for i in range(len(photos.target("train"))) if photos.target("train")[i] < 2]
    networks = []
    tuner._train, train = lambda *given: (networks.append(given[0]), train(*given)), tuner._train
    found = tuner.run(chosen, 0, "test")
    assert found.photos == len(photos.target("test"))
    after = tuner.encoder.network.state_dict()
    assert all(value.equal(before[name]) for name, value in after.items())
    tuned = networks[0][0].state_dict()
    assert not tuned["conv1.weight"].equal(before["conv1.weight"])
    images, target = next(iter(photos.batches("train", chosen)))
    with torch.no_grad():
        assert (networks[0](images).argmax(1) == target).float().mean() > 0.9


def test_a_draw_is_the_same_for_its_seed_and_global_randomness_is_untouched(tuner):
    tuner = tuner(least_steps=4, epochs=1)
    state = torch.get_rng_state()
    results = [tuner.run(range(14), seed, "test").nll for seed in (1, 1, 2)]
    assert torch.get_rng_state().equal(state)
    assert results[0] == results[1] != results[2]


def test_batches_hold_the_chosen_photos_alone_each_epoch_in_a_new_order(tuner):
    tuner = tuner(batch_size=4, augmentation="none")
    chosen = [3, 8, 9, 11, 20]
    batches = list(tuner._batches(chosen, 0, 6))
    assert [len(target) for _, target in batches] == [4] * 6  # a rest of one photo is left out
    known = tuner.dataset.__getitems__([(0, i) for i in chosen])[0]
    for images, _ in batches:
        matches = [(known == image).flatten(1).all(1).nonzero() for image in images]
        assert all(len(match) == 1 for match in matches)
    assert not batches[0][0].equal(batches[1][0])
