"""Pictures of what a run did."""

from .mixes import draw_mixes

__all__ = ["draw_mixes"]
