"""The mixes of `samix ui` as HTML: one card a policy; every word of the user is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from torch import Tensor

from samix.pages.parts import image_png

from .ui_mix import Seen

STYLE = """
.mixes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr));
  gap: 1rem; }
.mixes article { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: .8rem;
  min-width: 0; }
.mixes h3 { margin: 0 0 .2rem; font-size: 1.1rem; }
.mixes .pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
.mixes figure { margin: 0; }
.mixes img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: auto;
  border: 1px solid var(--border-color-primary); display: block; }
.mixes figcaption { font-size: .85rem; }
.mixes .label { font-weight: 600; margin: .5rem 0 .2rem; overflow-wrap: anywhere; }
.mixes p { margin: .2rem 0; font-size: .9rem; overflow-wrap: anywhere; }
.mixes .badge { display: inline-block; padding: 0 .5rem; border-radius: 4px; font-size: .85rem;
  border: 1px solid currentColor; }
.mixes .accepted { color: #1c6b3f; } .mixes .rejected { color: #a3252b; }
.photo img { width: 100%; height: 100%; object-fit: contain; }
.dark .mixes .accepted { color: #7ed3a4; } .dark .mixes .rejected { color: #ff9a9a; }
"""
"""Rules of the cards, for the head of the page."""


def cards(seen: Sequence[Seen]) -> str:
    """Return the cards of all policies."""
    return f'<div class="mixes">{"".join(_card(one) for one in seen)}</div>'


def message(text: str) -> str:
    """Return a sentence where there are no cards."""
    return f"<p>{escape(text)}</p>"


def _card(seen: Seen) -> str:
    row = seen.row
    mask, mix = row.pictures[2:]
    numbers = f"lam {row.lam:.2f}, area {row.area:.2f}, label uses {row.weight:.2f}"
    lines = [numbers, *([] if seen.moved else [_OWN_LAM]), *seen.rules]
    pictures = _figure(mask, "mask: white shows the original") + _figure(mix, "mix")
    return (
        f"<article><h3>{escape(seen.name)} {_badge(seen.accepted)}</h3>"
        f'<div class="pictures">{pictures}</div>'
        f'<div class="label">{escape(row.label_text)}</div>'
        f"{''.join(f'<p>{escape(line)}</p>' for line in lines)}</article>"
    )


_OWN_LAM = "This policy finds lam itself; the slider does not move it."


def _badge(accepted: bool | None) -> str:
    if accepted is None:
        return ""
    word = "accepted" if accepted else "rejected"
    return f'<span class="badge {word}">guard: {word}</span>'


def _figure(picture: Tensor, caption: str) -> str:
    data = base64.b64encode(image_png(picture)).decode()
    alt = escape(caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{alt}">'
        f"<figcaption>{alt}</figcaption></figure>"
    )
