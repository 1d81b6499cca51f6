"""Which columns of a Parquet file hold photos and classes, and what labels of any file mean."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from samix.errors import InputError
from samix.plain_json import parse_json

if TYPE_CHECKING:
    import pyarrow as pa

LABEL_COLUMNS = (
    "label", "labels", "fine_label", "class", "class_name", "class_label", "label_name", "target",
    "category", "cls",
)  # fmt: skip
"""Names of columns of classes, the first one before the others."""
PATH_COLUMNS = frozenset(
    (
        *("path", "file", "filename", "filepath", "image", "imagepath", "imagename", "imageid"),
        *("imagefile", "img", "imgpath", "imgname", "photo", "photopath", "name", "id", "idcode"),
        *("key", "ファイル", "ファイル名", "ファイルパス", "画像", "画像名", "パス"),
    )
)
"""Names of columns of paths, without blanks, underscores and case."""
_PHOTO_COLUMNS = (
    "image", "img", "photo", "picture", "jpg", "jpeg", "png", "webp", "image_bytes", "image_data",
    "bytes", "data", "content",
)  # fmt: skip
_NO_PHOTO = frozenset(
    (
        *("mask", "masks", "segmentation", "annotation", "depth", "label", "hash", "phash"),
        *("dhash", "md5", "sha", "sha1", "sha256", "checksum", "digest", "id", "uuid"),
        *("embedding", "thumbnail"),
    )
)
_MISSING = frozenset(("", "nan", "NaN", "NaT", "<NA>"))  # "None" may be a class of good parts
_AROUND = " []()'\""  # names in a list that was written as text
_WHOLE = re.compile(r"-?\d+(?:\.0+)?")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_MOST_BROKEN = 20  # classes that may be called by numbers with decimals, such as a concentration
_SNIFFED = 16  # rows whose photos are looked at where several columns may hold them


@dataclass(frozen=True)
class PhotoColumn:
    """Where a Parquet file has its photos."""

    encoded: str  # path of the column of bytes, such as "image.bytes"
    # path of the column with the name of the file that each was; None where there is none
    path: str | None = None

    @property
    def name(self) -> str:
        """The column as the schema calls it."""
        return self.encoded.partition(".")[0]


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """Return what the Hugging Face metadata says about each column, or nothing."""
    raw = (schema.metadata or {}).get(b"huggingface")
    try:
        features = parse_json(raw)["info"]["features"] if raw else {}
    except (ValueError, KeyError, TypeError):
        return {}  # the columns say what they are, too
    return features if isinstance(features, dict) else {}


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Return the names that the metadata gives to the numbers of a column, or None."""
    feature = features_of(schema).get(column)
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):
        names = [names[position] for position in sorted(names, key=int)]
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def photo_column(file: Path, schema: pa.Schema) -> PhotoColumn:
    """Return the column of encoded photos: by its kind, then by its name, then by a look."""
    found = _photo_columns(schema)
    if len(found) > 1:
        by_name = {column.name.lower(): column for column in found}
        named = next((by_name[name] for name in _PHOTO_COLUMNS if name in by_name), None)
        found = [c for c in found if _holds_photos(file, c)] if named is None else [named]
    if len(found) == 1:
        return found[0]
    columns = ", ".join(schema.names)
    if found:
        several = ", ".join(column.name for column in found)
        raise InputError(
            f"'{file}' has photos in several columns ({several}); call the one to learn from "
            "'image', or write the file without the others"
        )
    paths = [n for n in schema.names if plain_name(n) in PATH_COLUMNS]
    if paths and "string" in str(schema.field(paths[0]).type):
        raise InputError(
            f"'{file}' holds paths of photos (column '{paths[0]}'), no photos; give the folder of "
            "the photos as DATA, and this file as the table of their labels with `labels`"
        )
    raise InputError(
        f"'{file}' has no column of encoded photos, only {columns}; expected a struct with "
        "'bytes', as Hugging Face writes images"
    )


def may_hold_photos(schema: pa.Schema) -> bool:
    """Say whether a Parquet file has a column of bytes that may be photos."""
    return bool(_photo_columns(schema))


def _photo_columns(schema: pa.Schema) -> list[PhotoColumn]:
    """Return the columns of bytes that may be photos, those that are images by the metadata."""
    found = [column for one in schema if (column := _packed(one)) is not None]
    typed = [column for column in found if _is_type(schema, column.name, "Image")]
    named = {column: re.split(r"[^a-z0-9]+", column.name.lower()) for column in typed or found}
    return [column for column, words in named.items() if _NO_PHOTO.isdisjoint(words)]


