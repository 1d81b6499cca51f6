"""Mixes of other libraries: the real ones where they are installed, or stand-ins of their form."""

from __future__ import annotations

import random
import sys
import types
import warnings
from enum import Enum

import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
from timm.data import FastCollateMixup, Mixup

import samix
from samix.errors import InputError

from .test_check_policy import _fewer_calls, loader, sentence, verdicts  # noqa: F401

ROWS = torch.eye(10)


def checked(transform, **options):
    return samix.check_policy(transform, loader(), **options)


def of_library(module: str, thing):
    """Say that a thing comes from a module."""
    thing.__module__ = module
    return thing


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("mix", [kornia.RandomMixUpV2, kornia.RandomCutMixV2])
@pytest.mark.parametrize("keys", [["input"], ["input", "class"]])
def test_a_container_of_kornia(mix, keys):
    check = checked(kornia.AugmentationSequential(mix(p=1.0), data_keys=keys))
    assert check.passed, check
    assert verdicts(check)["shares on photos"] == "pass"
    assert any("the container gives no labels" in note for note in check.notes)


def test_what_else_is_in_a_container_is_left_out_and_named():
    flips = kornia.RandomHorizontalFlip(), kornia.ColorJiggle(0.1, 0.1, 0.1, 0.1)
    check = checked(kornia.AugmentationSequential(*flips, kornia.RandomMixUpV2(p=0.5)))
    assert check.passed, check
    assert "where p is 0.5" in sentence(check, "probability")
    assert any("RandomHorizontalFlip, ColorJiggle" in note for note in check.notes)
    mixes = kornia.RandomMixUpV2(p=1.0), kornia.RandomCutMixV2(p=1.0)
    either = checked(kornia.AugmentationSequential(*flips, *mixes, random_apply=2))
    assert either.passed, either
    with pytest.raises(InputError, match="holds no mix, only RandomHorizontalFlip"):
        checked(kornia.AugmentationSequential(kornia.RandomHorizontalFlip()))
    for mix in (kornia.RandomMosaic(p=1.0), kornia.AugmentationSequential(kornia.RandomJigsaw())):
        with pytest.raises(InputError, match="gives no labels of classes"):
            checked(mix)


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_timm_with_several_labels_a_photo(mode, smoothing):
    options = {"mode": mode, "label_smoothing": smoothing, "num_classes": 10, "multi_label": True}
    check = checked(Mixup(0.8, 1.0, **options), in_place=True)
    assert check.passed, check
    assert any("towards 0.5" in note for note in check.notes) is (smoothing > 0)
    wrong = checked(Mixup(0.0, 1.0, correct_lam=False, **options), in_place=True)
    assert "shares" in {result.name for result in wrong.failures}
    with pytest.raises(InputError, match=r"give timm\.data:Mixup"):
        checked(FastCollateMixup(num_classes=10))


def test_the_form_of_the_code_published_with_mixup():
    def published(x, y, exchanged=False):
        lam, index = np.random.beta(1.0, 1.0), torch.randperm(len(x))  # noqa: NPY002
        mixed = lam * x + (1 - lam) * x[index]
        return mixed, y, y[index], 1 - lam if exchanged else lam

    assert checked(published).passed
    wrong = checked(lambda x, y: published(x, y, exchanged=True))
    assert "exchanged" in sentence(wrong, "shares")


class Drawn:
    """Draws as MONAI does, from a random state of its own."""

    def __init__(self, batch_size, alpha=1.0):
        self.batch_size, self.alpha, self.R = batch_size, alpha, np.random.RandomState()

    def set_random_state(self, seed=None, state=None):
        self.R = np.random.RandomState(seed)

    def drawn(self, images):
        if len(images) != self.batch_size:
            raise ValueError("Expected batch of size")
        weight = torch.from_numpy(self.R.beta(self.alpha, self.alpha, len(images))).float()
        return weight, torch.from_numpy(self.R.permutation(len(images)))


