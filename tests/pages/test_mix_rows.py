from __future__ import annotations

import pytest
import torch

import samix
from samix.pages.mixes import Remark, ShownPhotos, mix_rows, moved_regions, rule_lines, together
from samix.pages.pictures import ORIGINAL, PARTNER
from samix.pages.words import Words, both, rounded

SIZE = 32


def photos(classes=("good", "crack"), target=(0, 1), regions=None) -> ShownPhotos:
    images = torch.stack([torch.full((3, SIZE, SIZE), 0.2), torch.full((3, SIZE, SIZE), 0.8)])
    return ShownPhotos(images, torch.tensor(target), classes, ["a/1.png", "b/2.png"], regions)


def plan_of(lam=(0.25, 0.75), weight=None) -> samix.MixPlan:
    share = torch.tensor(lam)
    mask = share.view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)
    label = share if weight is None else torch.tensor(weight)
    return samix.MixPlan(share, torch.tensor([1, 0]), mask, label)


def test_a_row_has_the_pictures_and_the_numbers_of_the_plan():
    first, second = mix_rows(photos(), plan_of())
    assert (first.original, first.partner, first.classes) == (0, 1, ("good", "crack"))
    assert (first.lam, first.area, first.weight) == (0.25, 0.25, 0.25)
    assert first.label == (("crack", 0.75), ("good", 0.25))
    assert first.label_words == Words(
        "75\u00a0% crack, 25\u00a0% good", "75\u00a0% crack、25\u00a0% good"
    )
    original, partner, mask, mix = first.pictures
    for picture, value in ((original, 0.2), (partner, 0.8), (mask, 0.25), (mix, 0.65)):
        assert torch.allclose(picture, torch.tensor(value))
    assert second.names == ("b/2.png", "a/1.png")
    assert first.record()["label"] == {"crack": 0.75, "good": 0.25}


def test_the_label_follows_the_weight_and_not_lam():
    row = mix_rows(photos(), plan_of(weight=(0.5, 0.5)), count=1)[0]
    assert row.lam == 0.25
    assert row.label_words.en == "50\u00a0% good, 50\u00a0% crack"


def test_one_class_has_the_whole_label_and_no_label_has_places():
    assert mix_rows(photos(target=(1, 1)), plan_of())[0].label_words.en == "100\u00a0% crack"
    row = mix_rows(photos(classes=(), target=(-1, -1)), plan_of())[0]
    assert row.label_words.en == "75\u00a0% partner, 25\u00a0% original"
    assert row.label_words.ja == "75\u00a0% 相手画像、25\u00a0% 元画像"
    assert row.classes == ("", "")
    assert row.record()["original"] == {"photo": "a/1.png", "class": None}


def test_outlines_only_of_what_is_in_the_label():
    regions = torch.zeros(2, 1, SIZE, SIZE)
    regions[0, :, 4:8, 4:8] = 1.0
    regions[1, :, 20:24, 20:24] = 1.0
    row = mix_rows(photos(regions=regions), plan_of())[0]
    plain = mix_rows(photos(regions=regions), plan_of(), outlines=False)[0]
    own, theirs = torch.tensor(ORIGINAL), torch.tensor(PARTNER)
    assert has(row.pictures[0], own)
    assert not has(row.pictures[0], theirs)
    assert has(row.pictures[1], theirs)
    assert has(row.pictures[3], own)
    assert has(row.pictures[3], theirs)
    assert not any(has(picture, own) for picture in plain.pictures)
    clean = mix_rows(photos(regions=regions), plan_of(lam=(1.0, 1.0)))[0]
    assert has(clean.pictures[3], own)
    assert not has(clean.pictures[3], theirs)


def test_the_region_of_a_partner_moves_as_the_partner_does():
    images, regions = torch.rand(2, 3, SIZE, SIZE), torch.zeros(2, 1, SIZE, SIZE)
    regions[1] = 1.0  # the whole photo, which ends where the box ends
    policy = samix.create_policy("resizemix", scale=(0.5, 0.5))
    plan = policy.plan(images, generator=torch.Generator().manual_seed(0))
    moved = moved_regions(regions, plan)
    assert torch.equal(moved[0], 1 - plan.mask[0])
    assert not moved[1].any()


def test_verdicts_are_taken_over_and_must_be_one_a_photo():
    said = Remark(both("label noise"), "bad", (both("crack: 4 % is visible"),))
    rows = mix_rows(photos(), plan_of(), [said, Remark()])
    assert rows[0].verdict == said
    assert rows[0].record()["badge"] == "label noise"
    assert rows[1].record()["badge"] is None
    with pytest.raises(ValueError, match="2 photos, got 2 and 1"):
        mix_rows(photos(), plan_of(), [said])


def test_together_says_all_and_is_as_bad_as_the_worst():
    a, b = both("a"), both("b")
    noise = Remark(both("noise"), "bad", (b,), noisy=True)
    whole = together(Remark(both("repaired"), "changed", (a,)), Remark(), noise)
    assert whole == Remark(Words("repaired, noise", "repaired、noise"), "bad", (a, b), noisy=True)
    assert together() == Remark()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.644, "64 %"), (0.004, "0.4 %"), (0.996, "99.6 %")],
)
def test_percent(share, text):
    assert rounded(share).replace("\u00a0", " ") == text


def test_what_rules_say_in_both_languages():
    said = {"visibility": (torch.tensor([True]), torch.tensor([0.75]), torch.tensor([0.5]))}
    (line,) = rule_lines(said, 0)
    assert line.en == "Guard, visible content: 0.75, at least 0.50 is needed: kept."
    assert line.ja == "ガードの基準「見えている内容の割合」：0.75（0.50 以上が必要）、適合。"


def has(picture: torch.Tensor, colour: torch.Tensor) -> bool:
    return bool((picture == colour.view(3, 1, 1)).all(0).any()) if len(picture) == 3 else False
