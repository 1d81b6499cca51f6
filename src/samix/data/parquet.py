"""Image sets in parquet files with the layout of Hugging Face.

Row groups are unpacked one at a time, a few rows after the other, so that memory stays bounded.
"""

from __future__ import annotations

import contextlib
import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.data.columns import (
    PhotoColumn,
    as_labels,
    class_names,
    label_column,
    photo_column,
    plain_name,
)
from samix.data.image_set import NO_LABEL, ImageSet, SplitName, class_numbers, natural_key, split_of
from samix.data.reader import PhotoReader
from samix.errors import CorruptImageError, InputError
from samix.files import MAX_MEGAPIXELS, within

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MEMORY_LIMIT = 8 * 2**30  # bytes of encoded photos that are kept in memory
MOST_ROWS = 2**24  # of all files of a set; ImageNet-21k has 14 million photos
# Photos hardly get smaller when they are packed: what unpacks to more than this multiple of its
# files is read by row groups, of which few stay in memory.
_UNPACKED = 2
_SMALL_SET = 2**28  # bytes that any set may unpack to
_SHARD = re.compile(r"(.+?)-(\d+)-of-(\d+).*")
_NOT_READ = frozenset(("split", "group"))  # parts are said by files, groups by tables
_DEPTH = 32  # levels of lists and structs in one column
_ROWS = 1024  # that are unpacked at once, where their values are small
_PIECES = 8  # into which the limit is divided at least
_BUFFER = 2**20  # bytes of a file that are read at once


@dataclass(frozen=True)
class ParquetPhotos:
    """Encoded photos of several parquet files by position, which stay in memory if they fit."""

    root: str  # the folder that files are relative to
    files: tuple[str, ...]
    starts: tuple[int, ...]  # position of the first photo of each file
    groups: tuple[tuple[int, int], ...]  # file and number of each row group
    group_starts: tuple[int, ...]  # position of the first photo of each row group
    column: PhotoColumn  # where each file has its photos
    kept: GroupCache = field(compare=False)  # row groups in memory

    def __call__(self, index: int) -> bytes:
        """Return the encoded photo at a position; empty where there is none."""
        data = self._value(index, self.column.encoded)
        if data is None and self.column.path is not None:
            name = self._value(index, self.column.path)
            return b"" if name is None else self._beside(index, str(name))
        return b"" if data is None else bytes(data)

    def _value(self, index: int, column: str) -> Any:
        """Return a value of a column of photos."""
        at = bisect_right(self.group_starts, index) - 1
        value: Any = self._group(at, column)[index - self.group_starts[at]].as_py()
        return value[column.rpartition(".")[2]] if isinstance(value, dict) else value

    def _beside(self, index: int, name: str) -> bytes:
        """Return the file that a row names instead of its bytes."""
        root = Path(self.root)
        here = Path(self.files[bisect_right(self.starts, index) - 1]).parent
        for path in (name, str(here / name)):
            with contextlib.suppress(OSError, ValueError):
                return within(root, path.replace("\\", "/")).read_bytes()
        raise CorruptImageError(
            f"photo '{self._key(index)}' has no bytes, only the path '{name}', which is no file "
            f"below '{root}'; put the photos there, or write their bytes into the file"
        )

    def _key(self, index: int) -> str:
        at = bisect_right(self.starts, index) - 1
        return f"{self.files[at]}#{index - self.starts[at]}"

    def keep(self) -> None:
        """Read row groups into memory until it is full, so that forked workers share them."""
        for at in range(len(self.groups)):
            self._group(at, self.column.encoded)
            if self.kept.full:
                return

    def _group(self, at: int, column: str) -> pa.ChunkedArray:
        number, group = self.groups[at]
        path = Path(self.root, self.files[number])
        unpack = partial(unpack_group, path, column, group, self.kept.limit)
        return self.kept.get((at, column), unpack)


@dataclass(frozen=True)
class _Labels:
    """The label column of one file: its name and kind, and classes by name or None."""

    column: str
    kind: str
    classes: tuple[str, ...] | None
    values: list[Any]