def monai_mixup():
    class MixUp(Drawn):
        def __call__(self, images, labels):
            weight, index = self.drawn(images)
            if labels.ndim != 4:
                raise ValueError("Unexpected number of dimensions")
            wide = weight.view(-1, 1, 1, 1)
            return tuple(wide * x + (1 - wide) * x[index] for x in (images, labels))

    return of_library("monai.transforms", MixUp)


def test_monai():
    check = checked(monai_mixup()(4))
    assert check.passed, check
    assert verdicts(check)["generator"] == "pass"
    assert any("maps (B,K,1,1)" in note for note in check.notes)

    class CutMix(Drawn):
        """A half is shown, and the label is that of the partner, as in MONAI 1.6.1."""

        def __call__(self, images, labels):
            _, index = self.drawn(images)
            mixed = images.clone()
            mixed[..., : images.shape[3] // 2] = images[index][..., : images.shape[3] // 2]
            return mixed, labels[index]

    wrong = checked(of_library("monai.transforms", CutMix)(4))
    assert {result.name for result in wrong.failures} >= {"shares", "shares on photos"}

    class MixUpd:
        def __init__(self, keys, batch_size):
            self.keys, self.mixup = keys, monai_mixup()(batch_size)

        def set_random_state(self, seed=None, state=None):
            self.mixup.set_random_state(seed)

        def __call__(self, data):
            one, other = self.keys
            return dict(zip(self.keys, self.mixup(data[one], data[other]), strict=True))

    of_library("monai.transforms", MixUpd)
    assert checked(MixUpd(("image", "label"), 4)).passed
    with pytest.raises(InputError, match="key of the images and that of the labels"):
        checked(MixUpd(("image",), 4))


def test_keras():
    class MixUp:
        def __init__(self, alpha=0.2, data_format="channels_last", seed=None):
            self.alpha, self.data_format = alpha, data_format
            self.draws = np.random.default_rng(seed)

        def get_config(self):
            return {"alpha": self.alpha, "data_format": self.data_format, "seed": None}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

        def __call__(self, data):
            images, labels = data["images"], data["labels"]
            assert images.shape[3 if self.data_format == "channels_last" else 1] == 3
            weight = self.draws.beta(self.alpha, self.alpha, len(images)).astype(np.float32)
            index = self.draws.permutation(len(images))
            wide, rows = weight.reshape(-1, 1, 1, 1), weight.reshape(-1, 1)
            return {
                "images": wide * images + (1 - wide) * images[index],
                "labels": rows * labels + (1 - rows) * labels[index],
            }

    of_library("keras.src.layers", MixUp)
    for form in ("channels_last", "channels_first"):
        check = checked(MixUp(1.0, form))
        assert check.passed, check
        assert verdicts(check)["generator"] == "pass"


class Events(Enum):
    BEFORE_FORWARD = 1
    BEFORE_LOSS = 2
    BEFORE_BACKWARD = 3


@pytest.mark.parametrize("interpolate", [False, True])
def test_composer(interpolate, monkeypatch):
    module = types.ModuleType("composer.algorithms.mixup.mixup")
    module.Event = Events
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def mixup_batch(images, target, mixing=None, alpha=0.2, indices=None):
        mixing = np.random.beta(alpha, alpha) if mixing is None else mixing  # noqa: NPY002
        index = torch.randperm(len(images)) if indices is None else indices
        return (1 - mixing) * images + mixing * images[index], target[index], mixing

    def cutmix_batch(images, target):
        mixed, index = images.clone(), torch.randperm(len(images))
        mixed[..., :4] = images[index][..., :4]
        return mixed, target[index], 1 - 4 / images.shape[3], (0, 0, 4, 4)

    class MixUp:
        input_key, target_key, interpolate_loss = 0, 1, interpolate

        def match(self, event, state):
            last = Events.BEFORE_BACKWARD if self.interpolate_loss else Events.BEFORE_LOSS
            return event in (Events.BEFORE_FORWARD, last)

        def apply(self, event, state, logger):
            images, target = (state.batch_get_item(key) for key in (0, 1))
            if event is Events.BEFORE_FORWARD:
                mixed, self.partner, self.mixing = mixup_batch(images, target)
                state.batch_set_item(0, mixed)
            elif event is Events.BEFORE_LOSS:
                rows = ROWS[:, : state.outputs.shape[1]]
                soft = (1 - self.mixing) * rows[target] + self.mixing * rows[self.partner]
                state.batch_set_item(1, soft)
            else:
                other = state.model.loss(state.outputs, (images, self.partner))
                state.loss = (1 - self.mixing) * state.loss + self.mixing * other

    for thing in (mixup_batch, cutmix_batch, of_library(module.__name__, MixUp)()):
        if not isinstance(thing, MixUp):
            of_library("composer.algorithms", thing)
        check = checked(thing)
        assert check.passed, check


@pytest.mark.parametrize("rows", [False, True])
def test_fastai(rows):
    class MixUp:
        def __getattr__(self, name):
            if name in ("x", "y", "xb", "yb"):
                return getattr(self.learn, name)
            raise AttributeError(name)

        def before_train(self):
            self.stack_y = getattr(self.learn.loss_func, "y_int", False)
            if self.stack_y:
                self.old_lf, self.learn.loss_func = self.learn.loss_func, self.lf

        def before_batch(self):
            self.lam, index = torch.rand(len(self.y)), torch.randperm(len(self.y))
            (images,), (target,) = self.xb, self.yb
            wide = self.lam.view(-1, 1, 1, 1)
            self.learn.xb = (torch.lerp(images[index], images, wide),)
            self.yb1 = (target[index],)
            if not self.stack_y:
                self.learn.yb = (torch.lerp(target[index], target, self.lam.view(-1, 1)),)

        def lf(self, pred, *yb):
            loss = torch.lerp(self.old_lf(pred, *self.yb1), self.old_lf(pred, *yb), self.lam)
            return loss if self.old_lf.reduction == "none" else loss.mean()

    of_library("fastai.callback.mixup", MixUp)
    photos = [(images, torch.eye(6)[target] if rows else target) for images, target in loader()]
    check = samix.check_policy(MixUp(), photos)
    assert check.passed, check


def test_albumentations():
    class MixUp:
        reference_data, p = [], 0.5

        def read_fn(self, item):
            raise OSError("no file")

        def __call__(self, image, global_label):
            if random.random() >= self.p:
                return {"image": image, "global_label": global_label}
            other, lam = self.read_fn(random.choice(self.reference_data)), random.random()
            return {
                "image": lam * image + (1 - lam) * other["image"],
                "global_label": lam * global_label + (1 - lam) * other["global_label"],
            }

    class Compose:
        def __init__(self, *transforms):
            self.transforms = transforms

    for kind in (MixUp, Compose):
        of_library("albumentations.core", kind)
    for transform in (MixUp(), Compose(MixUp())):
        check = checked(transform)
        assert check.passed, check
        assert "random" in sentence(check, "generator")
    with pytest.raises(InputError, match="as MixUp of albumentations"):
        checked(Compose())


@pytest.mark.parametrize("module", ["monai", "keras", "composer", "fastai", "albumentations"])
def test_what_mixes_nothing_is_refused(module):
    class Other:
        pass

    with pytest.raises(InputError, match="mixes no labels"):
        checked(of_library(f"{module}.transforms", Other)())


@pytest.mark.parametrize(
    ("module", "name", "options", "failed"),
    [
        ("monai.transforms", "MixUp", {"batch_size": 4}, set()),
        ("monai.transforms", "CutMix", {"batch_size": 4}, {"shares", "shares on photos"}),
        ("keras.layers", "MixUp", {"alpha": 1.0}, set()),
        ("keras.layers", "CutMix", {}, {"shares", "shares on photos"}),
        ("composer.algorithms", "MixUp", {}, set()),
        ("composer.algorithms", "CutMix", {"interpolate_loss": True}, set()),
        ("fastai.callback.mixup", "MixUp", {}, set()),
        ("fastai.callback.mixup", "CutMix", {}, set()),
    ],
)
def test_the_libraries_themselves_where_they_are_installed(
    module, name, options, failed, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    transform = getattr(pytest.importorskip(module), name)(**options)
    check = checked(transform, in_place=True)
    assert failed <= {result.name for result in check.failures} <= failed | {"partners"}, check
