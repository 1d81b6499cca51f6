"""The page of `samix ui`: what it shows first, and what it answers when something is moved."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from samix.errors import InputError
from samix.pages.parts import Language, Layout, Part, Points, page_text, parts_text
from samix.pages.words import Words, word

from .dropped import DroppedPhotos, inside
from .live_mix import Offer, Pair, mix_pair, open_shown
from .page import compared
from .server import Reply, Way

TEXT = 200  # characters that a text of the page may have
FIRST = ("mixup", "cutmix", "samix-p")  # policies that are compared when the page opens
_SEEDS = 2**53  # the largest whole number that JSON carries exactly
_CALL_BYTES = 16 * 2**10
_PAGES = {
    "report.html": "live-report", "explain.html": "live-explain", "preview.html": "live-preview",
    "check.html": "live-check", "evaluation.html": "live-evaluation", "run.html": "live-run",
    "bench.html": "live-bench",
}  # fmt: skip
_MOST_PAGES = 200
_DEEP = ("*", "*/*", "*/*/*")  # a page lies in the folder, one below it, or that of a study


@dataclass(frozen=True)
class ShownPage:
    """A page that was written earlier."""

    file: Path  # where it lies
    root: Path  # the folder that it must not lead out of
    what: Words  # which kind of page it is

    @property
    def name(self) -> str:
        """The folder that it lies in, below the one that was named."""
        below = self.file.parent.relative_to(self.root)
        return str(below) if below.parts else self.root.name


def find_pages(folder: Path) -> list[ShownPage]:
    """Return the pages of reports and runs in a folder and those below it, the newest first.

    Args:
        folder: A run, a study, or a folder of many. Links that lead out of it are not followed.
    """
    root = folder.resolve()
    found = [
        (file.stat().st_mtime, ShownPage(file, root, word(_PAGES[file.name])))
        for pattern in _DEEP
        for file in root.glob(pattern)
        if file.name in _PAGES and inside(root, file) is not None
    ]
    return [page for _, page in sorted(found, key=lambda one: -one[0])[:_MOST_PAGES]]


@dataclass
class LivePage:
    """What the page shows, and all that it may read."""

    policies: tuple[str, ...]  # those to choose from
    offer: Offer  # photos to choose from
    pages: Sequence[ShownPage] = ()  # reports and runs that it opens
    language: Language = "en"  # of the page
    dropped: DroppedPhotos = field(default_factory=DroppedPhotos)  # the photos that are dropped in
    _turn: threading.Lock = field(default_factory=threading.Lock)  # memory of one mix at a time

    def ways(self) -> dict[str, Way]:
        """Return what may be asked of the page."""
        return {
            "": Way(lambda body, number: Reply(self.text().encode())),
            "mix": Way(lambda body, number: Reply(self.mix(body).encode()), _CALL_BYTES),
            "draw": Way(self._draw, _CALL_BYTES),
            "photo": Way(self._photo, self.dropped.limits.photo_bytes),
            "page/N": Way(self._page),
        }

    def text(self) -> str:
        """Return the page, with a pair and its mixes shown already."""
        # the same pair each time: what is seen first can be talked about
        pair = self.offer.another_pair(random.Random(0))  # noqa: S311 - which photos are shown
        first = [name for name in self.policies if name in FIRST] or list(self.policies[:1])
        asked = {
            "sides": [{"position": place} for place in pair], "lam": 0.5, "seed": 0,
            "policies": first,
        }  # fmt: skip
        values = {
            "sides": [word("picture-original"), word("picture-partner")],
            "pair": pair,
            "choices": self.offer.choices(),
            "data": self.offer.images.name,
            "policies": [(name, name in first) for name in self.policies],
            "pages": self.pages,
            "mixes": self._mixes(asked),
            "longest": TEXT,
            "most": self.dropped.limits.photo_bytes,
        }
        layout = Layout("samix.preview", "ui.html", values, "ui.js")
        lead = word("live-lead")
        return page_text(word("live-title"), [], lead=lead, language=self.language, layout=layout)

    def mix(self, body: bytes) -> str:
        """Return what the policies make of a pair, as a piece of the page.

        Args:
            body: JSON: ``sides`` (each with a ``photo`` that was dropped in or a ``position`` of
                the list, and a ``name``), ``lam``, ``seed`` and ``policies``.

        Raises:
            InputError: It is not what the page sends, or a photo cannot be read.
        """
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError("the request must be a JSON object; open the page anew") from error
        if not isinstance(asked, dict):
            raise _refused("request", "a JSON object", asked)
        return self._mixes(asked)

    def _mixes(self, asked: Mapping[str, Any]) -> str:
        sides, names = asked.get("sides"), asked.get("policies")
        if not isinstance(sides, list) or len(sides) != 2:
            raise _refused("sides", "a list of two", sides)
        if not isinstance(names, list) or any(name not in self.policies for name in names):
            raise _refused("policies", "names of the list", names)
        lam, seed = asked.get("lam"), asked.get("seed")
        if isinstance(lam, bool) or not isinstance(lam, int | float) or not 0 <= lam <= 1:
            raise _refused("lam", "a number in [0, 1]", lam)
        if type(seed) is not int or not 0 <= seed < _SEEDS:
            raise _refused("seed", "a whole number of at least 0", seed)
        if not names:
            return self._piece([Points([word("live-no-policy")])])
        (original, first), (partner, second) = (self._side(one) for one in sides)
        pair = Pair(original, partner, (first, second), float(lam), seed)
        with self._turn:
            mixed = mix_pair(pair, open_shown(tuple(dict.fromkeys(names))))
            return self._piece([compared([(one.name, one.row) for one in mixed])])

    def _piece(self, parts: Sequence[Part]) -> str:
        return parts_text(parts, self.language)

    def _side(self, side: Any) -> tuple[Image.Image, str]:
        """Return a photo of the list or dropped in, and what it shows; others are refused."""
        if not isinstance(side, dict):
            raise _refused("sides", "a list of two objects", side)
        name, photo, position = (side.get(key) for key in ("name", "photo", "position"))
        if name is not None and not _is_text(name):
            raise _refused("name", f"a text of at most {TEXT} characters", name)
        if isinstance(photo, str):
            return self.dropped.read(photo), name or ""
        if type(position) is not int:
            raise _refused("position", "the number of a photo of the list", position)
        read, shown = self.offer.read(position)
        return read, shown if name is None else name

    def _draw(self, body: bytes, number: int) -> Reply:
        pair = self.offer.another_pair(random.Random())  # noqa: S311 - which photos are shown
        return Reply(json.dumps(pair).encode(), "application/json")

    def _photo(self, body: bytes, number: int) -> Reply:
        with self._turn:
            return Reply(json.dumps(self.dropped.add(body)).encode(), "application/json")

    def _page(self, body: bytes, number: int) -> Reply:
        """Return a page that was written earlier; a link out of its folder is not followed."""
        page = self.pages[number] if number < len(self.pages) else None
        found = None if page is None else inside(page.root, page.file)
        if found is None:
            raise InputError("the page is no longer in its folder; start samix ui anew")
        return Reply(found.read_bytes(), alone=True)


def _is_text(value: Any) -> bool:
    """Say whether a value is a short text that can be written down."""
    if not isinstance(value, str) or len(value) > TEXT:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _refused(what: str, expected: str, got: Any) -> InputError:
    """Return a complaint; what was sent is shortened."""
    said = type(got).__name__ if isinstance(got, (dict, list)) else repr(got)[:40]
    return InputError(f"the input '{what}' must be {expected}, got {said}; open the page anew")
