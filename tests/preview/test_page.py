from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from samix.pages.mixes import MixRow, Remark
from samix.pages.parts import write_page
from samix.preview import page
from samix.preview.mixes import PolicyMixes
from samix.preview.page import draw_preview, preview_sections, short_name


def row(**changes) -> MixRow:
    plain = MixRow(
        original=0, partner=1, names=("a/1.png", "b/2.png"), classes=("good", "$crack_$"), lam=0.3,
        area=0.5, weight=0.5, label=(("good", 0.5), ("$crack_$", 0.5)),
        pictures=tuple(torch.rand(channels, 8, 8) for channels in (3, 3, 1, 3)),
    )  # fmt: skip
    return replace(plain, **changes)


NOISE = Remark("label noise", "bad", ("crack: 4 % of its defect is visible, label says 38 %",))


def policies() -> list[PolicyMixes]:
    return [
        PolicyMixes("mixup", "About mixup.", "Beta(1, 1)", "area", [row(area=0.3), row()], 2, 0),
        PolicyMixes("a<b", "Its own.", "its own draw", "lam", [row(verdict=NOISE), row()], 2, 1),
    ]


def test_the_page_has_a_table_and_a_section_a_policy(tmp_path):
    write_page(tmp_path / "page.html", "Mixes", preview_sections(policies(), outlines=True))
    text = (tmp_path / "page.html").read_text()
    for words in (
        "1 of 2", "About mixup.", "a&lt;b", "original: good", "lam 0.30, area 0.50", "1.png",
        "1. 50\u00a0% good, 50\u00a0% $crack_$", "label says 38\u00a0%", "label noise", "orange",
        'class="badge bad"', "area off lam",
    ):  # fmt: skip
        assert words in text, words
    assert text.count("data:image/png") == 16


def test_nothing_is_said_of_defects_that_are_not_known(tmp_path):
    unknown = [replace(policy, defects=None) for policy in policies()]
    write_page(tmp_path / "page.html", "Mixes", preview_sections(unknown, outlines=False))
    text = (tmp_path / "page.html").read_text()
    assert "1 of 2" not in text
    assert "orange" not in text
    assert unknown[0].record()["rows_with_label_noise"] is None


def test_the_label_uses_lam_where_both_are_the_same():
    same = PolicyMixes("mixup", "", "", "area", [row(lam=0.5)])
    assert (same.area_from_lam, same.label_text) == (0.0, "lam = area")
    assert policies()[1].label_text == "lam"


def test_the_figure_has_two_columns_a_policy(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(page, "_show", lambda axes, picture, text, *more: shown.append(text))
    one, two = policies()
    two = replace(two, rows=[two.rows[0], row(partner=0)])
    draw_preview(tmp_path / "preview.png", [one, two], title="$x_")
    assert len(shown) == 2 * (2 + 2 * 2)
    assert shown[0] == "1. original\ngood"
    assert "label noise\n50 % good\n50 % $crack_$" in shown
    assert "another partner\nlam 0.30\narea 0.50" in shown


def test_the_figure_is_written_whole(tmp_path):
    draw_preview(tmp_path / "preview.png", policies(), title="$x_")
    with Image.open(tmp_path / "preview.png") as picture:
        assert picture.width > 800
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]
    with pytest.raises(ValueError, match="equally many"):
        draw_preview(tmp_path / "x.png", [policies()[0], replace(policies()[1], rows=[row()])])


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a/b/c.png", "c.png"), ("train-0.parquet#12", "row 12"), ("train#7", "train#7")],
)
def test_short_names(name, shown):
    assert short_name(name) == shown


def test_what_a_guard_put_in_the_place_of_a_mix(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(page, "_show", lambda axes, picture, text, *more: shown.append(text))
    after = row(label=(("good", 1.0),))
    said = Remark("label noise, repaired: left unmixed", "changed")
    guarded = PolicyMixes(
        "cutmix", "", "Beta(1, 1)", "area", [row(verdict=said, after=after), row()], 2, 1, True
    )
    assert guarded.record()["rows_repaired_by_guard"] == 1
    assert guarded.record()["rows"][0]["after_guard"]["label"] == {"good": 1.0}
    draw_preview(tmp_path / "preview.png", [guarded])
    assert len(shown) == 2 * 4 + 1
    assert "label noise, repaired\n50 % good\n50 % $crack_$" in shown
    assert "left unmixed\n100 % good" in shown
    write_page(tmp_path / "page.html", "Mixes", preview_sections([guarded], outlines=False))
    text = (tmp_path / "page.html").read_text()
    assert text.count("after the guard") == 2  # label and its alternative text
    assert "<td>1 of 2</td>" in text
    assert 'class="badge changed"' in text
