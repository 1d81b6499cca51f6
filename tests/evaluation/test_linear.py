from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from samix.evaluation.linear import (
    STRENGTHS,
    Labelled,
    described,
    fit_linear,
    linear_logits,
    linear_probe,
)


def blobs(count: int, spread: float, seed: int = 0, classes: int = 3) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 8, generator=torch.Generator().manual_seed(99)) * 3
    target = torch.arange(count) % classes
    noise = torch.randn(count, 8, generator=generator) * spread
    return Labelled(centres[target] + noise, target)


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_fit_is_that_of_scikit_learn(strength):
    data = blobs(90, 3.0)
    embedding = data.embedding.double()
    weight, gradient = fit_linear(embedding, data.target, strength, embedding.new_zeros(3, 9))
    other = LogisticRegression(C=1 / (90 * strength), tol=1e-8, max_iter=2000)
    other.fit(embedding.numpy(), data.target.numpy())
    assert gradient < 1e-4
    ours = linear_logits(embedding, weight).softmax(1).numpy()
    np.testing.assert_allclose(ours, other.predict_proba(embedding.numpy()), atol=1e-3)


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