def open_parquet(
    root: Path,
    files: list[Path],
    *,
    need_labels: bool = False,
    label_column: str | None = None,
    max_megapixels: int = MAX_MEGAPIXELS,
) -> ImageSet:
    """List the photos of parquet files, in the order of files and rows.

    The photo column is a struct with `bytes` (or plain binary), the label column holds positions
    whose class names stand in the file's metadata, or class names. The split comes from the file
    name (`train-00000-of-00001.parquet`), or from a folder above it. A photo whose bytes are
    missing is the file that its `path` names below the root.

    Photos stay in memory as they are encoded, up to twice the size of the files and up to
    MEMORY_LIMIT. What unpacks to more is read by row groups, each of which must fit.
    """
    ordered = sorted(files, key=lambda file: natural_key(file.relative_to(root).as_posix()))
    unpacked = _UNPACKED * sum(file.stat().st_size for file in ordered)
    limit = min(MEMORY_LIMIT, max(_SMALL_SET, unpacked))
    names = tuple(file.relative_to(root).as_posix() for file in ordered)
    notes = (*check_configurations(root, names), *missing_shards(names))
    metadata = [read_metadata(file) for file in ordered]
    counts = [one.num_rows for one in metadata]
    if sum(counts) > MOST_ROWS:
        msg = f"parquet files in '{root}' hold {sum(counts)} rows, expected at most {MOST_ROWS}"
        raise InputError(f"{msg}; give the folder of fewer files")
    schemas = [one.schema.to_arrow_schema() for one in metadata]
    column = _one_photo_column(root, ordered, schemas)
    there = label_column in {name for schema in schemas for name in schema.names}
    labels = [
        None
        if there and label_column not in schema.names  # such as a test part without labels
        else _labels(file, schema, one, limit, label_column)
        for file, schema, one in zip(ordered, schemas, metadata, strict=True)
    ]
    if need_labels and not any(labels):
        raise InputError(
            f"'{ordered[0]}' has no column of classes, only {', '.join(schemas[0].names)}; name "
            "theirs with `label_column`"
        )
    classes, targets = _numbered(root, ordered, labels, counts)
    photos = _photos(root, names, metadata, column, GroupCache(limit))
    if sum(map(partial(_packed, column.encoded), ordered, metadata)) <= limit:
        photos.keep()
    keys = tuple(f"{n}#{row}" for n, c in zip(names, counts, strict=True) for row in range(c))
    reader = PhotoReader(photos, keys, max_megapixels)
    ignored = [n for n in schemas[0].names if plain_name(n) in _NOT_READ and n != label_column]
    notes += tuple(f"Column '{n}' of the Parquet files is not used." for n in ignored)
    return packed_set(root, reader, classes, targets, parts_of_files(names, counts), notes)


def packed_set(
    root: Path,
    reader: PhotoReader,
    classes: tuple[str, ...],
    targets: tuple[int, ...],
    parts: tuple[SplitName | None, ...],
    notes: tuple[str, ...],
) -> ImageSet:
    """Return the set of photos that files hold, ungrouped; one target and one part a photo."""
    unlabelled = targets.count(NO_LABEL)
    if classes and unlabelled:
        notes = (*notes, f"{unlabelled:,} of {len(targets):,} photos have no label.")
    return ImageSet(
        name=root.resolve().name,
        classes=classes,
        keys=reader.keys,
        targets=targets,
        given_split=parts,
        given_group=(None,) * len(reader.keys),
        read=reader,
        encoded=reader.encoded,
        notes=notes,
    )


def parts_of_files(names: Sequence[str], counts: Sequence[int]) -> tuple[SplitName | None, ...]:
    """Return the part that each photo's file names, for files of so many photos each."""
    given = zip(map(file_split, names), counts, strict=True)
    return tuple(part for part, count in given for _ in range(count))


def _one_photo_column(root: Path, files: list[Path], schemas: list[pa.Schema]) -> PhotoColumn:
    """Return the column of photos, which is the same in all files."""
    found = [photo_column(file, one) for file, one in zip(files, schemas, strict=True)]
    other = next((one for one in found if one != found[0]), None)
    if other is not None:
        raise InputError(
            f"parquet files in '{root}' have photos in '{found[0].encoded}' and in "
            f"'{other.encoded}'; give the folder of one set"
        )
    return found[0]


def file_split(name: str) -> SplitName | None:
    """Return the split that a file is of, by its name or by the nearest folder that tells."""
    *folders, last = name.split("/")
    words = re.split(r"[^A-Za-z]+", last.rpartition(".")[0])
    found = {split for word in words if (split := split_of(word)) is not None}
    if len(found) == 1:
        return found.pop()
    above = (split_of(folder) for folder in reversed(folders))
    return next((split for split in above if split is not None), None)


