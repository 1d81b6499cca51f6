"""The report of a PoC in a real browser: no request, no error, both widths, both languages, paper.

Needs Chromium (the environment variable CHROMIUM, or on the path); the checks of the PDF also need
pdftotext (poppler-utils).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from samix.study.report.page import write_poc_report
from tests.browser import Browser, chromium

from .pocs import REASONS, SCRIPT, health, long_findings, pictures, study_of, whole_findings

FOUND = chromium()
pytestmark = pytest.mark.skipif(
    FOUND is None, reason="Chromium is not installed; install it or name it in CHROMIUM"
)
needs_pdftotext = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="pdftotext is not installed (poppler-utils)"
)
WIDTHS = (390, 1440)
# every element whose words are shown, by its language
SHOWN = """
[...document.querySelectorAll('[lang="LANG"]')].filter(
  (one) => one !== document.documentElement && one.getClientRects().length > 0
).length
"""
# what sticks out to the right, except inside of boxes that scroll by themselves
STICKS_OUT = """
[...document.querySelectorAll('body *')].filter((one) => {
  if (one.closest('.scroll table') || one.closest('nav') || one.closest('svg')) return false;
  return one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5;
}).map((one) => one.tagName + '.' + one.className)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(str(FOUND)) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    found = whole_findings()
    write_poc_report(path, found, study=study_of(found), health=health(), pictures=pictures())
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_without_a_request_and_without_an_error(
    browser: Browser, page: Path, width: int
) -> None:
    browser.open(page, width)
    asked = browser.requests()
    assert [one for one in asked if not one.startswith("data:")] == [page.as_uri()]
    assert browser.errors() == []
    assert browser.run("document.documentElement.scrollWidth") == width
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run(STICKS_OUT) == []
    assert browser.run("[...document.images].every((one) => one.naturalWidth > 0)")


