"""Targets in every form that people have, and what is no target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import samix
from samix.mixing import mix_targets

IMAGES = torch.rand(6, 3, 16, 16)
CLASSES = [0, 1, 2, 0, 1, 2]
FORMS = {
    "list": CLASSES,
    "tuple": tuple(CLASSES),
    "numpy": np.array(CLASSES),
    "numpy numbers": [np.int32(number) for number in CLASSES],
    "uint8": np.array(CLASSES, dtype=np.uint8),
    "column": torch.tensor(CLASSES).unsqueeze(1),
    "numpy column": np.array(CLASSES)[:, None],
    "int32": torch.tensor(CLASSES, dtype=torch.int32),
}
WANTED = torch.tensor(CLASSES)


def method(policy: str, **options: object) -> samix.SupervisedMethod:
    small = {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}
    known = {"backbone": "resnet18", "model_kwargs": small, "num_classes": 3}
    return samix.create_method("supervised", policy=policy, **{**known, **options})


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_class_numbers_is_the_same_target(form: str) -> None:
    plan = samix.create_policy("cutmix").plan(IMAGES)
    assert mix_targets(FORMS[form], plan, 3).equal(mix_targets(WANTED, plan, 3))
    mixed = [samix.BatchMix("mixup", np.int64(3))(IMAGES, t) for t in (FORMS[form], WANTED)]
    assert mixed[0][1].equal(mixed[1][1])
    assert mixed[0][1].sum(1).allclose(torch.ones(6))
    learner = method("cutmix")
    state = {k: v.clone() for k, v in learner.state_dict().items() if torch.is_tensor(v)}
    one = learner(IMAGES, FORMS[form]).loss
    learner.load_state_dict({**learner.state_dict(), **state})
    assert one.equal(learner(IMAGES, WANTED).loss)


def test_columns_of_class_numbers_need_their_count() -> None:
    with pytest.raises(ValueError, match="num_classes: expected a number for integer targets"):
        samix.BatchMix("mixup")(IMAGES, FORMS["column"])


@pytest.mark.parametrize("policy", [name for name in samix.POLICIES if name != "samix-p"])
def test_a_photo_without_a_label_is_refused_in_one_sentence_by_every_policy(policy: str) -> None:
    kinds = {"backbone": "vit_tiny_patch16_224", "image_size": 16, "stem": "small"}
    small = {"depth": 1, "embed_dim": 24, "num_heads": 2, "img_size": 16, "patch_size": 4}
    try:
        learner = method(policy)
    except ValueError:
        learner = method(policy, **{**kinds, "model_kwargs": small})
    with pytest.raises(ValueError, match=r"expected classes in \[0, 3\), got -1; .*no label"):
        learner(IMAGES, torch.tensor([0, 1, 2, 0, 1, -1]))


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes: expected at least 2, got 1"):
        method("cutmix", num_classes=1)
    with pytest.raises(ValueError, match="num_classes: expected at least 2, got 1"):
        samix.BatchMix("mixup", 1)(IMAGES, torch.zeros(6, dtype=torch.int64))
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 1))
    plain = samix.SupervisedMethod(own, samix.create_policy("mixup"))
    with pytest.raises(ValueError, match="num_classes: expected at least 2, got 1"):
        plain(IMAGES, torch.zeros(6, dtype=torch.int64))


def test_one_yes_or_no_a_photo_stays_a_row() -> None:
    yes = torch.tensor([[0.0], [1.0]] * 3)
    mix = samix.BatchMix("mixup")
    _, rows = mix(IMAGES, yes)
    assert rows.shape == (6, 1)
    assert ((rows >= 0) & (rows <= 1)).all()


@pytest.mark.parametrize("target", [["a"] * 6, [None] * 6])
def test_what_holds_no_numbers_is_refused(target: list[object]) -> None:
    with pytest.raises(TypeError, match="target: expected numbers"):
        samix.BatchMix("mixup", 3)(IMAGES, target)


def test_whole_numbers_in_rows_are_yes_or_no() -> None:
    with pytest.raises(ValueError, match="expected 0 and 1 in rows"):
        samix.BatchMix("mixup")(IMAGES, torch.tensor([[0, 3]] * 6))


def test_a_reloaded_mix_goes_on_with_fresh_draws() -> None:
    whole, half = (samix.BatchMix("mixup", 3, seed=5) for _ in range(2))
    wanted = [whole(IMAGES, WANTED)[1] for _ in range(4)]
    for _ in range(2):
        half(IMAGES, WANTED)
    again = samix.BatchMix("mixup", 3)
    again.load_state_dict(half.state_dict())
    assert [again(IMAGES, WANTED)[1].equal(rows) for rows in wanted[2:]] == [True, True]
    assert not wanted[2].equal(wanted[0])
    with pytest.raises(ValueError, match="expected seed and step"):
        again.load_state_dict({"step": 3})


def test_ranks_that_are_seeded_alike_collate_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    collate = samix.mix_collate("mixup", 3)
    samples = list(zip(IMAGES, CLASSES, strict=True))
    found = []
    for rank in ("0", "1", "2"):
        monkeypatch.setenv("RANK", rank)
        torch.manual_seed(0)
        found.append(collate(samples)[1])
    assert not found[0].equal(found[1])
    assert not found[1].equal(found[2])
    sent = collate.__getstate__()  # what a worker of rank 2 gets
    monkeypatch.delenv("RANK")
    assert sent["rank"] == 2
    torch.manual_seed(0)
    assert samix.mix_collate("mixup", 3)(samples)[1].equal(found[0])


def test_a_loop_that_forgets_the_momentum_is_told_once(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr("samix.methods.step._FORGOTTEN", 3)
    told = [method("samix"), method("cutmix"), method("samix")]
    for learner in told:
        for step in range(6):
            learner(IMAGES, WANTED)
            if learner is told[2] and step == 1:
                learner.update_momentum()
    said = [str(w.message) for w in recwarn if "update_momentum() was not called" in str(w.message)]
    assert len(said) == 1


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_rows_with_no_share_are_refused(value):
    rows = torch.eye(4)
    rows[1, 2] = value
    with pytest.raises(ValueError, match=r"expected shares from 0 to 1 in rows \(B,K\)"):
        samix.BatchMix("mixup", 4)(torch.rand(4, 3, 8, 8), rows)


def test_images_whose_channels_come_last_are_refused():
    target = torch.arange(4)
    for channels in (1, 3, 4):
        with pytest.raises(ValueError, match="whose channels come last"):
            samix.BatchMix("cutmix", 4)(torch.rand(4, 16, 20, channels), target)
    for size in ((3, 16, 3), (3, 8, 4), (1, 1, 1), (3, 3, 3)):
        assert samix.BatchMix("cutmix", 4)(torch.rand(4, *size), target)[0].shape == (4, *size)
    with pytest.raises(TypeError, match="expected a tensor"):
        samix.BatchMix("cutmix", 4)(np.zeros((4, 3, 8, 8), np.float32), target)


def test_rows_that_were_collated_as_columns_are_refused() -> None:
    rows = [(image, [1.0, 0.0, 0.0, 0.0]) for image in torch.rand(4, 3, 8, 8)]
    with pytest.raises(TypeError, match="expected one tensor, got 4 in a list"):
        samix.mix_collate("mixup", num_classes=4)(rows)


@pytest.mark.parametrize("row", [[50.0, 30.0, 20.0], [2.0, 0.0, 1.0], [0.0, 0.0, 1.5]])
def test_percentages_and_votes_are_no_shares(row: list[float]) -> None:
    target, plan = torch.tensor([row] * 6), samix.create_policy("mixup").plan(IMAGES)
    worst = next(number for number in row if number > 1)
    with pytest.raises(ValueError, match=rf"from 0 to 1 in rows .*got {worst}; divide percent"):
        samix.BatchMix("mixup", 3)(IMAGES, target)
    with pytest.raises(ValueError, match="divide percentages or votes"):
        mix_targets(target, plan)
    assert mix_targets(target / target.sum(1, keepdim=True), plan).sum(1).allclose(torch.ones(6))


def test_a_batch_mix_is_no_collate_fn() -> None:
    pairs = [(image, torch.tensor(0)) for image in IMAGES]
    loader = torch.utils.data.DataLoader(pairs, 2, collate_fn=samix.BatchMix("mixup", 3))
    with pytest.raises(TypeError, match=r"collate_fn=samix.mix_collate"):
        next(iter(loader))


def test_a_gradient_goes_through_a_mix() -> None:
    images = IMAGES.clone().requires_grad_()
    samix.BatchMix("mixup", 3)(images, WANTED)[0].sum().backward()
    assert images.grad is not None
    assert float(images.grad.sum()) == pytest.approx(images.numel(), rel=1e-5)