def _packed(column: pa.Field) -> PhotoColumn | None:
    """Return where a column holds bytes that may be photos, or None where it has none."""
    kind = column.type
    if not str(kind).startswith("struct"):
        return PhotoColumn(column.name) if _is_binary(kind) else None
    inner = kind.get_field_index("bytes")
    if inner < 0 or not _is_binary(kind.field(inner).type):
        return None
    path = f"{column.name}.path" if kind.get_field_index("path") >= 0 else None
    return PhotoColumn(f"{column.name}.bytes", path)


def _is_binary(kind: pa.DataType) -> bool:
    return str(kind) in {"binary", "large_binary", "binary_view"}


def _is_type(schema: pa.Schema, column: str, kind: str) -> bool:
    feature = features_of(schema).get(column)
    return isinstance(feature, dict) and feature.get("_type") == kind


def _holds_photos(file: Path, column: PhotoColumn) -> bool:
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(file) as opened:
            batches = opened.iter_batches(_SNIFFED, columns=[column.encoded], use_threads=False)
            values = next(batches).column(0).to_pylist()
        plain = [value["bytes"] if isinstance(value, dict) else value for value in values]
        with Image.open(io.BytesIO(next(value for value in plain if value))):
            return True
    except Exception:  # Pillow and pyarrow raise anything at what is no photo
        return False


def label_column(file: Path, schema: pa.Schema, wanted: str | None) -> str | None:
    """Return the column of the classes that was named or is found, or None where there is none.

    Found is one with names of classes (ClassLabel), or else one that is called as such columns are.
    """
    import pyarrow as pa  # noqa: PLC0415

    names: list[str] = schema.names
    if wanted is not None and wanted not in names:
        raise InputError(
            f"label_column: expected a column of '{file}' ({', '.join(names)}), got '{wanted}'"
        )
    typed = [name for name in names if _is_type(schema, name, "ClassLabel")]
    found = wanted or next((n for n in LABEL_COLUMNS if n in typed), None)
    if found is None and len(typed) > 1:
        raise InputError(
            f"'{file}' has several columns of classes ({', '.join(typed)}); name one with "
            "`label_column`"
        )
    if found is None:
        plain = {plain_name(name): name for name in reversed(names)}
        called = (plain[plain_name(n)] for n in LABEL_COLUMNS if plain_name(n) in plain)
        found = typed[0] if typed else next(called, None)
    if found is not None and pa.types.is_nested(kind := schema.field(found).type):
        raise InputError(
            f"column '{found}' of '{file}' holds {kind}, expected one number or name a photo; "
            "write such a column, or name another one with `label_column`"
        )
    return found


def plain_name(name: str) -> str:
    """Return the name of a column without what people write differently."""
    return re.sub(r"[\s_.-]+", "", name).casefold()


def _check_single(known: Set[str], where: str) -> None:
    """Refuse texts that name several classes at once."""
    names = {text.strip(_AROUND) for text in known}
    for mark in "|;,、":
        several = (text for text in known if mark in text)
        one = next((t for t in several if names & {p.strip(_AROUND) for p in t.split(mark)}), None)
        if one is not None:
            raise InputError(
                f"{where} names several classes for a photo ('{one}'), expected one; keep the one "
                "that counts, or name another column with `label_column`"
            )


def as_labels(values: Sequence[object], where: str) -> list[str | None]:
    """Return labels of any kind but measurements as names of classes, None where there is none.

    Whole numbers have one form ("1.0" is "1"). Among them -1 means none, but where 1 is the only
    other one.
    """
    texts = [None if value is None else str(value).strip() for value in values]
    texts = [None if text in _MISSING else text for text in texts]
    known = {text for text in texts if text is not None}
    _check_single(known, where)
    broken = next((text for text in known if not _WHOLE.fullmatch(text)), None)
    if broken is not None:
        if len(known) > _MOST_BROKEN and all(map(_NUMBER.fullmatch, known)):
            raise InputError(
                f"{where} holds measurements such as {broken}, expected one class a photo; name "
                "the column of the classes with `label_column`"
            )
        return texts
    form = {text: text.partition(".")[0] for text in known}
    none = {"-1"} if len({*form.values()} - {"-1"}) > 1 else set()
    return [None if text is None or form[text] in none else form[text] for text in texts]
