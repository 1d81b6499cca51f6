from __future__ import annotations

import torch

import samix
from samix.checking import mix_time, policy_of


def test_times_are_multiples_of_a_copy():
    images = torch.rand(8, 3, 32, 32)
    found = mix_time(policy_of("cutmix"), images, repeats=3)
    assert found.seconds > 0
    assert found.copies > 1


def test_what_a_network_knows_is_given():
    for name in samix.POLICIES:
        assert mix_time(policy_of(name), torch.rand(4, 3, 16, 16), repeats=1).seconds > 0
