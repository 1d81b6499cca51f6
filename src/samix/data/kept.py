"""What was kept of the photos of a set when they were first decoded, so that nobody does it again.

:func:`samix.data.verifying.verify` fills it; near-duplicates and the loaders of a run read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass
class Print:
    """What tells one photo from others."""

    content: str  # hash of the photo as it is stored
    size: tuple[int, int]  # width and height in px
    grey: NDArray[np.uint8]  # (S, S) uint8, the whole photo squeezed to a square
    reduced: bool  # whether it was reduced while it was decoded


@dataclass
class KeptPhotos:
    """What is kept of some photos of a set, by position. It stays in the process that made it.

    Photos of more than 8 bits are not among them: how they look depends on the others.
    """

    prints: dict[int, Print] = field(default_factory=dict)  # what tells photos from others
    # (3, S, S) uint8 copies, by side S and position
    copies: dict[int, dict[int, Tensor]] = field(default_factory=dict)

    def subset(self, chosen: Sequence[int]) -> KeptPhotos:
        """Return what is kept of the photos at some positions, by position among them."""

        def of(known: dict[int, Tensor]) -> dict[int, Tensor]:
            return {new: known[old] for new, old in enumerate(chosen) if old in known}

        prints = {new: self.prints[old] for new, old in enumerate(chosen) if old in self.prints}
        return KeptPhotos(prints, {side: of(known) for side, known in self.copies.items()})

    def copy(self, index: int, side: int) -> Tensor | None:
        """Return the copy of a photo; None where there is none."""
        return self.copies.get(side, {}).get(index)

    def drop(self, index: int, side: int) -> None:
        """Forget the copy of a photo that is kept elsewhere now."""
        self.copies.get(side, {}).pop(index, None)

    def __reduce__(self) -> tuple[type[KeptPhotos], tuple[()]]:
        return KeptPhotos, ()  # copies are not sent to other processes
