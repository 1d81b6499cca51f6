from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from samix.errors import InputError
from samix.explain.pairs import choose_pairs, mix_at
from samix.explain.subject import RunPhotos
from samix.policies import create_policy

from .conftest import plain_set

FIRST, SECOND = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16)
NAMES = ["mixup", "cutmix", "mixup-cutmix", "resizemix", "samix-p", "samix"]


@pytest.fixture
def mixing(opened):
    """A subject with a policy."""
    subject, _ = opened("samix")

    def make(name):
        return subject if name == "samix" else replace(subject, policy=create_policy(name))

    return make


def check_ends(subject):
    """At lam 1 and 0 the mixes are the photos themselves."""
    for lam, wanted in ((1.0, FIRST), (0.0, SECOND)):
        images, plan, shown = mix_at(subject, FIRST, SECOND, lam, seed=0)
        torch.testing.assert_close(shown, wanted)
        torch.testing.assert_close(images, subject.look(wanted))
        assert plan.weight.tolist() == [lam] * 3


@pytest.mark.parametrize("name", NAMES)
def test_ends_are_the_photos_and_area_follows_lam(mixing, name):
    subject = mixing(name)
    check_ends(subject)
    _, plan, _ = mix_at(subject, FIRST, SECOND, torch.tensor([0.2, 0.5, 0.8]), seed=0)
    assert torch.allclose(plan.area, plan.lam, atol=0.13)  # boxes have whole pixels


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_does_not_depend_on_its_number_of_neighbours_or_chance(mixing, name):
    subject = mixing(name)
    whole = mix_at(subject, FIRST, SECOND, 0.4, seed=3)[2]
    alone = mix_at(subject, FIRST[:1], SECOND[:1], 0.4, seed=3)[2]
    torch.testing.assert_close(whole[:1], alone)
    assert mix_at(subject, FIRST, SECOND, 0.4, seed=3)[2].equal(whole)


DRAWN = [
    "fmix",
    "gridmix",
    "maskmix",
    "saliencymix",
    "transmix",
    "puzzlemix",
    "snapmix",
]


@pytest.mark.parametrize("name", DRAWN)
def test_other_policies_draw_their_own_mixes_of_a_pair_at_the_given_lam(mixing, name):
    subject = mixing(name)
    check_ends(subject)
    _, plan, whole = mix_at(subject, FIRST, SECOND, torch.tensor([0.2, 0.5, 0.8]), seed=3)
    torch.testing.assert_close(plan.lam, torch.tensor([0.2, 0.5, 0.8]))
    alone = mix_at(subject, FIRST[:1], SECOND[:1], 0.2, seed=3)[2]
    torch.testing.assert_close(whole[:1], alone)
    areas = [mix_at(subject, FIRST, SECOND, lam, seed=3)[1].area.mean() for lam in (0.2, 0.8)]
    assert areas[0] < areas[1]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("manifold-mixup", "inside the network"),
        ("recursivemix", "more than two photos"),
        ("co-mixup", "more than two photos"),
        ("guidedmixup", "finds lam by itself"),
        ("smoothmix", "finds lam by itself"),
    ],
)
def test_what_is_no_mix_of_two_photos_at_a_given_lam_is_refused(mixing, name, why):
    with pytest.raises(InputError, match=rf"'{name}' cannot be drawn .*{why}"):
        mix_at(mixing(name), FIRST, SECOND, 0.5, seed=0)


def test_a_box_moves_with_the_seed_alone(mixing):
    subject = mixing("cutmix")
    masks = [mix_at(subject, FIRST, SECOND, 0.5, seed=s)[1].mask for s in (0, 1)]
    assert not masks[0].equal(masks[1])


def set_of(targets):
    images = plain_set(len(targets))
    return RunPhotos(images, ("a", "b", "c"), tuple(targets), {}, 16, ())


def test_pairs_are_of_different_classes_and_take_turns():
    photos = set_of([0, 1, 2] * 6)
    pairs = choose_pairs(photos, range(18), 6, seed=0)
    classes = [tuple(photos.targets[i] for i in pair) for pair in pairs]
    assert sorted(classes) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert len({i for pair in pairs for i in pair}) == 12
    assert choose_pairs(photos, range(18), 6, seed=0) == pairs
    assert choose_pairs(photos, range(18), 6, seed=1) != pairs


def test_pairs_where_there_are_few_photos_or_one_class():
    assert all(a != b for a, b in choose_pairs(set_of([-1] * 2), range(2), 5, seed=0))
    assert all(a != b for a, b in choose_pairs(set_of([-1] * 5), range(5), 9, seed=0))
    assert len(choose_pairs(set_of([0, 1]), range(2), 5, seed=0)) == 5
