r"""Texts from files as they may be shown: in a terminal, on a page, in a picture.

Names of files and classes may hold what a terminal obeys (escape sequences, line ends), and marks
that turn the order of letters around. They are shown as they would be written in a program:
``\x1b``, ``\n``, ``\u202e``. All letters, of any script, stay as they are.
"""

from __future__ import annotations

import re

_LINES = "\n\t"
# control characters, lone halves of a character, ends of lines and paragraphs, marks of direction,
# and what has no width: fillers, joiners of words, notes between lines, tags
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def shown(text: str, *, lines: bool = False) -> str:
    """Return a text with every character escaped that a terminal obeys or that cannot be seen.

    Args:
        text: Any text, such as a name of a file or a sentence that quotes one.
        lines: Keep the ends of lines and tabs, which a text of several lines has on purpose.
    """
    if text.isprintable():
        return text
    return _UNSEEN.sub(_kept if lines else _escaped, text)


def _kept(found: re.Match[str]) -> str:
    return found[0] if found[0] in _LINES else _escaped(found)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
