from __future__ import annotations

import importlib
import math
import random
import warnings

import kornia.augmentation
import numpy as np
import pytest
import torch
from timm.data import Mixup
from torchvision.transforms import v2

import samix
from samix.checking import PolicyCheck, trials
from samix.errors import InputError

from .broken import BROKEN, CLASSES, inverse_permutation, mixup

NAMES = (
    "images", "target", "range", "input", "rows", "pixels", "partners", "shares",
    "shares on photos", "probability", "self-pairs", "generator",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _fewer_calls(monkeypatch):
    """What is right or wrong shows in fewer calls than a user gets."""
    module = importlib.import_module("samix.checking.check")
    monkeypatch.setattr(module, "_ROUNDS", 10)
    monkeypatch.setattr(module, "_MANY", 80)


def loader(size: int = 16, classes: int = 6, channels: int = 3, count: int = 16):
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(count, channels, size, size, generator=generator)
    images[:, :, 4:12, 4:9] *= 0.3
    target = torch.arange(count) % classes
    return [(images[i : i + 6], target[i : i + 6]) for i in range(0, count, 6)]


def global_states() -> list[object]:
    legacy = str(np.random.get_state())  # noqa: NPY002
    return [torch.get_rng_state().tolist(), legacy, random.getstate()]


def verdicts(check: PolicyCheck) -> dict[str, str]:
    return {result.name: result.verdict for result in check.results}


def sentence(check: PolicyCheck, name: str) -> str:
    return next(result.sentence for result in check.results if result.name == name)


@pytest.mark.parametrize("fault", list(BROKEN))
def test_what_people_get_wrong_is_found(fault):
    transform, name, words = BROKEN[fault]
    check = samix.check_policy(transform, loader())
    assert not check.passed
    assert verdicts(check)[name] == "fail", check
    assert words in sentence(check, name)
    assert tuple(result.name for result in check.results) == NAMES
    # nothing else is blamed, but what is wrong on flat photos is wrong on others
    also = (
        {"probability"}
        if name == "self-pairs"
        else {"shares", "shares on photos", "pixels", "partners", "rows"}
    )
    assert {result.name for result in check.failures} <= {name} | also


def test_a_right_transform_passes_and_is_described():
    check = samix.check_policy(mixup, loader())
    assert check.passed, check
    found = verdicts(check)
    assert {name for name, verdict in found.items() if verdict != "pass"} == {
        "probability", "self-pairs", "generator",
    }  # fmt: skip
    assert "global state of torch" in sentence(check, "generator")
    assert "states no p" in sentence(check, "probability")
    assert check.notes == ("one lam is drawn for each sample.",)
    assert 0.4 < sum(check.shares) / len(check.shares) < 0.7


@pytest.mark.parametrize("name", list(samix.POLICIES))
def test_every_policy_passes(name, monkeypatch):
    monkeypatch.setattr(trials, "MOST_SECONDS", 0.2)
    check = samix.check_policy(name, loader())
    assert check.passed, check
    assert verdicts(check)["generator"] == "pass"


def others():
    mixes = {}
    for mode in ("batch", "pair", "elem"):
        for prob in (1.0, 0.4):
            mixes[f"timm {mode} {prob}"] = Mixup(
                0.8, 1.0, prob=prob, mode=mode, num_classes=CLASSES
            )
    mixes["timm minmax"] = Mixup(cutmix_minmax=(0.2, 0.8), num_classes=CLASSES)
    mixes["torchvision MixUp"] = v2.MixUp(num_classes=CLASSES)
    mixes["torchvision CutMix"] = v2.CutMix(num_classes=CLASSES)
    mixes["choice"] = v2.RandomChoice([mixes["torchvision MixUp"], mixes["torchvision CutMix"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for p in (1.0, 0.5):
            mixes[f"kornia MixUp {p}"] = kornia.augmentation.RandomMixUpV2(p=p)
            mixes[f"kornia CutMix {p}"] = kornia.augmentation.RandomCutMixV2(p=p)
        mixes["kornia CutMix lam"] = kornia.augmentation.RandomCutMixV2(use_correct_lambda=True)
    return mixes


OTHERS = others()


@pytest.mark.parametrize("name", list(OTHERS))
def test_mixes_of_other_libraries_pass(name):
    check = samix.check_policy(OTHERS[name], loader(), in_place=True)
    assert check.passed, check
    assert verdicts(check)["shares on photos"] == "pass"
    assert (verdicts(check)["probability"] == "pass") is (name != "choice")
    smoothed = any("label smoothing of 0.1" in note for note in check.notes)
    assert smoothed is name.startswith("timm")


def test_faults_that_other_libraries_offer_are_found():
    wrong = Mixup(0.0, 1.0, correct_lam=False, num_classes=CLASSES, label_smoothing=0.0)
    check = samix.check_policy(wrong, loader(), in_place=True)
    assert {result.name for result in check.failures} == {"shares", "shares on photos"}
    assert "box is cut off there" in sentence(check, "shares")
    changed = samix.check_policy(Mixup(num_classes=CLASSES), loader())
    assert [result.name for result in changed.failures] == ["input"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = kornia.augmentation.RandomCutMixV2(num_mix=2)
    with pytest.raises(InputError, match="only with num_mix=1"):
        samix.check_policy(twice, loader())


def test_a_collate_function_and_a_policy_with_a_probability():
    check = samix.check_policy(samix.mix_collate("cutmix", CLASSES, label_smoothing=0.2), loader())
    assert check.passed, check
    assert "label smoothing of 0.2" in check.notes[1]
    half = samix.check_policy(samix.create_policy("mixup", p=0.5), loader())
    assert half.passed
    assert "where p is 0.5" in sentence(half, "probability")
    wrong = samix.check_policy(samix.create_policy("mixup", p=0.5), loader(), p=1.0)
    assert [result.name for result in wrong.failures] == ["probability"]


@pytest.mark.parametrize("pairing", ["same", "different", "balanced"])
@pytest.mark.parametrize("make", [samix.BatchMix, samix.mix_collate])
def test_a_transform_that_pairs_by_class(make, pairing):
    check = samix.check_policy(make("cutmix", CLASSES, pairing=pairing), loader())
    assert check.passed, check
    assert verdicts(check)["probability"] not in ("pass", "fail")
    assert "states no p; 0%" not in sentence(check, "probability")
    assert any(f"with pairing '{pairing}'" in note for note in check.notes)


def test_mosaics_whose_cells_differ_by_a_pixel():
    check = samix.check_policy("co-mixup", loader(size=30))
    assert check.passed, check


def test_nan_in_a_photo_is_no_change_in_place():
    images, target = next(iter(loader()))
    images[0, 0, 0, 0] = float("nan")
    check = samix.check_policy("cutmix", [(images, target)])
    assert verdicts(check)["input"] == "pass"


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_classes(classes):
    """Classes repeat among the photos, so that a label tells less, and what it tells is checked."""
    fits = v2.MixUp(num_classes=classes)
    assert samix.check_policy(fits, loader(classes=classes)).passed
    smoothed = Mixup(0.8, 1.0, num_classes=classes, label_smoothing=0.1)
    assert samix.check_policy(smoothed, loader(classes=classes), in_place=True).passed
    if classes > 1:

        def wrong(images, target):
            mixed, soft = inverse_permutation(images, target)
            return mixed, soft[:, :classes]

        assert not samix.check_policy(wrong, loader(classes=classes)).passed


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_photos_of_other_channels(channels):
    for transform in (v2.CutMix(num_classes=CLASSES), mixup, "fmix"):
        check = samix.check_policy(transform, loader(channels=channels))
        assert check.passed, check
        assert verdicts(check)["shares on photos"] == "pass"
    assert not samix.check_policy(BROKEN["box elsewhere"][0], loader(channels=channels)).passed


def test_multi_label_rows():
    images = loader()[0][0]
    rows = (torch.rand(6, 5) < 0.4).float()
    for transform in ("cutmix", Mixup(num_classes=5, multi_label=True, label_smoothing=0.0)):
        check = samix.check_policy(transform, [(images, rows)], in_place=True)
        assert check.passed, check


def test_the_transform_and_the_global_random_states_stay_as_they_are():
    class Counts:
        calls = 0

        def __call__(self, images, target):
            self.calls += 1
            return mixup(images, target)

    counts = Counts()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    states = global_states()
    samix.check_policy(counts, loader())
    assert counts.calls == 0
    assert global_states() == states


def test_the_same_seed_finds_the_same():
    first, again = (samix.check_policy("cutmix", loader(), seed=4) for _ in range(2))
    assert first == again
    assert first != samix.check_policy("cutmix", loader(), seed=5)


def test_a_source_of_its_own_is_named():
    own = np.random.default_rng(0)

    class Wraps:
        def __deepcopy__(self, memo):
            raise TypeError("not to be copied")

        def __call__(self, images, target):
            torch.manual_seed(int(own.integers(1 << 30)))
            return mixup(images, target)

    check = samix.check_policy(Wraps(), loader())
    assert "a source of its own" in sentence(check, "generator")
    assert verdicts(check)["shares on photos"] == "not applicable"
    assert check.passed


def test_text_and_record():
    check = samix.check_policy(BROKEN["lam swapped"][0], loader())
    text = str(check)
    assert "FAIL  shares" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "0.9 to 1.0  #" in text
    record = check.record()
    assert record["passed"] is False
    assert record["checks"]["shares"]["verdict"] == "fail"
    assert sum(record["share_of_original"]["counts"]) == record["share_of_original"]["mixes"]
    assert max(map(len, check.text(60).splitlines())) <= 60


def test_built_in_photos_are_taken_where_none_are_given():
    check = samix.check_policy("cutmix")
    assert check.passed
    assert check.data == "built-in photos"


@pytest.mark.parametrize(
    ("transform", "photos", "words"),
    [
        ("cutmics", None, "the nearest is 'cutmix'"),
        ("mixup", [], "the loader gave 0 photos"),
        ("mixup", [(torch.rand(1, 3, 8, 8), torch.tensor([0]))], "1 photos; a pair needs two"),
        ("mixup", [torch.zeros(4, 3, 8, 8, dtype=torch.uint8)], r"images.float\(\) / 255"),
        ("mixup", [{"image": 1}], "got dict"),
        ("mixup", [(torch.rand(4, 3, 8, 8), torch.rand(4))], "classes as integers"),
        ("mixup", [(torch.rand(4, 3, 8, 8), torch.arange(3))], r"4 images, got \(3,\)"),
        ("mixup", [torch.rand(4, 3, 8, 8), torch.rand(4, 3, 9, 9)], "resize the photos"),
        (v2.MixUp(num_classes=4), loader(), "gives targets of 4 classes, but the data has class 5"),
        (v2.MixUp(num_classes=4), [torch.ones(4, 3, 8, 8)], "all of one grey"),
        (lambda images, target: images, loader(), "should return .*, got Tensor"),
        (lambda images, target: (images, 1), loader(), "two tensors"),
        (lambda images: images, loader(), r"failed on images \(8, 3, 16, 16\).*TypeError"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(transform, photos, words):
    with pytest.raises(InputError, match=words) as caught:
        samix.check_policy(transform, photos)
    assert "\n" not in str(caught.value)


def test_bad_options():
    with pytest.raises(TypeError, match="got int"):
        samix.check_policy(3, loader())
    for p in (-0.1, 1.5, math.nan):
        with pytest.raises(InputError, match=r"p must be a probability in \[0, 1\]"):
            samix.check_policy("mixup", loader(), p=p)
    with pytest.raises(InputError, match="tolerance must be at least 0"):
        samix.check_policy("mixup", loader(), tolerance=-1.0)
