from __future__ import annotations

import json

import pytest
from PIL import Image

from samix.cli import create_parser, main

SMALL = ["demo:photos_per_class=4,size=16"]
MODULE = """
import torch

def one_hot(target):
    return torch.nn.functional.one_hot(target, 6).float()

def right(images, target):
    lam = 0.7
    return lam * images + (1 - lam) * images.roll(1, 0), lam * one_hot(target) + (
        1 - lam
    ) * one_hot(target).roll(1, 0)

def swapped(images, target):
    mixed, soft = right(images, target)
    return mixed, one_hot(target) + one_hot(target).roll(1, 0) - soft

class Shaky:
    def __init__(self, lam):
        raise ValueError("lam is\\nno number")

class Made:
    def __call__(self, images, target):
        return right(images, target)

def published(x, y, lam=0.5):
    '''As the code published with mixup returns it.'''
    return lam * x + (1 - lam) * x.roll(1, 0), y, y.roll(1, 0), lam

made = Made()
number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("def there(:\n")
    return tmp_path


def run(*words: str) -> int:
    return main(["check-policy", *words])


def test_a_policy_that_holds(here, capsys):
    code = run("cutmix", *SMALL, "--json", "found.json", "--policy-options", "alpha=0.5", "p=0.5")
    assert code == 0
    text = capsys.readouterr().out
    assert "policy cutmix, with photos of demo" in text
    assert "where p is 0.5" in text
    assert "All 12 checks passed." in text
    record = json.loads((here / "found.json").read_text())
    assert record["passed"] is True
    assert record["image_size"] == 16
    assert record["photos"] == 24
    assert "torch" in record["versions"]
    assert list(here.glob("runs*")) == []


def test_a_transform_of_ones_own_that_holds_and_one_that_fails(here, capsys):
    assert run("mine:right", *SMALL) == 0
    assert run("mine:swapped", *SMALL, "--json", "found.json") == 1
    text = capsys.readouterr().out
    assert "FAILED: shares, shares on photos (2 of " in text
    assert "exchanged" in text
    record = json.loads((here / "found.json").read_text())
    assert record["checks"]["shares"]["verdict"] == "fail"


def test_the_form_of_published_code_and_options_of_a_function(here, capsys):
    assert run("mine:published", *SMALL, "--policy-options", "lam=0.25") == 0
    text = capsys.readouterr().out
    assert "mine published, with photos of demo" in text
    assert "every mix has the same share of its original, 0.250" in text


def test_transforms_of_other_libraries(here, capsys):
    assert run("torchvision.transforms.v2:CutMix", *SMALL, "--policy-options", "num_classes=6") == 0
    timm = ["timm.data:Mixup", *SMALL, "--policy-options", "num_classes=6", "mode=elem"]
    assert run(*timm) == 1
    assert run(*timm, "--in-place") == 0
    capsys.readouterr()
    assert run("kornia.augmentation:RandomCutMixV2", *SMALL) == 0
    caught = capsys.readouterr()
    assert caught.err == ""
    assert "labels of kornia" in caught.out


def test_a_flat_folder_without_labels(here, capsys):
    (here / "photos").mkdir()
    for number in range(3):
        photo = Image.effect_noise((20, 16), 60 + number).convert("RGB")
        photo.save(here / "photos" / f"{number}.png")
    assert run("mixup", "photos", "--image-size", "24") == 0
    assert "(2,3,24,24)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["cutmics"], "the nearest is 'cutmix'"),
        (["cutmix", "nowhere"], "no such folder or image set: 'nowhere'"),
        (["cutmix", "--policy-options", "alhpa=1"], "unknown option of policy 'cutmix'"),
        (["cutmix", "--policy-options", "alpha=0"], "expected a number above 0, got 0"),
        (["cutmix", "--p", "2"], "--p must be a probability in [0, 1], got 2.0"),
        (["cutmix", "--p", "nan"], "--p must be a probability"),
        (["cutmix", "--seed", "-1"], "--seed must be at least 0"),
        (["cutmix", "--tolerance", "-1"], "--tolerance must be at least 0"),
        (["cutmix", "--image-size", "4"], "at least 8 px"),
        (["cutmix", "--image-size", "4000"], "at most 1024 px"),
        (["cutmix", *SMALL, "--json", "."], "is a folder; give a file"),
        (["cutmix", *SMALL, "--json", "no/where.json"], "cannot be written"),
        (["nothing:there"], "there is no module 'nothing'"),
        (["mine.deep:there"], "there is no module 'mine.deep'"),
        ([":there"], "'' cannot be imported (ValueError: Empty module name)"),
        (["broken:there"], "'broken' cannot be imported (SyntaxError: "),
        (["mine:rihgt"], "has no 'rihgt'; the nearest is 'right'"),
        (["mine:number"], "is of type int and cannot be called"),
        (["mine:right", "--policy-options", "a=1"], "got an unexpected keyword argument 'a'"),
        (["mine:made", "--policy-options", "a=1"], "is made already, so that it takes none"),
        (["mine:Shaky", "--policy-options", "lam=1"], "lam=1: lam is no number"),
        (["mine:Shaky"], "missing 1 required positional argument"),
        (
            ["torchvision.transforms.v2:MixUp", *SMALL, "--policy-options", "num_classes=4"],
            "targets of 4 classes, but the data has class 5",
        ),
        (["torchvision.transforms.v2:MixUp", *SMALL], "num_classes must be passed"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, sentence, here, capsys):
    assert run(*words) == 2
    text = capsys.readouterr().err
    assert sentence in text
    assert text.count("\n") == 1


def test_help_explains_and_every_option_has_words(capsys):
    with pytest.raises(SystemExit):
        main(["check-policy", "--help"])
    text = capsys.readouterr().out
    for word in ("module:name", "exit code", "samix check-policy cutmix", "--in-place"):
        assert word in text
    parser = create_parser()._subparsers._group_actions[0].choices["check-policy"]
    assert all(action.help for action in parser._actions)
