from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from samix.evaluation import evaluate_classifiers
from samix.evaluation.metrics import areas_under_curve


class Table(nn.Module):
    """Looks logits up: image i is the constant i."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits
        self.modes: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training)
        return self.logits[images[:, 0, 0, 0].long()]


def batches(target: torch.Tensor, size: int):
    images = torch.arange(len(target)).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return list(zip(images.split(size), target.split(size), strict=True))


def judge(logits, target, names="abc", size=4):
    judged = evaluate_classifiers({"encoder": Table(logits)}, batches(target, size), tuple(names))
    return judged["encoder"]


def slow_metrics(logits, target, classes):
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    predicted = p.argmax(1)
    recall = [np.mean(predicted[target == k] == k) for k in range(classes) if (target == k).any()]
    nll = -np.mean(np.log(p[np.arange(len(target)), target]))
    ece = 0.0
    for low in np.arange(15) / 15:
        inside = (p.max(1) > low) & (p.max(1) <= low + 1 / 15)
        if inside.any():
            gap = np.mean(predicted[inside] == target[inside]) - p.max(1)[inside].mean()
            ece += inside.mean() * abs(gap)
    return np.mean(predicted == target), np.mean(recall), nll, ece


@pytest.mark.parametrize("size", [1, 7, 64])
def test_equals_slow_formulas_whatever_the_batches(size):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(64, 5)) * 2, rng.integers(0, 4, 64)
    found = judge(torch.tensor(logits).float(), torch.tensor(target), "abcde", size)
    wanted = slow_metrics(logits, target, 5)
    values = (found.top1, found.balanced_accuracy, found.nll, found.ece)
    assert values == pytest.approx(wanted, abs=1e-5)
    assert found.photos == 64
    assert found.recall["e"] is None  # class 4 does not occur


def test_balanced_accuracy_counts_classes_not_photos():
    target = torch.tensor([0] * 9 + [1])
    found = judge(torch.tensor([[5.0, 0.0, 0.0]]).expand(10, 3), target)
    assert found.top1 == pytest.approx(0.9)
    assert found.balanced_accuracy == pytest.approx(0.5)
    assert found.recall == {"a": 1.0, "b": 0.0, "c": None}


def test_logits_between_zero_and_one_are_not_taken_for_probabilities():
    found = judge(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0]), "ab")
    confidence = 1 / (1 + math.exp(-1))
    assert found.ece == pytest.approx(1 - confidence, abs=1e-5)


def test_networks_are_in_eval_mode_and_back():
    table = Table(torch.eye(3))
    evaluate_classifiers({"encoder": table}, batches(torch.tensor([0, 1, 2]), 2), "abc")
    assert table.modes == [False, False]
    assert table.training


def test_nothing_to_judge_is_an_error():
    with pytest.raises(ValueError, match="at least one photo"):
        evaluate_classifiers({"encoder": nn.Identity()}, [], ("a", "b"))


def test_result_goes_into_a_file():
    values = judge(torch.eye(3), torch.tensor([0, 1, 2])).to_dict()
    assert values["top1"] == 1.0
    assert list(values["recall"]) == ["a", "b", "c"]


def test_auc_is_the_share_of_pairs_in_the_right_order():
    generator = torch.Generator().manual_seed(0)
    said = torch.rand(60, 3, generator=generator).mul(9).round().div(9)  # with ties
    target = torch.randint(0, 2, (60,), generator=generator)
    areas = areas_under_curve(said, target, ("a", "b", "absent"))
    for number, name in enumerate(("a", "b")):
        own, other = said[target == number, number], said[target != number, number]
        pairs = own[:, None] - other[None]
        right = (pairs > 0).float() + 0.5 * (pairs == 0).float()
        assert areas[name] == pytest.approx(float(right.mean()), abs=1e-6)
    assert areas["absent"] is None
    assert areas_under_curve(said, torch.zeros(60).long(), ("a", "b", "c"))["a"] is None
