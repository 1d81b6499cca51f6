import io

import pytest
import torch
from PIL import Image

from samix.pages.parts import (
    Beside,
    PictureRow,
    Section,
    Strip,
    Table,
    Thumb,
    image_png,
    page_text,
    parts_text,
    write_page,
)
from samix.pages.words import Words


def test_a_page_holds_everything_it_shows(tmp_path):
    png = image_png(torch.rand(3, 4, 6))
    parts = [
        PictureRow(png, caption="how to read it"),
        Table(("name", "value"), [("a", "1.5"), ("b", "no number")]),
        Strip([Thumb(png, "mask", "lam 0.3")], "pair 1", ["a line"], "repaired", "changed"),
    ]
    write_page(tmp_path / "page.html", "Title", [Section("Part", "intro", parts)], lead="Lead.")
    text = (tmp_path / "page.html").read_text()
    for words in ("Title", "Lead.", "how to read it", "no number", "lam 0.3", "repaired", "a line"):
        assert words in text
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text.replace("http-equiv", "")
    assert '<td class="number">1.5</td>' in text
    assert "<td>no number</td>" in text
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_text_of_the_user_is_no_markup(tmp_path):
    write_page(tmp_path / "page.html", "<script>alert", [Section("a<b", parts=[])])
    text = (tmp_path / "page.html").read_text()
    assert text.count("<script>") == 1  # the page's own
    assert "<script>alert" not in text
    assert "a&lt;b" in text


def test_parts_alone_are_what_a_page_shows_of_them():
    strips = [Strip((), title=Words("photos", "写真")), Strip((), title="a<b")]
    text = parts_text([Beside(strips)], "ja")
    assert text.count('<div class="strip">') == 2
    assert "写真" in text
    assert "photos" not in text
    assert "a&lt;b" in text
    assert text.strip() in page_text("t", [Section("x", parts=[Beside(strips)])], language="ja")


def test_parts_are_listed_where_there_are_many(tmp_path):
    write_page(tmp_path / "few.html", "t", [Section("a"), Section("b")])
    write_page(tmp_path / "many.html", "t", [Section("a"), Section("b"), Section("c")])
    assert "<nav" not in (tmp_path / "few.html").read_text()
    many = (tmp_path / "many.html").read_text()
    assert '<a href="#part1">a</a>' in many[many.index("<nav") : many.index("</nav>")]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_image_png_scales_and_keeps_the_proportions(channels, mode):
    image = torch.zeros(channels, 4, 8)
    image[:, :, 4:] = 2.0  # clamped
    picture = Image.open(io.BytesIO(image_png(image, side=40, smooth=False)))
    assert picture.mode == mode
    assert picture.size == (40, 20)
    assert picture.convert("L").getpixel((0, 0)) == 0
    assert picture.convert("L").getpixel((39, 0)) == 255


def test_image_png_takes_bytes_as_they_are():
    image = torch.tensor([[[0, 100, 255]]], dtype=torch.uint8)
    picture = Image.open(io.BytesIO(image_png(image)))
    assert picture.tobytes() == bytes([0, 100, 255])
