"""Every photo is decoded once before training, so that a corrupt one is found at the start."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from samix.data.collection import ImageSet, Progress
from samix.data.pixels import MAX_MEGAPIXELS
from samix.errors import UnreadableImageError
from samix.files import write_text

_Result = TypeVar("_Result")
_CHUNK = 64
_SIDE = 32  # px: decoding for a copy of that side shows whether a photo is whole


def threaded(
    work: Callable[[int], _Result],
    count: int,
    progress: Progress | None = None,
    *,
    chunk: int = _CHUNK,
) -> Iterable[_Result]:
    """Do the same for each position in several threads and yield the results in order.

    Args:
        work: What to do for a position.
        count: Number of positions.
        progress: Called with (done, count) now and then.
        chunk: Positions that a thread takes at once.

    Yields:
        One result a position, from 0 on.
    """
    chunks = [range(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        done = pool.map(lambda part: [work(i) for i in part], chunks)
        for part, results in zip(chunks, done, strict=True):
            yield from results
            if progress is not None:
                progress(part.stop, count)
    finally:
        pool.shutdown(cancel_futures=True)  # what has not begun is not waited for


def find_corrupt(
    images: ImageSet,
    files: Iterable[Path] | None = None,
    *,
    max_megapixels: int = MAX_MEGAPIXELS,
    progress: Progress | None = None,
) -> dict[int, str]:
    """Decode every photo and report those that cannot be read.

    Args:
        images: The photos.
        files: The files that hold them. Where they are given, the outcome is kept in the user's
            cache folder, and of the same files (path, size, time of change) only the corrupt
            photos are decoded again.
        max_megapixels: What the photos were opened with: a record holds for one limit.
        progress: Called with (done, total) now and then.

    Returns:
        The reason for each photo that cannot be read, by position.
    """

    def reason(index: int) -> str | None:
        try:
            images.read_for(index, _SIDE)
        except UnreadableImageError as error:
            return str(error)
        return None

    record = None
    if files is not None:
        record = cache_folder() / "verified" / f"{_print(files, max_megapixels)}.json"
    if record is not None and record.is_file():
        with contextlib.suppress(OSError, ValueError):  # an unreadable record is made again
            suspects = [int(index) for index in json.loads(record.read_text())]
            return {index: why for index in suspects if (why := reason(index)) is not None}

    reasons = enumerate(threaded(reason, len(images), progress))
    corrupt = {index: why for index, why in reasons if why is not None}
    if record is not None:
        with contextlib.suppress(OSError):  # without a record the photos are decoded again
            record.parent.mkdir(parents=True, exist_ok=True)
            write_text(record, json.dumps(list(corrupt)))
    return corrupt


def cache_folder() -> Path:
    """Return the folder for what can be made again: SAMIX_CACHE, or samix in the user's cache."""
    own = os.environ.get("SAMIX_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base, "samix")


def _print(files: Iterable[Path], max_megapixels: int) -> str:
    """Return a fingerprint of some files from their paths, sizes and times of change."""
    digest = hashlib.sha256(f"{max_megapixels}\n".encode())
    for file in files:
        try:
            status = file.stat()
            line = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except OSError:
            line = f"{file}\0missing\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
