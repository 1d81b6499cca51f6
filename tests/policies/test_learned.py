from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from samix import (
    LearnedPolicy,
    MixerOptions,
    MixPlan,
    SupervisedMethod,
    blend,
    create_method,
    create_policy,
)
from samix.networks import tap_features
from samix.objectives import mix_likeness
from samix.policies import MIXER_OPTIONS, Evidence

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "num_classes": 4,
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}


def make(policy: str, **options: Any) -> SupervisedMethod:
    torch.manual_seed(0)
    made = create_method("supervised", policy=policy, **SMALL, **options)
    assert isinstance(made, SupervisedMethod)
    return made.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(6, 3, 16, 16), torch.arange(6) % 4


def test_the_mixers_have_the_form_of_their_papers() -> None:
    for name in ("automix", "adautomix"):
        policy = create_policy(name, channels=6)
        assert isinstance(policy, LearnedPolicy)
        assert policy.mixer.options == MIXER_OPTIONS[name]
        assert len(policy.mixer.value) == 1  # linear
    paper = create_policy("automix", channels=6, mixer=MixerOptions(start="paper", value="linear"))
    assert isinstance(paper, LearnedPolicy)
    assert paper.mixer.query.weight.std() < 0.02
    margin = create_policy("automix", channels=6, lam_margin=0.2)
    assert isinstance(margin, LearnedPolicy)
    assert margin.mixer.options.lam_margin == 0.2
    assert margin.mixer.options.value == "linear"


def mixer_loss(policy: str, turn: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The Mixer's loss in a step, and its cross-entropy and likeness by hand."""
    made, (images, target) = make(policy, cost="full", teacher_statistics="averaged"), batch()
    for _ in range(turn):
        made(images, target)
    generator = copy.deepcopy(made.counter).next_generator()
    found = made(images, target).terms["mixer"]
    assert made.average is not None
    assert made.tap is not None
    evidence = Evidence(features=tap_features(made.average.module, images, made.tap))
    made.policy.plan(images, evidence=evidence, generator=generator)  # the encoder's
    plan = made.policy.plan(images, evidence=evidence, generator=generator)
    logits, clean = made.average(blend(images, plan)), made.average(images)
    own = F.cross_entropy(logits, target, reduction="none")
    other = F.cross_entropy(logits, target[plan.index], reduction="none")
    entropy = (plan.lam * own + (1 - plan.lam) * other).mean()
    like = torch.zeros(())
    for i in range(6):
        for k, share in ((i, plan.lam[i]), (int(plan.index[i]), 1 - plan.lam[i])):
            cosine = logits[i] @ clean[k] / (logits[i].norm() * clean[k].norm())
            like = like + share * cosine / 6
    return found, entropy, like


def test_automix_learns_from_the_global_term_alone() -> None:
    for turn in range(2):
        found, entropy, _ = mixer_loss("automix", turn)
        assert found.item() == pytest.approx(entropy.item(), abs=1e-4)


def test_adautomix_makes_its_mixes_easier_and_harder_in_turn() -> None:
    found, entropy, _ = mixer_loss("adautomix", 0)
    assert found.item() == pytest.approx(entropy.item(), abs=1e-4)
    found, entropy, like = mixer_loss("adautomix", 1)
    assert found.item() == pytest.approx((-0.3 * entropy - 0.7 * like).item(), abs=1e-4)


def test_likeness_of_a_mix_with_itself_is_one() -> None:
    logits, lam = torch.randn(4, 5), torch.rand(4)
    same = torch.arange(4)
    assert mix_likeness(logits, 3 * logits, same, lam).item() == pytest.approx(1.0, abs=1e-6)
    assert mix_likeness(-logits, logits, same, lam).item() == pytest.approx(-1.0, abs=1e-6)


@pytest.mark.parametrize("policy", ["automix", "adautomix"])
def test_gradients_reach_the_mixer_and_no_momentum_encoder(policy: str) -> None:
    made, (images, target) = make(policy), batch()
    for _ in range(2):
        made.zero_grad()
        made(images, target).loss.backward()
        moved = {n for n, p in made.named_parameters() if p.grad is not None and p.grad.any()}
        assert any(name.startswith("policy.mixer") for name in moved)
        assert not any(name.startswith("average") for name in moved)


def test_what_is_missed_is_named() -> None:
    for name in ("samix", "automix", "adautomix"):
        with pytest.raises(ValueError, match=f"channels: policy '{name}' expected the channels"):
            create_policy(name)


def test_a_rule_of_ones_own_makes_both_mixes_of_a_step() -> None:
    """The short way to both masks is that of the rule that is built in."""

    class Halves(LearnedPolicy):
        def rule(self, images: Any, index: Any, generator: Any, evidence: Any) -> MixPlan:
            half = torch.full((len(images),), 0.5)
            return MixPlan(half, index, torch.full((len(images), 1, 16, 16), 0.5), half)

    policy = Halves(create_policy("samix", channels=8).mixer)
    images, target = batch()
    both = policy.plan_both(
        images, 4, target=target, evidence=Evidence(torch.randn(6, 8, 4, 4)),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert [len(plan) for plan in both] == [6, 4]
    assert all((plan.mask == 0.5).all() for plan in both)
