"""The pictures of the front page are what samix draws, and the page on which lam moves works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .browser import Browser, chromium
from .test_site import DOCS, load

PLAYER = DOCS / "mixer_player.html"
LABELS = "[...document.querySelectorAll('.label')].map(one => one.textContent).join('|')"
AREA = "(m => m.reduce((a, b) => a + b) / m.length)(mask(pairs[0], 'samix', {}))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("needs Chromium on the PATH, or its path in the variable CHROMIUM")
    with Browser(path) as opened:
        yield opened


def test_the_strip_is_drawn_again_as_it_is_committed() -> None:
    pictures = load("front_pictures")
    drawn = np.asarray(pictures.strip(pictures.open_policies())).astype(int)
    with Image.open(DOCS / "images" / "strip.png") as committed:
        kept = np.asarray(committed.convert("RGB")).astype(int)
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 4, "run: python docs/front_pictures.py"


def test_the_pictures_are_small() -> None:
    for name, most in (("strip.png", 200), ("preview.png", 100), ("report.png", 100)):
        assert (DOCS / "images" / name).stat().st_size < 1000 * most
    assert PLAYER.stat().st_size < 200_000


@pytest.mark.parametrize("width", [390, 1440])
def test_lam_moves_masks_and_labels(browser: Browser, width: int, tmp_path: Path) -> None:
    browser.open(PLAYER, width)
    browser.run("new Promise(done => setTimeout(done, 500))")
    ready = "document.querySelectorAll('.label').length === 4 && pairs !== undefined"
    assert browser.run(ready), browser.errors()
    assert browser.run("document.querySelectorAll('#pairs button').length") == 5
    for step in (5, 12, 18):  # of 20
        browser.run(f"document.getElementById('lam').value = {step}; draw()")
        assert browser.run(LABELS).count(f"{5 * step} % crack") == 4
        assert browser.run(AREA.format(step)) == pytest.approx(step / 20, abs=0.03)
    browser.run("document.getElementById('swap').click()")
    assert browser.run(LABELS).count("90 % blowhole") == 4
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.errors() == []
    asked = [one for one in browser.requests() if not one.startswith("data:")]
    assert asked == [PLAYER.resolve().as_uri()]
