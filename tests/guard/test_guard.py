"""The guard: what it repairs, in which order, and that it says so."""

import pytest
import torch

import samix
from samix.guard import OUTCOMES, create_guard
from samix.mixing import MixPlan, area_of, box_mask, spectral_residual, step_generator

SIZE, BATCH = 16, 32


def images_with_spots(seed=0):
    """Dark images with one bright spot each, and where it is."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(2, SIZE - 2, (BATCH, 2), generator=generator)
    images = torch.zeros(BATCH, 3, SIZE, SIZE)
    saliency = torch.zeros(BATCH, 1, SIZE, SIZE)
    for i, (row, column) in enumerate(places.tolist()):
        images[i, :, row : row + 2, column : column + 2] = 1.0
        saliency[i, 0, row : row + 2, column : column + 2] = 0.25
    return images, saliency


def guarded(policy, images, saliency, options=None, **more):
    guard = create_guard({"share": 0.5, "saliency": "given", **(options or {})})
    generator = step_generator(0, 0)
    plan = policy.plan(images, generator=generator)
    redraw = lambda index: policy.plan(images, index=index, generator=generator)  # noqa: E731
    kept, record = guard(
        images,
        plan,
        redraw=redraw,
        evidence=samix.Evidence(saliency=saliency),
        generator=generator,
        **more,
    )
    return guard, plan, kept, record


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mixup-cutmix", "resizemix"])
def test_what_comes_out_breaks_no_rule(name):
    images, saliency = images_with_spots()
    guard, plan, kept, record = guarded(samix.create_policy(name), images, saliency)
    evidence = samix.Evidence(saliency=saliency)
    before = guard.verdicts(images, plan, evidence=evidence)["visibility"]
    after = guard.verdicts(images, kept, evidence=evidence)["visibility"]
    assert after.passed.all()
    assert torch.equal(record.broken > 0, ~before.passed)
    assert torch.equal(record.repair > 0, ~before.passed)
    untouched = before.passed
    assert torch.equal(kept.mask[untouched], plan.mask[untouched])
    assert torch.equal(kept.index[untouched], plan.index[untouched])
    assert torch.equal(kept.weight[untouched], plan.weight[untouched])
    if name == "mixup":
        assert untouched.all()
    else:
        assert not untouched.all()


@pytest.mark.parametrize("way", ["partner", "mask", "label", "mixup", "clean"])
def test_each_way_repairs_by_itself_and_is_recorded(way):
    images, saliency = images_with_spots()
    ways = [way] if way == "clean" else [way, "clean"]
    _, plan, kept, record = guarded(
        samix.create_policy("cutmix"), images, saliency, {"repair": ways, "tries": 8}
    )
    here = record.repair == OUTCOMES.index(way)
    assert here.any()
    if way == "partner":
        assert (kept.index[here] != plan.index[here]).any()
    if way == "mask":
        assert torch.equal(kept.index[here], plan.index[here])
        assert (kept.mask[here] != plan.mask[here]).flatten(1).any(1).all()
    if way == "label":
        assert torch.equal(kept.mask[here], plan.mask[here])
        assert (kept.weight[here] != plan.weight[here]).all()
    if way == "mixup":
        flat = kept.mask[here].flatten(1)
        assert torch.equal(flat.amin(1), flat.amax(1))
        torch.testing.assert_close(kept.weight[here], plan.weight[here])
    if way == "clean":
        assert (kept.weight[here] == 1).all()
        assert (kept.mask[here] == 1).all()


def test_ways_are_tried_in_the_order_that_was_given():
    images, saliency = images_with_spots()
    policy = samix.create_policy("cutmix")
    _, _, _, first = guarded(policy, images, saliency, {"repair": ["mixup", "partner", "clean"]})
    outcomes = set(first.repair.tolist())
    assert outcomes == {OUTCOMES.index("accepted"), OUTCOMES.index("mixup")}


def test_the_label_follows_the_content_that_is_seen():
    mask = box_mask(torch.tensor([[0, 0, 8, 16], [0, 0, 8, 16]]), (SIZE, SIZE))
    area = area_of(mask)
    plan = MixPlan(area, torch.tensor([1, 0]), mask, area)
    saliency = torch.zeros(2, 1, SIZE, SIZE)
    saliency[0, 0, 2], saliency[1, 0, 12] = 1.0, 1.0  # upper half; lower half
    guard = create_guard({"saliency": "given", "repair": ["label", "clean"], "share": 0.5})
    kept, record = guard(
        torch.rand(2, 3, SIZE, SIZE), plan, evidence=samix.Evidence(saliency=saliency)
    )
    # sample 0 shows neither content and stays as it is; sample 1 shows both of them
    assert record.repair.tolist() == [OUTCOMES.index("clean"), 0]
    saliency[0, 0, 12] = 1.0  # half of the content of image 0 is below, where it is seen
    kept, record = guard(
        torch.rand(2, 3, SIZE, SIZE), plan, evidence=samix.Evidence(saliency=saliency)
    )
    assert record.repair[0] == OUTCOMES.index("label")
    torch.testing.assert_close(kept.weight[0], torch.tensor(1.0))  # the partner is not seen at all


def test_provenance_holds_after_every_repair():
    images = torch.arange(BATCH).float().view(-1, 1, 1, 1).expand(-1, 3, SIZE, SIZE)
    _, saliency = images_with_spots()
    for name in ("cutmix", "mixup-cutmix"):
        policy = samix.create_policy(name)
        _, _, kept, _ = guarded(policy, images, saliency, {"repair": ["partner", "mixup", "clean"]})
        mixed = samix.blend(images, kept)
        own, partner = images, images[kept.index]
        torch.testing.assert_close(mixed, kept.mask * own + (1 - kept.mask) * partner)
        rows = samix.mix_targets(torch.arange(BATCH), kept, BATCH)
        torch.testing.assert_close(rows.sum(1), torch.ones(BATCH))
        torch.testing.assert_close(rows.diagonal(), kept.weight)
        torch.testing.assert_close(kept.area, kept.weight)  # no way here parts label and area


def test_pair_rules_find_another_partner():
    images = torch.rand(BATCH, 3, SIZE, SIZE)
    target = torch.arange(BATCH) % 2
    guard = create_guard(
        {"visibility": False, "pairs": [{"never": ["a", "b"]}], "tries": 8}, ["a", "b"]
    )
    policy, generator = samix.create_policy("mixup"), step_generator(0, 0)
    plan = policy.plan(images, generator=generator)
    kept, record = guard(
        images,
        plan,
        redraw=lambda index: policy.plan(images, index=index, generator=generator),
        target=target,
        generator=generator,
    )
    mixed = kept.weight < 1
    assert (target[kept.index] == target)[mixed].all()
    assert torch.equal(record.broken > 0, target != target[plan.index])
    assert (record.repair == OUTCOMES.index("partner")).any()


def test_a_judge_is_asked_once_it_is_good_enough():
    images = torch.rand(BATCH, 3, SIZE, SIZE)
    target = torch.arange(BATCH) % 4
    policy = samix.create_policy("mixup")
    guard = create_guard({"visibility": False, "plausibility": 0.3}, list("abcd"))
    plan = policy.plan(images, generator=step_generator(0, 0))
    blind = lambda mixed: torch.full((len(mixed), 4), 0.25)  # noqa: E731

    def seeing(mixed):
        rows = samix.mix_targets(target, plan, 4)
        rows[: BATCH // 2] = 0.0  # nothing is seen in the first half
        return rows

    _, record = guard(images, plan, target=target, judge=blind)
    assert (record.repair == 0).all()  # 0.5 on the sources of two classes is a guess
    for _ in range(100):
        _, record = guard(
            images, plan, target=target, judge=lambda m: samix.mix_targets(target, plan, 4)
        )
    assert (record.repair == 0).all()
    _, record = guard(images, plan, target=target, judge=seeing)
    assert (record.broken[: BATCH // 2] > 0).all()
    assert (record.repair[BATCH // 2 :] == 0).all()
    with pytest.raises(ValueError, match="expected a network to ask"):
        guard(images, plan, target=target)


def test_counters_add_up_and_survive_a_checkpoint():
    images, saliency = images_with_spots()
    guard, plan, _, record = guarded(samix.create_policy("cutmix", p=0.5), images, saliency)
    summary = guard.counters.summary()
    mixed = plan.weight < 1
    assert summary["mixes"] == int(mixed.sum()) > 0
    assert sum(summary[name] for name in OUTCOMES) == pytest.approx(1.0)
    assert summary["broken"]["visibility"] == pytest.approx(
        float((record.broken > 0).sum() / mixed.sum())
    )
    other = create_guard({"share": 0.5, "saliency": "given"})
    other.load_state_dict(guard.state_dict())
    assert other.counters.summary() == summary
    three = create_guard({"share": 0.5, "range": 0.5})
    with pytest.raises(ValueError, match="rules or classes are others"):
        three.load_state_dict(guard.state_dict())


def test_counters_know_the_pairs_of_classes():
    images, saliency = images_with_spots()
    target = torch.arange(BATCH) % 2
    guard = create_guard({"share": 0.5, "saliency": "given"}, ["a", "b"])
    plan = samix.create_policy("cutmix").plan(images, generator=step_generator(0, 0))
    _, record = guard(images, plan, target=target, evidence=samix.Evidence(saliency=saliency))
    for pair in guard.counters.summary()["pairs"]:
        a, b = ("ab".index(name) for name in pair["classes"])
        here = (target == a) & (target[plan.index] == b) & (plan.weight < 1)
        assert pair["mixes"] == int(here.sum())
        assert pair["accepted"] == int((record.repair[here] == 0).sum())
        assert pair["broken"]["visibility"] == int((record.broken[here] > 0).sum())


def test_the_same_seed_gives_the_same_repairs():
    images, saliency = images_with_spots()
    first = guarded(samix.create_policy("cutmix"), images, saliency)[2:]
    second = guarded(samix.create_policy("cutmix"), images, saliency)[2:]
    assert torch.equal(first[0].mask, second[0].mask)
    assert torch.equal(first[1].repair, second[1].repair)


def test_the_image_itself_says_where_its_content_lies():
    images, saliency = images_with_spots()
    found = spectral_residual(images)
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.ones(BATCH))
    inside = (found * (saliency > 0)).sum((1, 2, 3))
    assert inside.mean() > 0.3  # 4 of 256 pixels
    _, record = create_guard()(images, samix.create_policy("cutmix").plan(images))
    assert (record.repair > 0).any()
    flat = spectral_residual(torch.zeros(1, 3, SIZE, SIZE))
    assert torch.isfinite(flat).all()


def test_a_missing_saliency_is_an_error():
    images, _ = images_with_spots()
    plan = samix.create_policy("cutmix").plan(images)
    with pytest.raises(ValueError, match="expected Evidence"):
        create_guard({"saliency": "given"})(images, plan)
