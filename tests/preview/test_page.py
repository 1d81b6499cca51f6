from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from samix.pages.mixes import MixRow, Remark
from samix.pages.parts import page_text
from samix.pages.words import both, word
from samix.preview.mixes import PolicyMixes
from samix.preview.page import preview_sections, short_name


def row(**changes) -> MixRow:
    plain = MixRow(
        original=0, partner=1, names=("a/1.png", "b/2.png"), classes=("good", "$crack_$"), lam=0.3,
        area=0.5, weight=0.5, label=(("good", 0.5), ("$crack_$", 0.5)),
        pictures=tuple(torch.rand(channels, 8, 8) for channels in (3, 3, 1, 3)),
    )  # fmt: skip
    return replace(plain, **changes)


SEEN = word("defect-seen", name="crack", seen="4\u00a0%", says="38\u00a0%")
NOISE = Remark(word("noise"), "bad", (SEEN,), noisy=True)


def mixes(name, about="", draw="", label="area", rows=(), *more) -> PolicyMixes:
    return PolicyMixes(name, both(about), both(draw), label, rows, *more)


def policies() -> list[PolicyMixes]:
    return [
        mixes("mixup", "About mixup.", "Beta(1, 1)", "area", [row(area=0.3), row()], 2, 0),
        mixes("a<b", "Its own.", "its own draw", "lam", [row(verdict=NOISE), row()], 2, 1),
    ]


def text_of(found: list[PolicyMixes], *, outlines: bool = False, language="en") -> str:
    return page_text("Mixes", preview_sections(found, outlines=outlines), language=language)


def test_the_page_has_a_table_and_the_policies_side_by_side():
    text = text_of(policies(), outlines=True)
    for words in (
        "1 of 2", "About mixup.", "a&lt;b", "original: good", "lam 0.30, area 0.50", "1.png",
        "50\u00a0% good, 50\u00a0% $crack_$", "label says 38\u00a0%", "label noise", "orange",
        'class="badge bad"', "area off lam", "Pair 2: good + $crack_$",
    ):  # fmt: skip
        assert words in text, words
    # of each of two pairs: its two photos, then mask and mix of each of two policies
    assert text.count("data:image/png") == 2 * (2 + 2 * 2)
    assert text.count('<div class="beside">') == 2


def test_the_page_in_japanese_has_no_english_words():
    text = text_of(policies(), outlines=True, language="ja")
    for words in (
        "元画像：good",
        "ラベルノイズ",
        "欠陥の 4\u00a0% が見えており",
        "2 組目：good + $crack_$",
    ):
        assert words in text, words
    for words in ("original", "label noise", "its defect is visible", "area off lam"):
        assert words not in text, words


def test_nothing_is_said_of_defects_that_are_not_known():
    unknown = [replace(policy, defects=None) for policy in policies()]
    text = text_of(unknown)
    assert "1 of 2" not in text
    assert "orange" not in text
    assert unknown[0].record()["rows_with_label_noise"] is None


def test_the_label_uses_lam_where_both_are_the_same():
    same = mixes("mixup", rows=[row(lam=0.5)])
    assert (same.area_from_lam, same.label_words.en) == (0.0, "lam = area")
    assert policies()[1].label_words.en == "lam"


def test_a_policy_that_drew_another_partner_shows_it():
    other = row(partner=0, names=("a/1.png", "c/3.png"))
    text = text_of([mixes("mixup", rows=[row()]), mixes("none", rows=[other])])
    assert "another partner: 3.png" in text
    assert text.count("data:image/png") == 2 + 2 + 3


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a/b/c.png", "c.png"), ("train-0.parquet#12", "row 12"), ("train#7", "train#7")],
)
def test_short_names(name, shown):
    assert short_name(name) == shown


def test_what_a_guard_put_in_the_place_of_a_mix():
    after = row(label=(("good", 1.0),))
    said = Remark(word("guard-repaired", done=word("guard-clean")), "changed")
    rows = [row(verdict=said, after=after), row()]
    guarded = mixes("cutmix", "", "Beta(1, 1)", "area", rows, 2, 1, True)
    assert guarded.record()["rows_repaired_by_guard"] == 1
    assert guarded.record()["rows"][0]["after_guard"]["label"] == {"good": 1.0}
    text = text_of([guarded])
    assert text.count("after the guard") == 2  # label and its alternative text
    assert '<td class="number">1 of 2</td>' in text
    assert "repaired: left unmixed" in text
    assert 'class="badge changed"' in text
