from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from samix import (
    MixerOptions,
    SupervisedMethod,
    blend,
    create_method,
    eta_balanced_loss,
    mix_targets,
)
from samix.mixing import step_generator
from samix.networks import tap_features
from samix.objectives import area_loss
from samix.policies import Evidence

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "num_classes": 4,
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}


def make(policy: Any = "samix", **options: Any) -> SupervisedMethod:
    torch.manual_seed(0)
    return create_method("supervised", policy=policy, **{**SMALL, **options})


def batch(size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, 3, 16, 16, generator=generator)
    return images, torch.arange(size) % 4


def touched(method: SupervisedMethod) -> set[str]:
    return {
        name
        for name, parameter in method.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }


def test_a_step_is_the_sum_of_what_the_paper_says() -> None:
    """The step against an independent calculation from the same two plans."""
    method = make(
        eta=0.3, area_weight=0.2, cost="full", teacher_statistics="averaged", clean_branch="off"
    ).eval()
    images, target = batch()
    generator = copy.deepcopy(method.counter).next_generator()
    step = method(images, target)
    assert method.average is not None
    assert method.tap is not None
    evidence = Evidence(features=tap_features(method.average.module, images, method.tap))
    first = method.policy.plan(images, evidence=evidence, generator=generator)
    second = method.policy.plan(images, evidence=evidence, generator=generator)
    logits = method.encoder(blend(images, first))
    encoder = -(mix_targets(target, first, 4) * logits.log_softmax(1)).sum(1).mean()
    judged = method.average(blend(images, second))
    mixer = eta_balanced_loss(judged, target, target[second.index], second.lam, 0.3)
    mixer = mixer + 0.2 * area_loss(second.mask, second.lam, 0.1)
    assert step.loss.item() == pytest.approx((encoder + mixer).item(), abs=1e-4)
    assert not torch.equal(first.lam, second.lam)
    assert step.plan is not None
    assert torch.allclose(step.plan.mask, first.mask, atol=1e-4)
    assert not step.plan.mask.requires_grad


def test_gradients_never_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make(clean_branch=True)
    images, target = batch()
    method(images, target).loss.backward()
    both = touched(method)
    assert not any(name.startswith("average.") for name in both)
    assert any(name.startswith("encoder.") for name in both)
    assert any(name.startswith("policy.mixer.") for name in both)

    # without the Mixer's loss no gradient reaches the Mixer, and the encoder's stays the same
    method = make(clean_branch=True)
    gradients = {}
    for with_mixer in (True, False):
        trial = copy.deepcopy(method)
        if not with_mixer:  # its loss, not the Mixer itself
            monkeypatch.setattr(type(trial.policy), "learns", False)
        trial(images, target).loss.backward()
        gradients[with_mixer] = {
            name: parameter.grad
            for name, parameter in trial.named_parameters()
            if parameter.grad is not None
        }
    assert not any(name.startswith("policy.") for name in gradients[False])
    for name, gradient in gradients[False].items():
        assert torch.allclose(gradient, gradients[True][name], atol=1e-6)  # masks of one pass


def test_at_lam_1_the_loss_is_that_of_unmixed_images() -> None:
    images, target = batch()
    method = make("cutmix", p=0.0).eval()
    wanted = F.cross_entropy(method.encoder(images), target)
    assert method(images, target).loss.item() == pytest.approx(wanted.item(), abs=1e-6)


def test_none_is_plain_training() -> None:
    images, target = batch()
    method = make("none", label_smoothing=0.1).eval()
    wanted = F.cross_entropy(method.encoder(images), target, label_smoothing=0.1)
    assert torch.equal(method(images, target).loss, wanted)
    assert method.average is None


def test_label_smoothing_of_a_mix() -> None:
    images, target = batch()
    method = make("mixup", label_smoothing=0.2).eval()
    step = method(images, target)
    assert step.plan is not None
    assert step.logits is not None
    wanted = F.cross_entropy(step.logits, mix_targets(target, step.plan, 4), label_smoothing=0.2)
    assert step.loss.item() == pytest.approx(wanted.item(), abs=1e-5)


