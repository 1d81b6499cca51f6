"""Figures as files."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG that appears as a whole or not at all."""
    partial = Path(f"{path}.{os.getpid()}.partial")
    figure.savefig(partial, format="png")
    partial.replace(path)