def test_the_browser_notices_requests_errors_and_overflow(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    """The checks above can fail."""
    broken = tmp_path / "broken.html"
    text = page.read_text(encoding="utf-8")
    text = text.replace("Content-Security-Policy", "Nothing").replace(
        "<main>", '<img src="https://example.invalid/x.png"><script>lost()</script>'
        '<p style="width: 900px">wide</p><main>',
    )  # fmt: skip
    broken.write_text(text, encoding="utf-8")
    browser.open(broken, 390)
    assert "https://example.invalid/x.png" in browser.requests()
    assert any("lost is not defined" in error for error in browser.errors())
    assert browser.run("document.documentElement.scrollWidth") > 390
    assert "P." in browser.run(STICKS_OUT)


def test_the_page_forbids_requests_and_scripts_that_are_not_its_own(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    injected = tmp_path / "injected.html"
    text = page.read_text(encoding="utf-8").replace(
        "<main>",
        "<script>window.harmed = true;</script>"
        '<img src="https://example.invalid/x.png" onerror="window.harmed = true"><main>',
    )
    injected.write_text(text, encoding="utf-8")
    browser.open(injected, 1440)
    assert browser.run("window.harmed") is None
    assert len(browser.errors()) >= 2  # both refusals are told
    assert all("Content Security Policy" in error for error in browser.errors())


def test_a_script_in_a_name_does_nothing(browser: Browser, page: Path) -> None:
    browser.open(page, 1440)
    assert browser.run("document.scripts.length") == 1
    assert SCRIPT in browser.run("document.body.innerText")
    assert not [e for e in browser.events if e.get("method") == "Page.javascriptDialogOpening"]
    names = browser.run("[...document.querySelectorAll('svg title')].map((t) => t.textContent)")
    assert any(SCRIPT in name for name in names)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_switch_shows_one_language_at_a_time(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    shown = {name: browser.run(SHOWN.replace("LANG", name)) for name in ("en", "ja")}
    assert shown["en"] > 200
    assert shown["ja"] == 0
    assert browser.run("[document.documentElement.lang, document.title]") == [
        "en", f"PoC report: {SCRIPT}",
    ]  # fmt: skip
    browser.run("document.getElementById('switch').click()")
    assert browser.run(SHOWN.replace("LANG", "ja")) == shown["en"]
    assert browser.run(SHOWN.replace("LANG", "en")) == 0
    assert browser.run("[document.documentElement.lang, document.title]") == [
        "ja", f"PoC レポート：{SCRIPT}",
    ]  # fmt: skip
    told = browser.run("document.body.innerText")
    for words in ("教師あり学習", "自己教師あり学習", "見逃し率", "過検出率", "ラベル効率"):
        assert words in told
    assert "Label efficiency" not in told
    assert browser.run("document.documentElement.scrollWidth") == width
    browser.run("document.getElementById('switch').click()")
    assert browser.run(SHOWN.replace("LANG", "en")) == shown["en"]


@pytest.mark.parametrize(("spoken", "shown"), [("ja-JP", "ja"), ("de", "en"), ("en", "en")])
def test_it_begins_in_the_language_of_the_reader(
    browser: Browser, page: Path, spoken: str, shown: str
) -> None:
    browser.speak(spoken)
    try:
        browser.open(page, 1440)
        assert browser.run("document.documentElement.dataset.show") == shown
    finally:
        browser.speak("en")


def test_the_first_screen_holds_the_verdict_and_the_numbers(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    for name in ("#verdict", "#first svg", "#risks h2"):
        assert browser.run(f"document.querySelector('{name}').getBoundingClientRect().bottom") < 900
    browser.open(page, 390, 844)
    box = "document.querySelector('#first svg').getBoundingClientRect().bottom"
    assert browser.run(box) < 844


def test_letters_of_charts_can_be_read_on_a_phone(browser: Browser, page: Path) -> None:
    browser.open(page, 390)
    heights = browser.run(
        "[...document.querySelectorAll('.panel svg text')].filter((t) => t.getClientRects().length)"
        ".map((t) => t.getBoundingClientRect().height)"
    )
    assert len(heights) > 50
    assert min(heights) > 11  # px, of the whole line


@needs_pdftotext
@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_row_is_cut_on_paper(
    browser: Browser, page: Path, tmp_path: Path, language: str
) -> None:
    """Rows of several lines keep together, and each page of a long table has its header."""
    found = long_findings()
    path = tmp_path / "report.html"
    write_poc_report(path, found, study=study_of(found), lang=language)
    sheets = pages_of(browser, path, tmp_path / "report.pdf")
    assert cut_rows(sheets) == []
    header = {"en": "reason", "ja": "理由"}[language]
    with_rows = [sheet for sheet in sheets if "begin0" in sheet]
    assert len(with_rows) > 2
    assert all(header in sheet for sheet in with_rows)


@needs_pdftotext
def test_without_its_rule_for_paper_rows_are_cut(browser: Browser, tmp_path: Path) -> None:
    """The check above can fail."""
    found = long_findings()
    path = tmp_path / "report.html"
    write_poc_report(path, found, study={}, lang="en")
    careless = path.read_text(encoding="utf-8").replace("tr { break-inside: avoid; }", "")
    # another style has another hash
    path.write_text(careless.replace("Content-Security-Policy", "Nothing"), encoding="utf-8")
    assert cut_rows(pages_of(browser, path, tmp_path / "careless.pdf"))


@needs_pdftotext
def test_everything_is_on_paper(browser: Browser, page: Path, tmp_path: Path) -> None:
    """What is folded on the screen is printed, nothing is wider than the paper, page 1 decides."""
    browser.open(page, 1440)
    sheets = pages_of(browser, page, tmp_path / "report.pdf")
    whole = re.sub(r"\s+", " ", " ".join(sheets))
    for told in ("Data behind this chart", "How many labels of plain training", SCRIPT, "../../x",
                 "Settings of self-supervised training", "part of the split"):  # fmt: skip
        assert told in whole, told
    numbers = browser.run(
        "[...document.querySelectorAll('details tbody td.number')].filter((one) => !one.children"
        ".length).map((one) => one.textContent)"
    )
    assert len(numbers) > 400
    assert [one for one in numbers if one.replace("\xa0", " ") not in whole] == []
    for told in ("Train with samix: +", "worth nothing", "Why", "Risks"):
        assert told in sheets[0], told
    assert "How many labels it takes" not in sheets[0]
    browser.ask("Emulation.setEmulatedMedia", media="print")
    try:
        browser.open(page, 703)  # A4 less its margins, in px
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert browser.run("document.documentElement.scrollWidth") == 703
        tables = "[...document.querySelectorAll('table')].map((t) => t.getBoundingClientRect())"
        rights = browser.run(f"{tables}.map((box) => box.right)")
        assert len(rights) > 15
        assert max(rights) <= 703
    finally:
        browser.ask("Emulation.setEmulatedMedia", media="")


def pages_of(browser: Browser, page: Path, pdf: Path) -> list[str]:
    """The words of each printed page."""
    browser.open(page, 1440)
    browser.print(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\f")[:-1]


def cut_rows(sheets: list[str]) -> list[int]:
    """The long rows whose words are not all on one page."""
    words = [set(re.findall(r"\w+", sheet)) for sheet in sheets]
    cut = []
    for at in range(REASONS):
        own = {f"begin{at:03}", f"end{at:03}"}
        own |= {f"word{at:03}x{n}" for n in range(30 + 7 * (at % 5))}
        if not any(own <= there for there in words):
            cut.append(at)
    return cut


def test_tables_are_sorted_by_any_column(browser: Browser, page: Path) -> None:
    """By numbers, with times in one unit, and by names; a second click turns it around."""
    browser.open(page, 1440)
    cells = """
    (() => { const table = document.querySelector('#cost table:not(details table)');
      const at = [...table.tHead.rows[0].cells].findIndex((one) => one.innerText.startsWith(NAME));
      table.tHead.rows[0].cells[at].click();
      return [...table.tBodies[0].rows].map((row) => row.cells[at].innerText); })()
    """
    up = browser.run(cells.replace("NAME", "'time of'"))
    assert len(set(up)) > 1
    assert [seconds(one) for one in up] == sorted(seconds(one) for one in up)
    down = browser.run(cells.replace("NAME", "'time of'"))
    assert [seconds(one) for one in down] == sorted((seconds(one) for one in up), reverse=True)
    names = browser.run(cells.replace("NAME", "'policy'"))
    assert names == sorted(names)


def seconds(told: str) -> float:
    """A time as the page writes it."""
    number, unit = told.split()
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


def test_the_contents_stay_and_say_where_the_reader_is(browser: Browser, page: Path) -> None:
    for width in WIDTHS:
        browser.open(page, width)
        browser.run("document.getElementById('health').scrollIntoView()")
        browser.run("window.dispatchEvent(new Event('scroll'))")
        assert browser.run("document.querySelector('nav').getBoundingClientRect().top") == 0
        assert browser.run("document.querySelector('nav [aria-current]').hash") == "#health"
        top = browser.run("document.querySelector('#health h2').getBoundingClientRect().top")
        assert top > (0 if width == 1440 else 30)  # nothing lies over the heading


def test_a_dark_screen_gets_a_dark_page_and_paper_a_white_one(browser: Browser, page: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#first svg text.name')).fill"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    try:
        browser.ask("Emulation.setEmulatedMedia", features=dark)
        browser.open(page, 1440)
        assert light(browser.run(paper)) < 0.2
        assert light(browser.run(ink)) > 0.8
        browser.ask("Emulation.setEmulatedMedia", media="print", features=dark)
        assert light(browser.run(paper)) > 0.95
        assert light(browser.run(ink)) < 0.3
    finally:
        browser.ask("Emulation.setEmulatedMedia", media="", features=[])


def light(colour: str) -> float:
    """The mean of the three parts of a colour as a browser tells it, from 0 to 1."""
    parts = [float(one) for one in re.findall(r"[0-9.]+", colour)[:3]]
    return sum(parts) / 3 / 255
