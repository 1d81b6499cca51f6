"""Names of files and classes in terminal, pages and pictures: read, never obeyed."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from PIL import Image

from samix.cli import main
from samix.errors import InputError
from samix.pages.mixes import short
from samix.pages.parts import PictureRow, Section, Strip, Table, Thumb, write_page
from samix.pages.pictures import save, tick_name
from samix.shown import shown, wrapped

# what turns letters around, what a terminal obeys, the end of a line, rich's markup, broken letters
ODD = {
    "a\u202eb": r"a\u202eb", "a\u2066b": r"a\u2066b", "a\x1b[31mb": r"a\x1b[31mb",
    "a\x1b]0;t\x07b": r"a\x1b]0;t\x07b", "a\nb": r"a\nb", "a\r\tb": r"a\r\tb",
    "a\x9b1mb": r"a\x9b1mb",
    "a\u200bb": r"a\u200bb", "a\u2028b": r"a\u2028b", "a\udc80b": r"a\udc80b",
    "a\U000e0041b": r"a\U000e0041b", "a\x00b": r"a\x00b",
}  # fmt: skip
PLAIN = [
    "良品", "キズ・へこみ", "\uff21\uff22", "ünïcödé", "נזק", "عيب", "👩\u200d👧", "a b\u3000c",
    "a\\b", "[bold]x[/bold]", "",
]  # fmt: skip


@pytest.mark.parametrize(("name", "wanted"), ODD.items(), ids=ascii)
def test_what_is_obeyed_is_escaped(name: str, wanted: str) -> None:
    assert shown(name) == wanted
    assert shown(wanted) == wanted


@pytest.mark.parametrize(
    "name", ["良品/傷ソ表.png", "キズ_ﾀﾞﾒ01.jpg", "スクラッチ 深い/a.png", "能力 ポ|ン.bmp"]
)
def test_names_in_shift_jis_are_shown_in_letters(name: str) -> None:
    stored = name.encode("cp932").decode("utf-8", "surrogateescape")  # as Python lists a folder
    assert stored != name
    assert shown(stored) == name
    assert str(InputError(f"photo '{stored}' cannot be read")) == f"photo '{name}' cannot be read"
    assert shown(f"写真（{stored} など）") == f"写真（{name} など）"


@pytest.mark.parametrize("name", ["M\udcfcller", "gr\udcf6\udcdfe", "part\udce4.png"])
def test_bytes_like_latin_letters_stay_escaped(name: str) -> None:
    assert shown(name) == name.encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("name", PLAIN)
def test_letters_of_any_script_stay_as_they_are(name: str) -> None:
    assert shown(name) == shown(name, lines=True) == name


def test_lines_on_purpose_are_kept() -> None:
    assert shown("a\n\tb\x1b\u2066", lines=True) == "a\n\tb\\x1b\\u2066"


def test_sentences_of_errors_quote_names_as_they_may_be_shown() -> None:
    for name, wanted in ODD.items():
        if "\n" not in name and "\t" not in name:
            assert str(InputError(f"class '{name}' is empty")) == f"class '{wanted}' is empty"
    assert str(InputError("two\nlines")) == "two\nlines"


def unsafe(text: str) -> set[str]:
    """The characters of a text that would be obeyed, but ends of lines."""
    return {letter for letter in text if shown(letter) != letter} - {"\n"}


_CLASSES = ["\u202egood", "b\u2066ad", "c\x1b[2Jrack", "d\nent", "[bold]e[nope]", "=é"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / "ph\x1b[31motos"
    random = np.random.default_rng(0)
    for name in _CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}\u202e\x1b[1m.png")
    (folder / "[bold]e[nope]" / os.fsdecode(b"broken\x80.png")).write_bytes(b"no photo")
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")


def test_check_shows_names_in_terminal_and_page(photos: Path, capsys: Any) -> None:
    assert main(["check", str(photos), "--output", "out"]) == 1  # a photo is corrupt
    said = capsys.readouterr()
    page = Path("out/check.html").read_text(encoding="utf-8")
    for text in (said.out, page):
        assert not unsafe(text)
        for name in _CLASSES:
            assert shown(name) in text
    assert r"broken\udc80.png" in said.out
    record = json.loads(Path("out/check.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in record["classes"]] == sorted(
        _CLASSES, key=[one["name"] for one in record["classes"]].index
    )
    assert set(_CLASSES) == {one["name"] for one in record["classes"]}


def test_train_predict_and_their_errors_show_names(photos: Path, capsys: Any) -> None:
    tiny = ["--image-size", "16", "--stem", "small", "--batch-size", "16", "--epochs", "1",
            "--model-kwargs", "layers=[1,1,1,1]", "channels=[8,8,8,8]", "--policy", "mixup",
            "--device", "cpu", "--duplicates", "ignore"]  # fmt: skip
    assert main(["train", str(photos), *tiny]) == 2
    said = capsys.readouterr()
    assert not unsafe(said.err)
    assert r"broken\udc80.png" in said.err
    assert main(["train", str(photos), *tiny, "--skip-corrupt", "--output", "run"]) == 0
    said = capsys.readouterr()
    assert not unsafe(said.out)
    for name in _CLASSES:
        assert shown(name) in said.out
    assert main(["predict", "run", str(photos / _CLASSES[0]), "--output", "x.csv"]) == 0
    assert not unsafe(capsys.readouterr().out)
    model = json.loads(Path("run/model.json").read_text(encoding="utf-8"))
    assert set(model["classes"]) == set(_CLASSES)


def test_a_page_shows_names_in_every_place(tmp_path: Path) -> None:
    odd = "<b>\u202ex\x1b[0m\ny"
    wanted = r"&lt;b&gt;\u202ex\x1b[0m\ny"
    strip = Strip([Thumb(b"", odd, odd)], odd, (odd,), odd)
    parts = [Table([odd], [[odd]], odd), PictureRow(b"x", title=odd, caption=odd), strip]
    sections = [Section(odd, "line 1\nline 2", parts)] * 3
    write_page(tmp_path / "x.html", odd, sections, lead=f"one\ntwo{odd}", facts=[(odd, odd)])
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert not unsafe(page)
    assert "line 1\nline 2" in page
    assert "one\ntwo" in page
    # title, heading, a fact; in the list at the top; heading, table, picture and strip of each part
    assert page.count(wanted) == 4 + 3 * (1 + 1 + 3 + 3 + 6)


def test_pictures_show_names(tmp_path: Path) -> None:
    figure = Canvas()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    figure.suptitle("two\nlines \u2066x\x1b[0m")
    axes.set_title("\u202ex")
    axes.plot([0, 1], label="\x1b]0;t\x07")
    axes.legend()
    axes.set_xticks([0, 1], [tick_name("\u202e$x$"), tick_name("é\x1b")])
    save(figure, tmp_path / "x.png")
    said = [text.get_text() for text in figure.findobj(Text)]
    assert not set().union(*map(unsafe, said))
    assert {"two\nlines \\u2066x\\x1b[0m", r"\u202ex", r"\x1b]0;t\x07", r"\u202e\$x\$"} <= set(said)
    assert short("a\nb") == r"a\nb"
    assert short("\u202e" * 5, 16) == r"\u202e\u202e\u2…"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("  one two three", ["  one two", "  three"]),
        ("Page:   a/long/name/of/a/file", ["Page:   a/long/name/of/a/file"]),
        ("see averylongword here", ["see", "averylongword", "here"]),
        ("画像を混ぜる。samix で", ["画像を混", "ぜる。", "samix で"]),
        ("", [""]),
    ],
)
def test_lines_are_as_wide_as_a_terminal(text: str, lines: list[str]) -> None:
    assert wrapped(text, 9).split("\n") == lines


def test_what_is_printed_fits_the_terminal(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    data, output = "demo:photos_per_class=8,size=16", str(tmp_path / "check")
    assert main(["check", data, "--output", output]) == 0
    assert main(["policies"]) == main(["mixer", "list"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if output not in line]
    assert max(map(len, lines)) <= 80
