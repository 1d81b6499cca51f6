"""A policy of the user's own, by module:name, in every command; the code is that of the page."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

import samix
from samix.cli import main
from samix.errors import InputError
from samix.policies.own import _INHERITED, forget_own, inherit_own, is_own, register_own
from samix.study.cells import PocFolder, write_study
from samix.study.subjects import _ADMITTED
from tests.study.tiny import tiny_study

PAGE = Path(__file__).parents[2] / "docs" / "own_policy.md"
DATA = "demo:photos_per_class=8,size=16"
TINY = [
    "--epochs", "1", "--backbone", "resnet18", "--stem", "small", "--image-size", "16",
    "--model-kwargs", "layers=[1,1,1,1]", "channels=[8,8,8,8]", "--device", "cpu",
    "--batch-size", "16",
]  # fmt: skip
OTHERS = """
import samix
from stripe import stripe

made = samix.Policy("made", stripe, p=0.5)

def factory(p=0.25):
    return samix.Policy("factory", stripe, p=p)

class Kind(samix.Policy):
    def __init__(self, p=0.75):
        super().__init__("kind", stripe, p=p)

def transform(images, target):
    return images, target

number = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with the file of the page, and names that are gone afterwards."""
    (block, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for line in block.split("\n\n\n")[1].splitlines() if line]
    assert len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(_INHERITED, "")
    (tmp_path / "stripe.py").write_text(block)
    (tmp_path / "others.py").write_text(OTHERS)
    known = set(samix.POLICIES)
    yield tmp_path
    for name in set(samix.POLICIES) - known:
        forget_own(name)
    _ADMITTED.clear()
    for module in ("stripe", "others"):
        sys.modules.pop(module, None)


@pytest.mark.slow
def test_the_page_works_in_every_command(here, capsys, monkeypatch):
    own = "stripe:stripe"
    assert main(["check-policy", own, DATA]) == 0
    assert "All 12 checks passed." in capsys.readouterr().out
    assert (
        main(["preview", DATA, "--policy", f"mixup,{own}", "--pairs", "2", "--output", "look"]) == 0
    )
    shown = json.loads(Path("look/preview.json").read_text())
    assert list(shown["policies"]) == ["mixup", own]
    chosen = ["--policy", own, "--policy-options", "alpha=0.5", "p=0.8"]
    assert main(["train", DATA, *TINY, *chosen]) == 0
    (run,) = Path("runs").iterdir()
    assert run.name == "demo-photos-per-class-8-size-16-stripe-stripe"
    config = yaml.safe_load((run / "config.yaml").read_text())["config"]
    assert (config["policy"], config["policy_options"]) == (own, {"alpha": 0.5, "p": 0.8})
    for name, number in (("_DRAWN", 64), ("_MEASURED", 8), ("_DRAWS", 1), ("_ROUTES", 2)):
        monkeypatch.setattr(import_module("samix.explain.explain"), name, number)
    words = ["--policy", own, "--pairs", "2", "--photos", "1", "--output", "seen"]
    assert main(["explain", str(run), *words]) == 0
    assert json.loads(Path("seen/explain.json").read_text())["run"]["policy"] == own
    study = tiny_study(here / "poc", policies=("none", "stripe"), epochs=1)
    study["plan"]["sources"] = {"stripe": own}
    write_study(PocFolder(here / "poc"), study)
    capsys.readouterr()
    assert main(["poc", "--resume", "--output", "poc", "--policies", own, "--workers", "1"]) == 0
    cells = sorted(path.name for path in Path("poc/cells/supervised").iterdir())
    assert [name for name in cells if name.startswith("stripe-")]
    assert "stripe" in Path("poc/report.html").read_text()


def test_a_name_that_a_file_says_is_not_imported(here):
    with pytest.raises(ValueError, match="imported only where the command names it"):
        samix.create_policy("stripe:stripe")
    assert "stripe" not in sys.modules


def test_rules_policies_and_what_makes_them(here):
    images = torch.rand(64, 3, 4, 8)
    for name, p in (("made", 0.5), ("factory", 0.25), ("Kind", 0.75)):
        register_own(f"others:{name}")
        policy = samix.create_policy(f"others:{name}")
        assert policy.p == p
        assert policy is not samix.create_policy(f"others:{name}")
    register_own("stripe:stripe")
    assert samix.policies.policy_options("stripe:stripe") == ("p", "alpha")
    policy = samix.create_policy("stripe:stripe", alpha=0.2, p=0.5)
    plan = policy.plan(images, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plan.weight, plan.area)
    clean = float((plan.weight == 1).float().mean())
    assert 0.4 < clean < 0.85  # p and a small alpha
    with pytest.raises(ValueError, match="the nearest is 'alpha'"):
        samix.create_policy("stripe:stripe", alhpa=1.0)
    about = samix.policies.about_policy("stripe:stripe")
    assert about.card.sentence == "The original is shown on the left, the partner on the right."


def test_children_know_what_their_parent_registered(here):
    register_own("stripe:stripe")
    for known in (samix.POLICIES, samix.policies.policy.CARDS):
        known.pop("stripe:stripe")
    inherit_own()
    assert samix.create_policy("stripe:stripe").name == "stripe:stripe"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("others:transform", "others:transform is no policy: expected a rule"),
        ("others:number", "is no policy"),
        ("others:mode", "has no 'mode'; the nearest is 'made'"),
        ("nowhere:name", "there is no module 'nowhere'"),
    ],
)
def test_what_is_no_policy_is_refused(name, words, here, capsys):
    assert main(["train", DATA, "--policy", name]) == 2
    text = capsys.readouterr().err
    assert words in text
    assert text.count("\n") == 1
    with pytest.raises(InputError, match=words.split(";")[0]):
        register_own(name)


def test_a_folder_is_no_module(here):
    (here / "a:b").mkdir()
    assert not is_own("a:b")
    assert is_own("a.b:c.d")
    for name in ("cutmix", "a:b:c", "1:2", "a/b:c", ":c", "a:", None):
        assert not is_own(name)
