"""What the page of `samix ui` is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .ui_photos import Offer
from .ui_uploads import Uploads


@dataclass(frozen=True)
class Context:
    """What the page shows, and all that it may read.

    Attributes:
        policies: Those to choose from.
        uploads: The photos that are dropped in.
        offer: Photos to choose from; None offers none.
        report: The report.html of a study; None shows none.
    """

    policies: tuple[str, ...]
    uploads: Uploads
    offer: Offer | None = None
    report: Path | None = None
