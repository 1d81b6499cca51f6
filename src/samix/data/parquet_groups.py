"""Row groups of parquet files, unpacked one at a time and within bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_ROWS = 2**24  # of all files of a set; ImageNet-21k has 14 million photos
_DEPTH = 32  # levels of lists and structs in one column
_ROWS = 1024  # that are unpacked at once, where their values are small
_PIECES = 8  # into which the limit is divided at least
_BUFFER = 2**20  # bytes of a file that are read at once


class GroupCache:
    """Unpacked row groups, of which the last used stay in memory.

    Another process gets an empty one, unless it is forked from this.

    Args:
        limit: Bytes that all groups may take, and so one.

    Attributes:
        full: Whether a group had to leave for another.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.full = False
        self._held = 0
        self._groups: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[GroupCache], tuple[int]]:
        return GroupCache, (self.limit,)

    def get(self, key: int, unpack: Callable[[], pa.ChunkedArray]) -> pa.ChunkedArray:
        """Return the row group of a number, unpacked where it is not in memory."""
        with self._lock:
            if key in self._groups:
                self._groups.move_to_end(key)
                return self._groups[key]
            values = unpack()
            self._held += values.nbytes
            while self._groups and self._held > self.limit:
                self._held -= self._groups.popitem(last=False)[1].nbytes
                self.full = True
            self._groups[key] = values
            return values


def read_metadata(file: Path) -> pq.FileMetaData:
    """Return what a file says about itself, without unpacking anything.

    Raises:
        InputError: It is no parquet file, or a column is nested too deep.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - only image sets in parquet need it

    with readable(file):
        found = pq.read_metadata(file)
    for number in range(found.num_columns):
        path = found.schema.column(number).path
        if path.count(".") >= _DEPTH:
            raise InputError(
                f"column '{path.partition('.')[0]}' of '{file}' is nested {path.count('.') + 1} "
                f"levels deep, expected at most {_DEPTH}; write the file without it"
            )
    return found


def packed_size(metadata: pq.FileMetaData, column: str, group: int) -> int:
    """Return how many bytes a column has in a row group before it is decoded.

    A value that comes again counts once where the file has a dictionary: what is decoded may be
    larger by far, but no single value is.
    """
    rows = metadata.row_group(group)
    columns = [rows.column(number) for number in range(rows.num_columns)]
    return sum(
        one.total_uncompressed_size
        for one in columns
        if one.path_in_schema == column or one.path_in_schema.startswith(f"{column}.")
    )


def unpack_group(file: Path, column: str, group: int, limit: int) -> pa.ChunkedArray:
    """Decode a column of a row group, a few rows at a time.

    Args:
        file: The parquet file.
        column: Path of the column.
        group: Number of the row group.
        limit: Bytes that it may take.

    Raises:
        InputError: It takes more, or cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    parts: list[Any] = []
    taken = 0
    # a file is read in small pieces, not a whole row group at a time
    with readable(file), pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
        packed = packed_size(opened.metadata, column, group)
        if packed > limit:
            raise InputError(_too_large(file, packed, limit))
        rows = max(1, min(_ROWS, limit // _PIECES // max(packed, 1)))
        found = opened.iter_batches(rows, row_groups=[group], columns=[column], use_threads=False)
        for batch in found:
            parts.append(batch.column(0))
            taken += parts[-1].nbytes
            if taken > limit:
                raise InputError(_too_large(file, taken, limit))
        expected = opened.metadata.row_group(group).num_rows
        whole = opened.schema_arrow.field(column.partition(".")[0]).type
        if sum(map(len, parts)) != expected:
            raise InputError(f"'{file}' is not a readable parquet file (rows are missing)")
    return pa.chunked_array(parts, parts[0].type if parts else whole)


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Say in a sentence that a parquet file cannot be read.

    Raises:
        InputError: It cannot.
    """
    import pyarrow as pa  # noqa: PLC0415

    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"'{file}' takes more memory than there is; unpack the photos into class folders"
        ) from error
    except (OSError, pa.ArrowException) as error:
        msg = f"'{file}' is not a readable parquet file ({error}); fetch it again"
        raise InputError(msg) from error


def _too_large(file: Path, size: int, limit: int) -> str:
    return (
        f"a row group of '{file}' unpacks to at least {size / 2**20:.0f} MiB, more than the "
        f"{limit / 2**20:.0f} MiB for files of this size; write smaller row groups "
        "(row_group_size=100), or take the photos out and unpack them into class folders"
    )
