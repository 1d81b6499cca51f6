from __future__ import annotations

import pytest
import torch

import samix
from samix.mixing import constant_mask
from samix.policies import about_policy, policy, policy_options


@pytest.mark.parametrize("name", list(samix.POLICIES))
def test_every_policy_says_what_it_is_and_where_it_comes_from(name):
    facts = about_policy(name)
    assert facts.name == name
    assert 3 < len(facts.card.sentence.split()) < 40
    assert set(facts.options) == set(policy_options(name)) - {"channels"}
    assert "`" not in f"{facts.card.sentence}{facts.card.source}{facts.card.notes}{facts.meaning}"
    if facts.traits.mixes:
        # a paper, or authors, title and place
        assert facts.paper or len(facts.card.source.split()) > 8, facts
        assert facts.cost != "nothing"
    else:
        assert facts.card.source == ""
    for option in facts.options:
        if option in facts.meaning:
            assert len(facts.meaning[option].split()) > 3
    assert (facts.needs == "nothing but the images") is facts.where.startswith("everywhere")


def test_words_follow_from_what_a_policy_declares():
    cutmix, learned, control = (about_policy(name) for name in ("cutmix", "samix", "none"))
    assert cutmix.paper == "https://arxiv.org/abs/1905.04899"
    assert cutmix.options == {"alpha": 1.0, "p": 1.0}
    assert cutmix.meaning["p"] == "Probability that a sample is mixed, in [0, 1]."
    assert cutmix.needs == "nothing but the images"
    assert learned.needs == "the features of a network"
    assert "Mixer" in learned.cost
    assert "inside a method" in learned.where
    assert control.cost == "nothing"
    assert about_policy("samix-p").cost.startswith("a forward pass of its own frozen network")


def test_a_policy_is_known_by_name_once_its_file_is_imported():
    """All that it takes: a rule, and a function under its card."""

    def rule(images, index, generator):
        half = torch.full((len(images),), 0.5)
        return samix.MixPlan(half, index, constant_mask(half, images.shape[2:]), half)

    try:
        card = policy.PolicyCard("Half of both images.", source="arXiv 1710.09412")

        @policy.register("half", card)
        def half(p: float = 1.0) -> samix.Policy:
            return samix.Policy("half", rule, p=p)

        assert half.__doc__ == card.sentence
        images = torch.rand(4, 3, 8, 8)
        plan = samix.create_policy("half").plan(images)
        assert torch.allclose(samix.blend(images, plan), (images + images[plan.index]) / 2)
        facts = about_policy("half")
        assert (facts.card, facts.options) == (card, {"p": 1.0})
        assert facts.paper == "https://arxiv.org/abs/1710.09412"
        assert samix.check_policy("half").passed
        with pytest.raises(ValueError, match="one that no policy has yet, got 'half'"):
            policy.register("half", card)
    finally:
        policy.POLICIES.pop("half", None)
        policy.CARDS.pop("half", None)
