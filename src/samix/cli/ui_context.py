"""What the page of `samix ui` is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samix.data import ImageSet


@dataclass(frozen=True)
class Report:
    """The report of a study.

    Attributes:
        page: Its report.html.
        verdict: Its verdict by language.
    """

    page: Path
    verdict: Mapping[str, str]


@dataclass(frozen=True)
class Context:
    """What the page shows.

    Attributes:
        policies: Those to choose from.
        images: Photos to choose from; None offers none.
        report: Of a study; None shows none.
    """

    policies: tuple[str, ...]
    images: ImageSet | None = None
    report: Report | None = None
