"""What a run has learned: where it looks, how it mixes, and what its representation is like.

The parts of an explanation take the same things: ``photos`` of the run, what its network says of
some of them (``looked``), the network with its policy (``subject``), ``pairs`` that are measured,
of which the first ``shown`` are shown, the ``seed`` of all that is drawn, and where to show
``progress``.
"""

from .explain import ExplainOptions, explain
from .subject import RunNetwork, RunPhotos, open_network, open_photos

__all__ = ["ExplainOptions", "RunNetwork", "RunPhotos", "explain", "open_network", "open_photos"]
