"""Image sets in parquet files with the layout of Hugging Face.

Row groups are unpacked one at a time, a few rows after the other, so that memory stays bounded.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from samix.data.depth import Depth
from samix.data.image_set import NO_LABEL, ImageSet, SplitName, in_order, natural_key, split_of
from samix.data.reading import decode
from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS
from samix.plain_json import parse_json

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MEMORY_LIMIT = 8 * 2**30  # bytes of encoded photos that are kept in memory
MOST_ROWS = 2**24  # of all files of a set; ImageNet-21k has 14 million photos
# Photos hardly get smaller when they are packed: what unpacks to more than this multiple of its
# files is read by row groups, of which few stay in memory.
_UNPACKED = 2
_SMALL_SET = 2**28  # bytes that any set may unpack to
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
_DEPTH = 32  # levels of lists and structs in one column
_ROWS = 1024  # that are unpacked at once, where their values are small
_PIECES = 8  # into which the limit is divided at least
_BUFFER = 2**20  # bytes of a file that are read at once


@dataclass(frozen=True)
class ParquetReader:
    """Reads photos of several parquet files by position; encoded bytes stay in memory if they fit.

    Attributes:
        root: The folder that files are relative to.
        files: The files.
        starts: Position of the first photo of each file.
        groups: File and number of each row group.
        group_starts: Position of the first photo of each row group.
        column: Path of the column of photos.
        kept: Row groups in memory.
        max_megapixels: Larger photos are not read.
        depth: What is white in photos of more than 8 bits.
    """

    root: str
    files: tuple[str, ...]
    starts: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]
    group_starts: tuple[int, ...]
    column: str
    kept: GroupCache = field(compare=False)
    max_megapixels: int = MAX_MEGAPIXELS
    depth: Depth | None = None

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        return self.reduced(index)

    def reduced(self, index: int, side: int | None = None) -> Image.Image:
        """Return the photo at a position for a copy of a side in px; None is in full."""
        at = bisect_right(self.starts, index) - 1
        key = f"{self.files[at]}#{index - self.starts[at]}"
        limit = self.max_megapixels
        return decode(self.encoded(index), key, side=side, max_megapixels=limit, depth=self.depth)

    def encoded(self, index: int) -> bytes:
        """Return the encoded photo at a position; empty where there is none."""
        at = bisect_right(self.group_starts, index) - 1
        data: Any = self._group(at)[index - self.group_starts[at]].as_py()
        if isinstance(data, dict):
            data = data["bytes"]
        return b"" if data is None else bytes(data)

    def keep(self) -> None:
        """Read row groups into memory until it is full, so that forked workers share them."""
        for at in range(len(self.groups)):
            self._group(at)
            if self.kept.full:
                return

    def _group(self, at: int) -> pa.ChunkedArray:
        number, group = self.groups[at]
        path = Path(self.root, self.files[number])
        unpack = partial(unpack_group, path, self.column, group, self.kept.limit)
        return self.kept.get(at, unpack)


@dataclass(frozen=True)
class _Labels:
    """The label column of one file: classes by name, None where numbers have no names."""

    classes: tuple[str, ...] | None
    values: list[Any]


def open_parquet(
    root: Path, files: list[Path], *, max_megapixels: int = MAX_MEGAPIXELS
) -> ImageSet:
    """List the photos of parquet files.

    The photo column is a struct with `bytes` (or plain binary), the label column holds positions
    whose class names stand in the file's metadata, or class names. The split comes from the file
    name: `train-00000-of-00001.parquet`.

    Photos stay in memory as they are encoded, up to twice the size of the files and up to
    MEMORY_LIMIT. What unpacks to more is read by row groups, each of which must fit.

    Args:
        root: The folder that keys are relative to.
        files: The parquet files below it.
        max_megapixels: Larger photos are not read.

    Returns:
        The photos in the order of files and rows.

    Raises:
        InputError: A file is unreadable or too large, has no photo column, or the files disagree
            about their classes.
    """
    ordered = sorted(files, key=lambda file: natural_key(file.relative_to(root).as_posix()))
    limit = _memory_for(sum(file.stat().st_size for file in ordered))
    names = tuple(file.relative_to(root).as_posix() for file in ordered)
    metadata = [read_metadata(file) for file in ordered]
    counts = [one.num_rows for one in metadata]
    if sum(counts) > MOST_ROWS:
        msg = f"parquet files in '{root}' hold {sum(counts)} rows, expected at most {MOST_ROWS}"
        raise InputError(f"{msg}; give the folder of fewer files")
    schemas = [one.schema.to_arrow_schema() for one in metadata]
    found = [_photo_column(file, one) for file, one in zip(ordered, schemas, strict=True)]
    column = found[0]
    other = next((name for name in found if name != column), None)
    if other is not None:
        msg = f"parquet files in '{root}' have photos in '{column}' and in '{other}'"
        raise InputError(f"{msg}; give the folder of one set")
    labels = [
        _labels(file, schema, one, limit)
        for file, schema, one in zip(ordered, schemas, metadata, strict=True)
    ]
    classes, targets = _numbered(root, labels, counts)
    reader = _reader(root, names, metadata, column, GroupCache(limit), max_megapixels)
    if sum(_packed(one, column) for one in metadata) <= limit:
        reader.keep()
    return ImageSet(
        name=root.resolve().name,
        classes=classes,
        keys=tuple(f"{n}#{row}" for n, c in zip(names, counts, strict=True) for row in range(c)),
        targets=targets,
        given_split=tuple(s for n, c in zip(names, counts, strict=True) for s in [_split(n)] * c),
        given_group=(None,) * sum(counts),
        read=reader,
        encoded=reader.encoded,
    )


def _memory_for(size: int) -> int:
    return min(MEMORY_LIMIT, max(_SMALL_SET, _UNPACKED * size))


def _packed(metadata: pq.FileMetaData, column: str) -> int:
    return sum(packed_size(metadata, column, group) for group in range(metadata.num_row_groups))


def _reader(
    root: Path,
    names: tuple[str, ...],
    metadata: list[pq.FileMetaData],
    column: str,
    kept: GroupCache,
    max_megapixels: int,
) -> ParquetReader:
    groups = tuple(
        (file, group) for file, one in enumerate(metadata) for group in range(one.num_row_groups)
    )
    rows = [metadata[file].row_group(group).num_rows for file, group in groups]
    return ParquetReader(
        root=str(root),
        files=names,
        starts=tuple(accumulate((one.num_rows for one in metadata), initial=0))[:-1],
        groups=groups,
        group_starts=tuple(accumulate(rows, initial=0))[:-1],
        column=column,
        kept=kept,
        max_megapixels=max_megapixels,
    )


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return what the Hugging Face metadata says about each column, or nothing."""
    raw = (schema.metadata or {}).get(b"huggingface")
    try:
        features = parse_json(raw)["info"]["features"] if raw else {}
    except (ValueError, KeyError, TypeError):
        return {}  # the columns say what they are, too
    return features if isinstance(features, dict) else {}


