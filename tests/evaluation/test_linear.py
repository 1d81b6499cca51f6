from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from samix.errors import InputError
from samix.evaluation.linear import STRENGTHS, Labelled, described, linear_probe, regressions


def blobs(count: int, spread: float, seed: int = 0, classes: int = 3) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 8, generator=torch.Generator().manual_seed(99)) * 3
    target = torch.arange(count) % classes
    noise = torch.randn(count, 8, generator=generator) * spread
    return Labelled(centres[target] + noise, target)


@pytest.mark.parametrize("strength", [1.0, 0.01])
@pytest.mark.parametrize("count", [90, 6])  # more photos than dimensions, and fewer
def test_the_fit_has_the_lowest_loss(strength, count):
    data = blobs(count, 3.0)
    (head,) = regressions(data, 3, [strength])
    wide = data.embedding.double()
    mean, deviation = wide.mean(0), wide.std(0, correction=0)

    def gradient_of_loss(weight, bias):
        fit = F.cross_entropy((wide - mean) / deviation @ weight.T + bias, data.target)
        return torch.autograd.grad(fit + strength / 2 * weight.square().sum(), [weight, bias])

    weight = (head.weight * deviation).requires_grad_()
    bias = (head.bias + head.weight @ mean).requires_grad_()
    assert all(part.abs().max() < 2e-4 for part in gradient_of_loss(weight, bias))


def test_one_class_is_refused():
    one = Labelled(torch.randn(4, 8), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(InputError, match="at least 2 classes, got 1"):
        linear_probe(one, one, one, 2)


def test_separable_data_are_separated():
    found = linear_probe(blobs(60, 0.1, 0), blobs(30, 0.1, 1), blobs(30, 0.1, 2), 3)
    assert found.accuracy == found.balanced_accuracy == 1.0
    assert found.recall == (1.0, 1.0, 1.0)


def test_strength_is_chosen_on_validation_alone():
    train, test = blobs(30, 6.0, 0), blobs(300, 6.0, 2)
    found = linear_probe(train, blobs(300, 6.0, 1), test, 3)
    assert found.strength in STRENGTHS
    wrong = Labelled(test.embedding, (test.target + 1) % 3)
    again = linear_probe(train, blobs(300, 6.0, 1), wrong, 3)
    assert again.strength == found.strength
    assert found.val_balanced_accuracy > 0.4


def test_scale_and_constant_dimensions_do_not_matter():
    parts = [blobs(60, 3.0, seed) for seed in range(3)]
    plain = linear_probe(*parts, 3)
    factor = torch.tensor([1e-3, 1e3, 1, 1, 1, 1, 1, 1.0])
    scaled = [Labelled(p.embedding * factor + 5, p.target) for p in parts]
    wider = [Labelled(torch.cat([p.embedding, torch.ones(60, 2)], 1), p.target) for p in scaled]
    found = linear_probe(*wider, 3)
    assert found.accuracy == pytest.approx(plain.accuracy, abs=0.02)


def test_one_photo_a_class_is_enough_and_an_absent_class_has_no_recall():
    test = Labelled(blobs(2, 0.1, 2).embedding, torch.tensor([0, 1]))
    found = linear_probe(blobs(3, 0.1, 0), blobs(3, 0.1, 1), test, 3)
    assert found.recall == (1.0, 1.0, None)
    assert described(found, ("a", "b", "c"))["recall"] == {"a": 1.0, "b": 1.0, "c": None}