def test_the_clean_branch_adds_the_clean_loss() -> None:
    images, target = batch()
    plain, both = make("mixup").eval(), make("mixup", clean_branch=True).eval()
    clean = F.cross_entropy(both.encoder(images), target)
    wanted = plain(images, target).loss + clean
    assert both(images, target).loss.item() == pytest.approx(wanted.item(), abs=1e-6)


def test_momentum_is_kept_where_it_is_needed_or_wished() -> None:
    assert make("mixup").average is None
    assert make("samix").average is not None
    method = make("mixup", momentum_average=True, steps=10)
    assert method.average is not None
    before = copy.deepcopy(method.average.module.state_dict())
    images, target = batch()
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.1))
    method(images, target).loss.backward()
    optimizer.step()
    method.update_momentum()
    after = method.average.module.state_dict()
    assert not torch.equal(after["conv1.weight"], before["conv1.weight"])
    assert torch.equal(after["conv1.weight"], method.encoder.state_dict()["conv1.weight"])
    make("mixup").update_momentum()  # does nothing


def test_export_is_a_plain_timm_model_and_a_copy() -> None:
    method = make()
    model = method.export()
    assert type(model) is timm.models.ResNet
    assert not model.training
    assert model is not method.encoder
    average = method.export(average=True)
    assert all(parameter.requires_grad for parameter in average.parameters())
    with pytest.raises(ValueError, match="average: expected False, since no momentum average"):
        make("mixup").export(average=True)


@pytest.mark.parametrize("policy", ["cutmix", "samix"])
def test_a_plan_on_its_own_is_that_of_a_step_and_counts_as_none(policy: str) -> None:
    method, (images, target) = make(policy), batch()
    plan = method.plan(images, target, generator=step_generator(0, 0))
    assert method.counter.steps == 0
    step = method(images, target)
    assert step.plan is not None
    assert torch.allclose(step.plan.mask, plan.mask, atol=1e-6)  # of one pass with the Mixer
    assert not plan.mask.requires_grad


def train(method: SupervisedMethod, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        images, target = batch()
        method(images, target).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()


@pytest.mark.parametrize("policy", ["cutmix", "samix"])
def test_four_steps_equal_two_a_checkpoint_and_two(policy: str) -> None:
    def fresh(seed: int = 5) -> tuple[SupervisedMethod, torch.optim.Optimizer]:
        method = make(policy, steps=4, seed=seed)
        return method, torch.optim.SGD(method.parameter_groups(lr=0.1), momentum=0.9)

    whole, optimizer = fresh()
    train(whole, optimizer, 4)
    first, optimizer = fresh()
    train(first, optimizer, 2)
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second, optimizer = fresh(seed=99)
    second.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    train(second, optimizer, 2)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_parameter_groups() -> None:
    method = make()
    groups = {group["name"]: group for group in method.parameter_groups(0.1, weight_decay=0.05)}
    assert set(groups) == {"weights", "biases", "mixer"}
    assert groups["weights"]["weight_decay"] == 0.05
    assert groups["biases"]["weight_decay"] == groups["mixer"]["weight_decay"] == 0.0
    assert groups["mixer"]["lr"] == 0.1
    assert method.parameter_groups(0.1, mixer_lr=0.3)[-1]["lr"] == 0.3
    held = {id(parameter) for group in groups.values() for parameter in group["params"]}
    wanted = {id(parameter) for parameter in method.parameters() if parameter.requires_grad}
    assert held == wanted
    assert [group["name"] for group in make("mixup").parameter_groups(0.1)] == ["weights", "biases"]


def test_an_optimisers_own_weight_decay_reaches_the_weights_alone() -> None:
    groups = torch.optim.SGD(make().parameter_groups(lr=0.1), weight_decay=0.3).param_groups
    assert {group["name"]: group["weight_decay"] for group in groups} == {
        "weights": 0.3,
        "biases": 0.0,
        "mixer": 0.0,
    }


def test_soft_targets_are_refused_with_a_remedy() -> None:
    images, _ = batch()
    with pytest.raises(ValueError, match=r"target: expected \(B,\) class numbers"):
        make()(images, torch.full((6, 4), 0.25))


def test_signs_of_life_do_not_depend_on_alpha_and_p() -> None:
    images, target = batch(12)
    plain, diluted = make(), make(alpha=0.2, p=0.3)
    for name, value in plain.signs_of_life(images, target).items():
        assert torch.equal(value, diluted.signs_of_life(images, target)[name])


@pytest.mark.parametrize("start", ["mixup", "paper"])
def test_signs_of_life_change_nothing(start: Any) -> None:
    method, (images, target) = make(mixer=MixerOptions(start=start)), batch(12)
    state = copy.deepcopy(method.state_dict())
    signs, again = (method.signs_of_life(images, target) for _ in range(2))
    assert set(signs) == {
        "mask_deviation",
        "area_lam_correlation",
        "exchange_correlation",
        "partner_change",
        *(["attention_entropy"] if start == "paper" else []),
        *(
            f"{name}_{term}"
            for name in ("samix", "mixup", "cutmix")
            for term in ("local", "global")
        ),
    }
    assert all(torch.equal(signs[name], again[name]) for name in signs)
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())
    assert make("mixup").signs_of_life(images, target) == {}


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("policy", ["mixup", "samix"])
def test_any_batch(policy: str, size: int) -> None:
    method = make(policy)
    step = method.eval()(*batch(size)) if size == 1 else method(*batch(size))
    assert torch.isfinite(step.loss)


