"""Clean images beside the mixed ones: which are shown, by which head, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samix import SelfSupervisedMethod, SupervisedMethod, create_method, mix_targets
from samix.methods import CLEAN_BRANCHES, CleanBranch, find_clean
from samix.networks import classifier_of

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (16, 16, 16, 16)},
}


def make(policy: str = "mixup", **options: Any) -> SupervisedMethod:
    torch.manual_seed(0)
    made = create_method("supervised", num_classes=4, policy=policy, **{**SMALL, **options})
    assert isinstance(made, SupervisedMethod)
    return made


def batch(size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, 3, 16, 16, generator=generator), torch.arange(size) % 4


def test_words_for_it() -> None:
    assert find_clean(None) is None
    assert find_clean(False) is None
    assert find_clean("off") is None
    assert find_clean(True) == find_clean("branch") == CleanBranch()
    assert find_clean({"mode": "share", "fraction": 0.25}) == CleanBranch("share", 0.25)
    assert find_clean(CLEAN_BRANCHES["cheap"]) is CLEAN_BRANCHES["cheap"]


@pytest.mark.parametrize(
    ("policy", "given", "expected"),
    [
        ("samix", None, "cheap"),
        ("automix", None, "cheap"),
        ("samix", "off", None),
        ("samix", False, None),
        ("samix", "half", "half"),
        ("samix-p", None, None),
        ("mixup", None, None),
        ("none", None, None),
    ],
)
def test_where_a_mixer_learns_the_encoder_sees_clean_images_unless_told_otherwise(
    policy: str, given: Any, expected: str | None
) -> None:
    wanted = None if expected is None else CLEAN_BRANCHES[expected]
    assert make(policy, clean_branch=given).clean == wanted


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("brunch", ValueError, "clean_branch: expected one of .*; the nearest is 'branch'"),
        (0, TypeError, "clean_branch: expected True, False, one of off, branch"),
        (3, TypeError, "clean_branch: expected True, False, one of"),
        ({"modus": "share"}, ValueError, "modus: unknown option of clean_branch.*'mode'"),
        ({"mode": "all"}, ValueError, "clean_branch.mode: expected one of branch, share, got"),
        ({"head": "none"}, ValueError, "clean_branch.head: expected one of shared, own, got"),
        ({"look": "clean"}, ValueError, "clean_branch.look: expected one of average, encoder"),
        ({"fraction": 0.0}, ValueError, r"clean_branch.fraction: expected a number in \(0, 1\]"),
        ({"fraction": "half"}, TypeError, "clean_branch.fraction: expected a number, got 'half'"),
        ({"mode": "share", "fraction": 1.0}, ValueError, r"fraction: expected .* in \(0, 1\) with"),
        ({"fraction": 0.5, "look": "encoder"}, ValueError, "look: expected 'average' unless every"),
    ],
)
def test_what_cannot_be_is_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_clean(given)
    with pytest.raises(error, match=message):
        make(clean_branch=given)


@pytest.mark.parametrize(
    ("clean", "size", "wanted"),
    [
        (CleanBranch(), 7, 7),
        (CleanBranch(fraction=0.5), 7, 4),
        (CleanBranch(fraction=0.1), 3, 1),
        (CleanBranch("share", 0.5), 8, 4),
        (CleanBranch("share", 0.9), 2, 1),
        (CleanBranch("share", 0.5), 1, 0),
    ],
)
def test_how_many_are_shown(clean: CleanBranch, size: int, wanted: int) -> None:
    assert clean.count(size) == wanted


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_a_branch_adds_the_loss_of_the_first_images(fraction: float) -> None:
    images, target = batch()
    plain = make().eval()
    both = make(clean_branch={"fraction": fraction}).eval()
    shown = round(8 * fraction)
    clean = F.cross_entropy(both.encoder(images[:shown]), target[:shown])
    step = both(images, target)
    wanted = plain(images, target).loss + clean
    assert step.loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert step.terms["clean"].item() == pytest.approx(clean.item(), abs=1e-5)


@pytest.mark.parametrize("policy", ["mixup", "cutmix", "manifold-mixup", "samix", "recursivemix"])
def test_a_share_leaves_the_last_images_unmixed_in_one_pass(policy: str) -> None:
    """One call of the encoder with the whole batch, and its loss is the mean over the batch."""
    images, target = batch()
    made = make(policy, clean_branch="share").eval()
    seen: list[Tensor] = []
    made.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    step = made(images, target)
    (shown,) = seen
    assert shown.shape == images.shape
    assert torch.equal(shown[4:], images[4:])
    assert step.plan is not None
    assert step.logits is not None
    assert len(step.plan) == len(step.logits) == 4
    assert int(step.plan.index.max()) < 4  # partners are of the mixed part
    soft = mix_targets(target[:4], step.plan, 4)
    mixed = -(soft * step.logits.log_softmax(1)).sum(1)
    clean = F.cross_entropy(made.encoder(images[4:]), target[4:], reduction="none")
    own = step.loss - step.terms.get("mixer", torch.zeros(()))
    assert own.item() == pytest.approx(torch.cat([mixed, clean]).mean().item(), abs=1e-4)


@pytest.mark.parametrize("mode", [{"mode": "branch"}, {"mode": "share", "fraction": 0.5}])
def test_a_head_of_its_own_learns_from_clean_images_alone(mode: dict[str, Any]) -> None:
    images, target = batch()
    made = make(clean_branch={**mode, "head": "own"}, momentum_average=True).eval()
    assert made.clean_head is not None
    shared = classifier_of(made.encoder)
    assert torch.equal(shared.weight, made.clean_head.weight)
    clean, known = (images, target) if mode["mode"] == "branch" else (images[4:], target[4:])
    made.clean_head.weight.data.add_(0.1 * torch.randn(made.clean_head.weight.shape))
    step = made(images, target)
    embedding = made.encoder.forward_head(made.encoder.forward_features(clean), pre_logits=True)
    wanted = F.cross_entropy(made.clean_head(embedding), known)
    assert step.terms["clean"].item() == pytest.approx(wanted.item(), abs=1e-5)
    (gradient,) = torch.autograd.grad(step.loss, made.clean_head.weight, retain_graph=True)
    (alone,) = torch.autograd.grad(wanted, made.clean_head.weight)
    share = 1.0 if mode["mode"] == "branch" else 0.5
    assert torch.allclose(gradient, share * alone, atol=1e-5)
    # mixes are judged by the other one
    other = make(clean_branch=mode).eval()(images, target)
    assert step.terms["encoder"].item() == pytest.approx(other.terms["encoder"].item(), abs=1e-5)
    names = [group["params"] for group in made.parameter_groups(lr=0.1)]
    ids = {id(parameter) for group in names for parameter in group}
    assert id(made.clean_head.weight) in ids


def test_either_head_can_be_exported() -> None:
    images, target = batch()
    made = make(clean_branch="own-head", momentum_average=True, steps=10)
    assert made.clean_head is not None
    optimizer = torch.optim.SGD(made.parameter_groups(lr=0.1))
    for _ in range(2):
        made(images, target).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        made.update_momentum()
    mixed, clean = made.export(), made.export(head="clean")
    assert torch.equal(classifier_of(clean).weight, made.clean_head.weight)
    assert not torch.equal(classifier_of(mixed).weight, classifier_of(clean).weight)
    average = made.export(average=True, head="clean")
    assert made.average_head is not None
    assert torch.equal(classifier_of(average).weight, made.average_head.weight)
    assert not torch.equal(made.average_head.weight, made.clean_head.weight)
    with pytest.raises(ValueError, match="head: expected 'shared' or 'clean', got 'both'"):
        made.export(head="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="head: expected 'shared', since clean images have no"):
        make().export(head="clean")


def test_the_cheap_form_looks_with_the_encoder_and_not_with_the_average() -> None:
    images, target = batch(32)
    averaged = {"teacher_statistics": "averaged"}
    cheap = make("samix", clean_branch="cheap", **averaged).eval()
    plain = make("samix", clean_branch="branch", **averaged).eval()
    assert cheap.average is not None
    looks: list[int] = []
    kept = cheap.average.features
    cheap.average.features = lambda *at: looks.append(1) or kept(*at)  # type: ignore[method-assign,func-returns-value]
    wanted, step = plain(images, target), cheap(images, target)
    assert looks == []
    # in eval mode, before any step, encoder and average say the same
    assert step.plan is not None
    assert wanted.plan is not None
    assert torch.allclose(step.plan.mask, wanted.plan.mask, atol=1e-4)
    # no gradient of the mix's masks reaches the encoder through the features
    made = make("samix", clean_branch={"look": "encoder"})
    for parameter in made.encoder.parameters():
        parameter.requires_grad_(False)
    made(images, target).loss.backward()
    assert all(p.grad is not None for p in made.policy.parameters())  # type: ignore[attr-defined]


def test_a_policy_that_mixes_nothing_has_no_clean_branch() -> None:
    for clean in (True, "share", "own-head"):
        with pytest.raises(ValueError, match="clean_branch: expected None or False with policy"):
            make("none", clean_branch=clean)


def test_after_the_last_mixed_batch_all_are_clean() -> None:
    images, target = batch()
    made = make(clean_branch="own-head", mix_batches=0).eval()
    step = made(images, target)
    assert step.plan is None
    assert step.loss.item() == pytest.approx(
        F.cross_entropy(made.encoder(images), target).item(), abs=1e-6
    )


def moco(**options: Any) -> SelfSupervisedMethod:
    torch.manual_seed(0)
    made = create_method("moco", policy="samix", queue_size=32, **{**SMALL, **options})
    assert isinstance(made, SelfSupervisedMethod)
    return made


def test_without_labels_a_part_of_the_views_is_shown_clean() -> None:
    views = batch(16)[0], batch(16)[0].flip(3)
    whole = moco(clean_branch=True).eval()
    half = moco(clean_branch="half").eval()
    seen: list[int] = []
    half.network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    step, wanted = half(views), whole(views)
    assert seen == [8, 16]
    assert step.terms["encoder"].item() == pytest.approx(wanted.terms["encoder"].item(), abs=1e-5)
    assert step.terms["clean"].item() != pytest.approx(wanted.terms["clean"].item(), abs=1e-5)


def test_without_labels_the_encoder_can_look_as_well() -> None:
    views = batch(16)[0], batch(16)[0].flip(3)
    cheap, plain = moco(clean_branch="cheap").eval(), moco(clean_branch=True).eval()
    step, wanted = cheap(views), plain(views)
    assert step.loss.item() == pytest.approx(wanted.loss.item(), abs=1e-4)
    assert step.plan is not None
    assert wanted.plan is not None
    assert torch.allclose(step.plan.mask, wanted.plan.mask, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("moco", {"clean_branch": "share"}, "clean_branch.mode: expected 'branch' with method"),
        ("moco", {"clean_branch": "own-head"}, "clean_branch.head: expected 'shared' with method"),
        ("moco", {"clean_branch": "cheap", "cross_view": True}, "look: expected 'average' with .*"),
        ("simclr", {"clean_branch": "half"}, "clean_branch.fraction: expected 1.0 with method"),
        ("moco", {"clean_branch": "brunch"}, "clean_branch: expected one of"),
    ],
)
def test_without_labels_what_does_not_fit_is_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        create_method(name, policy="samix", **{**SMALL, **options})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_whole_method_can_be_cast(dtype: torch.dtype) -> None:
    """The Mixer stays in float32; its loss and the encoder's are finite and have gradients."""
    images, target = batch(16)
    made = make("samix", clean_branch=True).to(dtype)
    step = made(images.to(dtype), target)
    step.loss.backward()
    assert torch.isfinite(step.loss)
    assert step.plan is not None
    assert step.plan.mask.dtype == torch.float32
    assert all(p.grad is not None for p in made.policy.parameters())  # type: ignore[attr-defined]
    assert all(torch.isfinite(v) for v in made.signs_of_life(images.to(dtype), target).values())
    assert {p.dtype for p in made.export().parameters()} == {dtype}


@pytest.mark.parametrize("name", ["moco", "simclr", "byol", "mocov3"])
@pytest.mark.parametrize("policy", ["none", "samix"])
def test_a_whole_self_supervised_method_can_be_cast(name: str, policy: str) -> None:
    """The queue of MoCo stays in float32, in which the keys are compared."""
    made = create_method(name, policy=policy, **SMALL).to(torch.bfloat16)
    first = torch.rand(8, 3, 16, 16).bfloat16()
    step = made((first, first.flip(3)))
    step.loss.backward()
    made.update_momentum()
    assert torch.isfinite(step.loss)
    if name == "moco":
        assert made.queue.keys.dtype == torch.float32