def _photo_column(file: Path, schema: pa.Schema) -> str:
    """Return the path of the column that holds encoded photos."""
    for one in schema:
        kind = one.type
        inner = kind.get_field_index("bytes") if str(kind).startswith("struct") else -1
        if inner >= 0 and _is_binary(kind.field(inner).type):
            return f"{one.name}.bytes"
        if _is_binary(kind):
            return str(one.name)
    columns = ", ".join(schema.names)
    msg = (
        f"'{file}' has no column of encoded photos, only {columns}; expected a struct with "
        "'bytes', as Hugging Face writes images"
    )
    raise InputError(msg)


def _is_binary(kind: pa.DataType) -> bool:
    return str(kind) in {"binary", "large_binary"}


def _labels(file: Path, schema: pa.Schema, metadata: pq.FileMetaData, limit: int) -> _Labels | None:
    """Read the label column of one file, or None where it has none."""
    import pyarrow as pa  # noqa: PLC0415 - only image sets in parquet need it

    features = _features(schema)
    named = [
        n for n, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"
    ]
    name = next((n for n in (*_LABEL_COLUMNS, *named) if n in schema.names), None)
    if name is None:
        return None
    kind = schema.field(name).type
    if pa.types.is_nested(kind):
        msg = f"column '{name}' of '{file}' holds {kind}, expected one number or name a photo"
        raise InputError(f"{msg}; write such a column, or name this one otherwise")
    values: list[Any] = []
    texts: dict[Any, Any] = {}  # a name that comes again is one object
    for group in range(metadata.num_row_groups):
        for part in unpack_group(file, name, group, limit).chunks:
            values += (texts.setdefault(value, value) for value in part.to_pylist())
    names = features.get(name, {}).get("names") if name in named else None
    if isinstance(names, dict):
        names = [names[position] for position in sorted(names, key=int)]
    return _Labels(None if names is None else tuple(names), values)


def _numbered(
    root: Path, labels: list[_Labels | None], counts: list[int]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Turn the labels of all files into class names and one position a photo."""
    known = [label for label in labels if label is not None]
    if len({label.classes for label in known}) > 1:
        msg = f"parquet files in '{root}' disagree about their classes; give the folder of one set"
        raise InputError(msg)
    values = [
        value
        for label, count in zip(labels, counts, strict=True)
        for value in ([None] * count if label is None else label.values)
    ]
    classes = known[0].classes if known else ()
    if classes is not None:
        outside = next((v for v in values if v is not None and not -1 <= v < len(classes)), None)
        if outside is not None:
            msg = f"label {outside} in '{root}' has no name among {len(classes)} classes"
            raise InputError(msg)
        return classes, tuple(NO_LABEL if value is None else value for value in values)
    texts = [None if value in {None, NO_LABEL} else str(value) for value in values]
    found = in_order({text for text in texts if text is not None})
    number = {text: i for i, text in enumerate(found)}
    return tuple(found), tuple(NO_LABEL if t is None else number[t] for t in texts)


def _split(name: str) -> SplitName | None:
    """Return the split in a file name such as `train-00000-of-00001.parquet`."""
    words = re.split(r"[^A-Za-z]+", Path(name).name.removesuffix(".parquet"))
    return next((split for word in words if (split := split_of(word)) is not None), None)


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
