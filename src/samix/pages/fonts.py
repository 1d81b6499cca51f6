"""Fonts for names that matplotlib's own font cannot write, such as classes 良品 and 割れ.

matplotlib draws a letter that its font lacks as an empty box. A font of the machine that has the
letters is looked for; where there is none, that of the package ``matplotlib-fontja`` (the extra
``ja``) is taken.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

_PREFERRED = (
    "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", "Meiryo", "BIZ UDGothic",
    "IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic", "MS Gothic",
)  # fmt: skip
_PACKAGE = "matplotlib_fontja"


def give_fonts(text: Text) -> None:
    """Let a text of a figure be written in fonts that have its letters, as far as there are any."""
    more = fonts_for(frozenset(text.get_text()))
    if more:
        text.set_fontfamily([*text.get_fontfamily(), *more])


@cache
def fonts_for(letters: frozenset[str]) -> tuple[str, ...]:
    """Return the families that write what matplotlib's usual font lacks, if anything.

    Letters that no font has are told once, in a warning that names the extra.
    """
    wanted = frozenset(one for one in letters if one.isprintable())
    missing = wanted - _letters(findfont(FontProperties(family=rcParams["font.family"])))
    found: list[str] = []
    for family, path in _others() if missing else ():
        if missing & _letters(path):
            found.append(family)
            missing -= _letters(path)
        if not missing:
            break
    if missing:
        warnings.warn(
            f"No font of this machine writes '{''.join(sorted(missing))[:20]}' in pictures; "
            "install one, or samix[ja], which brings a Japanese one.",
            stacklevel=3,
        )
    return tuple(found)


@cache
def _others() -> tuple[tuple[str, str], ...]:
    """Return family and file of all other fonts, Japanese ones of even strokes first."""
    packaged = _packaged()
    if packaged is not None:
        fontManager.addfont(packaged)
    own = [
        (one.name, one.fname)
        for one in fontManager.ttflist
        # the last resort draws a box for every letter there is
        if Path(one.fname).is_file() and not one.name.startswith("Last Resort")
    ]
    rank = {name: at for at, name in enumerate(_PREFERRED)}
    return tuple(sorted(dict(own).items(), key=lambda one: (rank.get(one[0], len(rank)), one[0])))


def _packaged() -> Path | None:
    """Return the font file of the extra; its package itself would change matplotlib's settings."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "fonts" / "ipaexg.ttf"
    return file if file.is_file() else None


@cache
def _letters(path: str | Path) -> frozenset[str]:
    """Return the letters that a font file has; none for one that cannot be read."""
    try:
        return frozenset(map(chr, get_font(str(path)).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()