def test_bf16_autocast() -> None:
    method, (images, target) = make(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = method(images, target)
    step.loss.backward()
    assert step.loss.dtype == torch.float32
    assert step.plan is not None
    assert step.plan.mask.dtype == torch.float32
    assert torch.isfinite(step.loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"polcy": "samix"}, "polcy: unknown option of method 'supervised'.*nearest is 'policy'"),
        ({"polcy": "samix"}, r"one of (?!.*\b(\w+), (?:.*, )?\1[,;])"),  # each is named once
        ({"eta": -1.0}, "eta: expected at least 0, got -1.0"),
        ({"steps": 0}, "steps: expected a number of at least 1, got 0"),
        ({"label_smoothing": 1.0}, "label_smoothing: expected"),
        ({"momentum_average": False}, "momentum_average: expected None or True"),
        ({"policy": "none", "clean_branch": True}, "clean_branch: expected None or False"),
        ({"clean_branch": "brnch"}, "clean_branch: expected one of .*; the nearest is 'branch'"),
        ({"clean_branch": {"mode": "both"}}, "clean_branch.mode: expected one of branch, share"),
        ({"clean_branch": {"head": "two"}}, "clean_branch.head: expected one of shared, own"),
        ({"clean_branch": {"part": 1}}, "part: unknown option of clean_branch"),
        ({"teacher_statistics": "old"}, "teacher_statistics: expected one of auto, averaged"),
        ({"policy": "samixx"}, "policy: expected one of .* got 'samixx'; the nearest is 'samix'"),
        ({"policy": "resizemix", "alpha": 1.0}, "alpha: unknown option"),
        ({"tap": 9}, "tap: expected an index"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_method("supervised", **{**SMALL, **options})


def test_method_names_are_checked() -> None:
    with pytest.raises(ValueError, match="got 'supervise'; the nearest is 'supervised'"):
        create_method("supervise", backbone="resnet18")
    with pytest.raises(ValueError, match="backbone: expected"):
        create_method("supervised")


def test_a_policy_object_must_fit_the_tap() -> None:
    from samix import create_policy

    method = make(create_policy("samix", channels=8, alpha=1.5))
    assert method.policy.alpha == 1.5  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="policy: expected a Mixer for the 8 channels at tap 3"):
        make(create_policy("samix", channels=7))
    with pytest.raises(ValueError, match="alpha: unknown option"):
        make(create_policy("samix", channels=8), alpha=1.0)


def test_a_step_that_looks_like_judging_is_told_once(recwarn: pytest.WarningsRecorder) -> None:
    def told() -> list[Any]:  # torch and timm say something where they begin
        return [one for one in recwarn.list if "Judge method." in str(one.message)]

    method = make("mixup").eval()
    method(*batch())  # with gradients it may be meant
    assert not told()
    with torch.inference_mode():
        for _ in range(2):
            method(*batch())
    (one,) = told()
    assert "Judge method.encoder or method.export()" in str(one.message)
    assert one.filename == __file__
