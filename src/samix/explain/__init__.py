"""What a run has learned: where it looks, how it mixes, and what its representation is like."""

from .explain import ExplainOptions, explain
from .subject import RunNetwork, RunPhotos, open_network, open_photos

__all__ = ["ExplainOptions", "RunNetwork", "RunPhotos", "explain", "open_network", "open_photos"]
