"""Image sets in parquet files with the layout of Hugging Face."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from samix.data.collection import NO_LABEL, ImageSet, SplitName, natural_key, split_of
from samix.data.pixels import decode
from samix.errors import InputError
from samix.plain_json import parse_json

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_LIMIT = 8 * 2**30  # bytes of encoded photos that are kept in memory
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")


@dataclass(frozen=True)
class ParquetReader:
    """Reads photos of several parquet files by position; the encoded bytes stay in memory."""

    root: str
    files: tuple[str, ...]
    starts: tuple[int, ...]
    column: str

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        file, row = self._place(index)
        return decode(self.encoded(index), f"{file}#{row}")

    def encoded(self, index: int) -> bytes:
        """Return the encoded photo at a position; empty where there is none."""
        file, row = self._place(index)
        data: bytes | None = _encoded(str(Path(self.root, file)), self.column)[row].as_py()
        return b"" if data is None else data

    def _place(self, index: int) -> tuple[str, int]:
        """Return the file and the row of a position."""
        at = bisect_right(self.starts, index) - 1
        return self.files[at], index - self.starts[at]


@dataclass(frozen=True)
class _Labels:
    """The label column of one file: classes by name, None where numbers have no names."""

    classes: tuple[str, ...] | None
    values: list[Any]


def open_parquet(root: Path, files: list[Path]) -> ImageSet:
    """List the photos of parquet files.

    The photo column is a struct with `bytes` (or plain binary), the label column holds positions
    whose class names stand in the file's metadata, or class names. The split comes from the file
    name: `train-00000-of-00001.parquet`.

    Args:
        root: The folder that keys are relative to.
        files: The parquet files below it.

    Returns:
        The photos in the order of files and rows.

    Raises:
        InputError: A file is unreadable or too large, has no photo column, or the files disagree
            about their classes.
    """
    ordered = sorted(files, key=lambda file: natural_key(file.relative_to(root).as_posix()))
    total = sum(file.stat().st_size for file in ordered)
    if total > MEMORY_LIMIT:
        msg = (
            f"parquet files in '{root}' hold {total / 2**30:.1f} GiB, more than the "
            f"{MEMORY_LIMIT / 2**30:.0f} GiB kept in memory; unpack them into class folders"
        )
        raise InputError(msg)
    names = tuple(file.relative_to(root).as_posix() for file in ordered)
    schemas = [_schema(file) for file in ordered]
    column = _photo_column(ordered[0], schemas[0])
    counts = [len(_encoded(str(file), column)) for file in ordered]
    labels = [_labels(file, schema) for file, schema in zip(ordered, schemas, strict=True)]
    classes, targets = _numbered(root, labels, counts)
    reader = ParquetReader(str(root), names, tuple(accumulate(counts, initial=0))[:-1], column)
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


def _schema(file: Path) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - only image sets in parquet need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"'{file}' is not a readable parquet file ({error}); fetch it again"
        raise InputError(msg) from error


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
    for field in schema:
        kind = str(field.type)
        if kind.startswith("struct") and "bytes: " in kind:
            return f"{field.name}.bytes"
        if kind in {"binary", "large_binary"}:
            return str(field.name)
    columns = ", ".join(schema.names)
    msg = (
        f"'{file}' has no column of encoded photos, only {columns}; expected a struct with "
        "'bytes', as Hugging Face writes images"
    )
    raise InputError(msg)


@cache
def _encoded(file: str, column: str) -> Any:
    """Return the encoded photos of one file; kept, so that forked workers share them."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(file, columns=[column])
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"'{file}' is not a readable parquet file ({error}); fetch it again"
        raise InputError(msg) from error
    photos = table.column(0)
    if pa.types.is_struct(photos.type):
        photos = pc.struct_field(photos, "bytes")
    return photos.cast(pa.large_binary()).combine_chunks()


def _labels(file: Path, schema: pa.Schema) -> _Labels | None:
    """Read the label column of one file, or None where it has none."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    features = _features(schema)
    named = [
        n for n, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"
    ]
    name = next((n for n in (*_LABEL_COLUMNS, *named) if n in schema.names), None)
    if name is None:
        return None
    values = pq.read_table(file, columns=[name]).column(0).to_pylist()
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
    found = sorted({text for text in texts if text is not None}, key=natural_key)
    number = {text: i for i, text in enumerate(found)}
    return tuple(found), tuple(NO_LABEL if t is None else number[t] for t in texts)


def _split(name: str) -> SplitName | None:
    """Return the split in a file name such as `train-00000-of-00001.parquet`."""
    words = re.split(r"[^A-Za-z]+", Path(name).name.removesuffix(".parquet"))
    return next((split for word in words if (split := split_of(word)) is not None), None)