def check_configurations(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Refuse the files of several configurations of a set, which show the same photos otherwise.

    A note is returned where files of several folders are read as one set.
    """
    splits: dict[str, set[SplitName]] = {}
    for name in names:
        folders = [f for f in name.split("/")[:-1] if split_of(f) is None and f.lower() != "data"]
        splits.setdefault("/".join(folders), set()).update(filter(None, [file_split(name)]))
    if len(splits) < 2:
        return ()
    several = sorted(splits)
    twice = [one for one in several if any(splits[one] & splits[o] for o in several if o != one)]
    if twice:
        first = root / twice[-1]
        raise InputError(
            f"folder '{root}' holds several configurations of a set "
            f"({', '.join(one or '.' for one in twice[:3])}), each with its own "
            f"{min(splits[twice[-1]])} part; give the folder of one, such as '{first}'"
        )
    return (f"The files of {len(several)} folders are read as one set.",)


def missing_shards(names: Sequence[str]) -> tuple[str, ...]:
    """Return a note for each part of which files are not there, by names such as 00000-of-00002."""
    there: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if found := _SHARD.fullmatch(name):
            there.setdefault((found[1], int(found[3])), set()).add(int(found[2]))
    return tuple(
        f"Of the {count:,} files '{start}-*' only {len(numbers):,} are here."
        for (start, count), numbers in there.items()
        if len(numbers) < count
    )


def _packed(column: str, file: Path, metadata: pq.FileMetaData) -> int:
    with readable(file):
        return sum(packed_size(metadata, column, n) for n in range(metadata.num_row_groups))


def _photos(
    root: Path,
    names: tuple[str, ...],
    metadata: list[pq.FileMetaData],
    column: PhotoColumn,
    kept: GroupCache,
) -> ParquetPhotos:
    groups = tuple(
        (file, group) for file, one in enumerate(metadata) for group in range(one.num_row_groups)
    )
    rows = [metadata[file].row_group(group).num_rows for file, group in groups]
    return ParquetPhotos(
        root=str(root),
        files=names,
        starts=tuple(accumulate((one.num_rows for one in metadata), initial=0))[:-1],
        groups=groups,
        group_starts=tuple(accumulate(rows, initial=0))[:-1],
        column=column,
        kept=kept,
    )


def _labels(
    file: Path, schema: pa.Schema, metadata: pq.FileMetaData, limit: int, wanted: str | None
) -> _Labels | None:
    name = label_column(file, schema, wanted)
    if name is None:
        return None
    values: list[Any] = []
    texts: dict[Any, Any] = {}  # a name that comes again is one object
    for group in range(metadata.num_row_groups):
        found = unpack_group(file, name, group, limit)
        with readable(file):
            parts = [part.to_pylist() for part in found.chunks]
        for part in parts:
            values += (texts.setdefault(value, value) for value in part)
    kind = _form(schema.field(name).type)
    classes = class_names(schema, name) if kind != "names" else None
    return _Labels(name, kind, classes, values)


def _form(kind: pa.DataType) -> str:
    number = str(kind).startswith(("int", "uint", "float", "double", "half", "bool"))
    return "numbers" if number else "" if str(kind) == "null" else "names"


def _numbered(
    root: Path, files: list[Path], labels: list[_Labels | None], counts: list[int]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Turn the labels of all files into class names and one position a photo."""
    known = [label for label in labels if label is not None and label.kind]
    if len({label.classes for label in known}) > 1:
        msg = f"parquet files in '{root}' disagree about their classes; give the folder of one set"
        raise InputError(msg)
    if len({(label.column, label.kind) for label in known}) > 1:
        told = [
            f"'{file.name}' has {label.kind} in '{label.column}'"
            for file, label in zip(files, labels, strict=True)
            if label is not None and label.kind
        ]
        other = next(one for one in told if one.split(" has ")[1] != told[0].split(" has ")[1])
        raise InputError(
            f"parquet files in '{root}' have their labels in two forms ({told[0]}, {other}); give "
            "the folder of one set, or write one form"
        )
    values = [
        value
        for label, count in zip(labels, counts, strict=True)
        for value in ([None] * count if label is None else label.values)
    ]
    classes = known[0].classes if known else ()
    if classes is None:
        return class_numbers(as_labels(values, f"column '{known[0].column}' in '{root}'"))
    values = [None if value is None or value != value else value for value in values]  # noqa: PLR0124 - NaN
    outside = next((v for v in values if v is not None and not -1 <= v < len(classes)), None)
    if outside is not None:
        msg = f"label {outside} in '{root}' has no name among {len(classes)} classes"
        raise InputError(msg)
    return classes, tuple(NO_LABEL if value is None else int(value) for value in values)


class GroupCache:
    """Unpacked row groups, of which the last used stay in memory.

    Another process gets an empty one, unless it is forked from this. ``full`` says whether a group
    had to leave for another.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.full = False
        self._held = 0
        self._groups: OrderedDict[tuple[int, str], pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[GroupCache], tuple[int]]:
        return GroupCache, (self.limit,)

    def get(self, key: tuple[int, str], unpack: Callable[[], pa.ChunkedArray]) -> pa.ChunkedArray:
        """Return the column of a row group, unpacked where it is not in memory."""
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
    """Return what a file says about itself, without unpacking anything."""
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
    """Decode a column of a row group, a few rows at a time, up to a limit of bytes."""
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
    """Say in an InputError that a parquet file cannot be read."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"'{file}' takes more memory than there is; unpack the photos into class folders"
        ) from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        msg = f"'{file}' is not a readable parquet file ({error}); fetch it again"
        raise InputError(msg) from error


def _too_large(file: Path, size: int, limit: int) -> str:
    return (
        f"a row group of '{file}' unpacks to at least {size / 2**20:.0f} MiB, more than the "
        f"{limit / 2**20:.0f} MiB for files of this size; write smaller row groups "
        "(row_group_size=100), or take the photos out and unpack them into class folders"
    )
