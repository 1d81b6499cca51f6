"""Names in pictures: letters that matplotlib's own font lacks are written all the same."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from samix.pages import fonts
from samix.pages.fonts import fonts_for
from samix.pages.pictures import save

# its import would change the fonts of every figure
packaged = pytest.mark.skipif(
    find_spec("matplotlib_fontja") is None, reason="the extra ja is not installed"
)
CLASSES = ("良品", "割れ", "気泡")


@pytest.fixture(autouse=True)
def forget() -> None:
    for one in (fonts_for, fonts._others):
        one.cache_clear()


def picture(path: Path, name: str) -> np.ndarray:
    figure = Figure(figsize=(1, 1), dpi=100)
    FigureCanvasAgg(figure)
    figure.text(0.1, 0.4, name, fontsize=24)
    save(figure, path)
    return np.asarray(Image.open(path).convert("L"))


@packaged
def test_japanese_classes_are_no_boxes(tmp_path: Path) -> None:
    """Two names of as many letters look the same where all their letters are boxes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [picture(tmp_path / f"{at}.png", name) for at, name in enumerate(CLASSES)]
    for at, one in enumerate(drawn):
        assert (one < 128).sum() > 50
        for other in drawn[at + 1 :]:
            assert (one != other).mean() > 0.01


def test_letters_that_the_usual_font_has_are_written_in_it() -> None:
    assert fonts_for(frozenset("crack, Größe, 12 %")) == ()


def test_without_any_font_it_is_said_once_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_others", lambda: ())
    with pytest.warns(UserWarning, match=r"No font of this machine writes '割'.*samix\[ja\]"):
        fonts_for(frozenset("割 a"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fonts_for(frozenset("割 a"))


@packaged
def test_a_font_of_the_machine_comes_before_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = fonts._packaged()
    assert own is not None
    found = [("IPAexGothic", str(own)), ("Noto Sans CJK JP", str(own))]

    class Known:
        ttflist = tuple(type("Font", (), {"name": n, "fname": f}) for n, f in found)

        def addfont(self, path: Path) -> None:
            pass

    monkeypatch.setattr(fonts, "fontManager", Known())
    assert fonts_for(frozenset("割")) == ("Noto Sans CJK JP",)
