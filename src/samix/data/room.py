"""How many large photos are in memory at once, over all threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

ROOM = 200_000_000  # px of large photos that threads hold at once; one may have more


class _Room:
    """Pixels of large photos that are in memory, and how many each thread holds of them."""

    changed = threading.Condition()
    taken = 0
    own = threading.local()


@contextmanager
def room_for(pixels: int) -> Iterator[None]:
    """Wait until a large photo fits beside those of other threads.

    Within :func:`kept_room` its room stays taken until that ends, otherwise until this ends. A
    thread that holds a photo already does not wait, so that threads never wait for each other.

    Args:
        pixels: Pixels of the photo.
    """
    kept: ExitStack | None = getattr(_Room.own, "kept", None)
    if kept is None:
        with _taken(pixels):
            yield
    else:
        kept.enter_context(_taken(pixels))
        yield


@contextmanager
def kept_room() -> Iterator[None]:
    """Keep the room of large photos that are read inside, for what is done with them there."""
    with ExitStack() as kept:
        _Room.own.kept = kept
        try:
            yield
        finally:
            _Room.own.kept = None


@contextmanager
def _taken(pixels: int) -> Iterator[None]:
    held = getattr(_Room.own, "held", 0)
    with _Room.changed:
        _Room.changed.wait_for(lambda: held or not _Room.taken or _Room.taken + pixels <= ROOM)
        _Room.taken += pixels
    _Room.own.held = held + pixels
    try:
        yield
    finally:
        _Room.own.held -= pixels
        with _Room.changed:
            _Room.taken -= pixels
            _Room.changed.notify_all()
