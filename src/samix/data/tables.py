"""Tables about photos as people have them: CSV of any delimiter and encoding, JSON lines, Parquet.

`open_table` reads one, a `PhotoIndex` finds the photos that its paths mean, `with_labels` gives a
set the labels of a table, and `column_by_photo` any other column, such as groups.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samix.data.columns import LABEL_COLUMNS, PATH_COLUMNS, as_labels, class_names, plain_name
from samix.data.image_set import NO_LABEL, ImageSet, SplitName, class_numbers, split_of
from samix.data.kinds import IMAGE_SUFFIXES
from samix.data.parquet import read_metadata, readable
from samix.errors import InputError
from samix.plain_json import parse_json
from samix.shown import LIKE_LATIN, name_of

TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")
_BESIDE = (".csv", ".tsv", ".jsonl", ".parquet")  # tables that are looked at without being named
_LABELS = (*map(plain_name, LABEL_COLUMNS), "ラベル", "クラス", "分類", "正解")
_SPLITS = frozenset(("split", "set", "subset", "partition"))
_NO_LABELS = frozenset((*PATH_COLUMNS, *_SPLITS, "group", ""))
# columns that divide the photos in a way that is not read here
_LIKE_SPLITS = frozenset(("fold", "folds", "kfold", "istrain", "isval", "isvalid", "istest"))
_MARKS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
_NO_TEXT = {
    b"PK\3\4": "a spreadsheet or another packed file", b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "Parquet (give it the suffix .parquet)", b"\x1f\x8b": "compressed",
    b"%PDF": "a PDF", b"SQLite format 3\0": "a database", b"{\\rtf": "a document",
    b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
}  # fmt: skip
_DELIMITERS = "\t;,| "
_LOOKED = 100  # rows that show the delimiter


@dataclass(frozen=True)
class LabelTable:
    """A table of texts."""

    path: Path  # the file
    columns: tuple[str, ...]  # names of the columns; "1", "2" ... where the file names none
    rows: Sequence[tuple[str, ...]]  # one text a column each
    encoding: str = ""  # of a text file that is no UTF-8; otherwise empty
    nested: frozenset[str] = frozenset()  # columns that hold lists or structs, which have no text
    headless: bool = False  # the file names no columns

    def column(self, name: str) -> list[str]:
        """Return the texts of a column."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def named(self, *names: str) -> str | None:
        """Return the column that has one of some names, the first name before the others."""
        plain = {plain_name(column): column for column in reversed(self.columns)}
        return next((plain[name] for name in names if name in plain), None)


def open_table(path: str | Path) -> LabelTable:
    """Read a table: CSV with any delimiter in UTF-8, UTF-16 or cp932, JSON lines, or Parquet.

    A first row that holds the path of a photo is no header; the columns are then "1", "2" ...
    """
    path = Path(path).expanduser()
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise InputError(f"'{path}' is a spreadsheet; save it as CSV (UTF-8) and give that file")
    if path.suffix.lower() == ".json":
        raise InputError(
            f"'{path}' is one piece of JSON, expected a row a photo; save it as CSV, or as JSON "
            'lines (`.jsonl`) such as {"path": "a.png", "label": "good"}'
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror})") from error
    if found := next((what for begin, what in _NO_TEXT.items() if data.startswith(begin)), None):
        raise InputError(
            f"'{path}' is {found} by its content, expected a text of rows; save it as CSV (UTF-8) "
            "and give that file"
        )
    text, encoding = _decoded(data)
    if "\0" in text:
        raise InputError(f"'{path}' is no text, expected a table; save it as CSV (UTF-8)")
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path, text)
    try:
        rows = [row for row in _cells(text) if any(row)]
    except csv.Error as error:
        raise InputError(f"'{path}' is not a CSV file ({error})") from error
    if not rows:
        raise InputError(f"'{path}' is empty; expected a path and a value in each row")
    ragged = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if ragged is not None:
        raise InputError(
            f"'{path}' has {len(rows[ragged])} cells in row {ragged + 1} ('{rows[ragged][0]}'), "
            f"expected {len(rows[0])} as in the first; put texts with a delimiter into quotes"
        )
    headless = any(map(_is_file, rows[0]))
    names = [str(i + 1) for i in range(len(rows[0]))] if headless else rows.pop(0)
    cells = [tuple(name_of(cell.strip()) for cell in row) for row in rows]
    columns = _distinct(path, [name.strip() for name in names])
    return LabelTable(path, columns, cells, encoding, headless=headless)


def _is_file(cell: str) -> bool:
    return Path(cell).suffix.lower() in IMAGE_SUFFIXES


def _distinct(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    twice = next((name for name, count in Counter(names).items() if count > 1 and name), None)
    if twice is not None:
        raise InputError(
            f"the first row of '{path}' has '{twice}' twice, expected the names of the columns; "
            "keep one of these columns, or write names such as 'path' and 'label' above the rows"
        )
    return tuple(names)


def _decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a file, and its encoding where that is not UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), "UTF-16"
    pairs = data[:4096]
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(pairs) > 3 and pairs[start::2].count(0) * 3 > len(pairs):
            return data.decode(encoding, "replace"), "UTF-16"
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig"), ""
    # single letters with accents between plain ones are Latin, pairs of bytes Japanese
    for encoding in ("cp1252", "cp932") if LIKE_LATIN.fullmatch(data) else ("cp932",):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding), encoding
    return data.decode("utf-8-sig", "surrogateescape"), ""


def _cells(text: str) -> list[list[str]]:
    """Return the cells of each row, parted by the delimiter that gives all rows as many."""
    given = re.match(r"sep=(.)\r?\n", text)
    if given:
        return list(_rows(text[given.end() :], given[1]))
    for delimiter in _DELIMITERS:
        try:
            looked = [r for r in itertools.islice(_rows(text, delimiter), _LOOKED) if any(r)]
        except csv.Error:
            continue
        if looked and len(looked[0]) > 1 and len({len(row) for row in looked}) == 1:
            return list(_rows(text, delimiter))
    return list(_rows(text, ","))


def _rows(text: str, delimiter: str) -> Iterable[list[str]]:
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter == " ")


def _json_lines(path: Path, text: str) -> LabelTable:
    try:
        records = [parse_json(line) for line in text.splitlines() if line.strip()]
        columns = tuple(dict.fromkeys(name for record in records for name in record))
        values = [[record.get(name) for name in columns] for record in records]
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"'{path}' is not a file of JSON objects, one a line ({error})") from error
    return _of_values(path, columns, values)


def _parquet(path: Path) -> LabelTable:
    import pyarrow as pa  # noqa: PLC0415 - only tables in parquet need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    if not path.is_file():
        raise InputError(f"'{path}' cannot be read (No such file or directory)")
    schema = read_metadata(path).schema.to_arrow_schema()
    kept = [one.name for one in schema if not pa.types.is_nested(one.type) and not _is_packed(one)]
    nested = frozenset(one.name for one in schema if pa.types.is_nested(one.type))
    with readable(path):
        columns = [pq.read_table(path, columns=[name])[name].to_pylist() for name in kept]
    if len({*map(len, columns)}) > 1:
        raise InputError(f"'{path}' is not a readable parquet file (rows are missing)")
    for at, name in enumerate(kept):
        if (known := class_names(schema, name)) is not None:
            columns[at] = [known[v] if v in range(len(known)) else "" for v in columns[at]]
    table = _of_values(path, tuple(kept), list(zip(*columns, strict=True)))
    return replace(table, nested=nested)


def _is_packed(column: object) -> bool:
    return "binary" in str(getattr(column, "type", ""))


def _of_values(
    path: Path, columns: tuple[str, ...], values: Sequence[Sequence[object]]
) -> LabelTable:
    nested = frozenset(
        name for i, name in enumerate(columns) if any(isinstance(v[i], list | dict) for v in values)
    )
    rows = [tuple("" if value is None else str(value) for value in row) for row in values]
    return LabelTable(path, columns, rows, nested=nested)


class PhotoIndex:
    """The photos of a set, found by the paths that a table has for them.

    A path counts with backslashes, in any case, from any folder above the photo, and without the
    suffix. Where no path is found so, all of them may begin with one folder that is not here, as
    those that were written on another machine do.
    """

    def __init__(self, images: ImageSet) -> None:
        self.images = images
        self._top = len(_parts(images.name))
        self._paths = [_parts(f"{images.name}/{key}") for key in images.keys]
        self._at: dict[tuple[str, ...], list[int]] = {}  # by name, and by folder and name
        for i, path in enumerate(self._paths):
            *above, name = (part.casefold() for part in path[-2:])
            for form in {name, os.path.splitext(name)[0]}:
                self._at.setdefault((form,), []).append(i)
                if above:
                    self._at.setdefault((*above, form), []).append(i)
        self._known: dict[tuple[str, ...], list[int]] = {}

    def named(self, names: Sequence[str], table: Path) -> list[int | None]:
        """Return the position of the photo that each name means; None where there is none."""
        split = split_of(table.stem)
        wanted = [_parts(name) if name else () for name in names]
        found = [self._below(parts) for parts in wanted]
        if not any(found):
            found = self._elsewhere(wanted)
        return [
            self._one(name, at, split, table) if at else None
            for name, at in zip(names, found, strict=True)
        ]

    def _below(self, parts: tuple[str, ...]) -> list[int]:
        """Return the photos whose path ends as this one."""
        if parts not in self._known:
            at = [i for i in self._candidates(parts) if _ends(self._paths[i], parts)]
            exact = [i for i in at if self._paths[i][-len(parts) :] == parts]
            self._known[parts] = exact or at
        return self._known[parts]

    def _elsewhere(self, wanted: Sequence[tuple[str, ...]]) -> list[list[int]]:
        """Return the photos of paths that begin with one folder which is not here."""
        tops: Counter[tuple[str, ...]] = Counter()
        matches: list[dict[int, tuple[str, ...]]] = []
        for parts in wanted:
            here = {}
            for i in self._candidates(parts) or self._candidates(parts[-1:]):
                key = self._paths[i][self._top :]
                if _ends(parts, key):
                    here[i] = parts[: len(parts) - len(key)]
            tops.update(set(here.values()))
            matches.append(here)
        name = self.images.name.casefold()
        own = [top for top in tops if top and top[-1].casefold() == name]
        chosen = set(own if len(own) == 1 else tops)
        if len(chosen) > 1:
            return [[] for _ in wanted]
        return [[i for i, top in here.items() if top in chosen] for here in matches]

    def _candidates(self, parts: tuple[str, ...]) -> list[int]:
        return self._at.get(tuple(part.casefold() for part in parts[-2:]), [])

    def _one(self, name: str, at: list[int], split: SplitName | None, table: Path) -> int:
        if len(at) > 1:
            at = [i for i in at if split and self.images.given_split[i] == split] or at
        if len(at) > 1:
            one, other = (self.images.keys[i] for i in at[:2])
            raise InputError(
                f"'{name}' in '{table}' means {len(at)} photos, such as '{one}' and '{other}'; "
                "write paths below the folder of the photos"
            )
        return at[0]


def _parts(path: str) -> tuple[str, ...]:
    """Return the parts of a path in one form, whatever machine wrote it."""
    if not path.isascii():
        with contextlib.suppress(UnicodeError):  # a name in another encoding than the disk's
            path = path if path.isprintable() else os.fsencode(path).decode("cp932")
        path = unicodedata.normalize("NFC", path)
    plain = posixpath.normpath(path.replace("\\", "/"))
    return tuple(part for part in plain.split("/") if part not in ("", ".", ".."))


def _ends(path: tuple[str, ...], end: tuple[str, ...]) -> bool:
    """Say whether a path ends as another one, whose last part may lack the suffix."""
    if not end or len(end) > len(path):
        return False
    *above, last = (part.casefold() for part in path[-len(end) :])
    *wanted, name = (part.casefold() for part in end)
    return above == wanted and name in (last, os.path.splitext(last)[0])


def column_by_photo(
    images: ImageSet, table: LabelTable, column: str, *, what: str
) -> tuple[list[str | None], list[str]]:
    """Return what a column says of each photo, None where nothing, and paths that no photo has.

    InputError where no path is that of a photo, one means several, or two rows contradict.
    """
    photos = PhotoIndex(images)
    others = [name for name in table.columns if name != column]
    others.sort(key=lambda name: plain_name(name) not in PATH_COLUMNS)
    best, found, refused = _paths_in(photos, table, others)
    if best is None or found.count(None) == len(found):
        if column in table.columns and any(photos.named(table.column(column), table.path)):
            raise InputError(
                f"column '{column}' of '{table.path}' holds the paths of the photos, expected "
                f"their {what}s; name another one of {', '.join(others) or 'none'}"
            )
        raise refused or InputError(_no_match(images, table, best, what))
    if not table.headless and photos.named([best], table.path) != [None]:
        raise InputError(
            f"the first row of '{table.path}' names a photo ('{best}'), expected the names of the "
            f"columns; write 'path' and '{what}' above it"
        )
    values: list[str | None] = [None] * len(images)
    stray = []
    for at, path, value in zip(found, table.column(best), table.column(column), strict=True):
        if at is None:
            stray.append(path)
        elif not value:
            continue
        elif values[at] not in (None, value):
            raise InputError(
                f"'{table.path}' names two {what}s for photo '{images.keys[at]}' ('{values[at]}' "
                f"and '{value}'); keep one, as a photo has one {what} here"
            )
        else:
            values[at] = value
    return values, stray


def _paths_in(
    photos: PhotoIndex, table: LabelTable, columns: Sequence[str]
) -> tuple[str | None, list[int | None], InputError | None]:
    """Return the column of paths, the photo that each row means, and why a column was refused.

    Names of files come before names without a suffix, which may be the numbers of rows, then names
    of columns that say so, then what names more photos. InputError where two columns of one kind
    name different photos.
    """
    best: str | None = columns[0] if columns else None
    found: list[int | None] = [None] * len(table.rows)
    refused: InputError | None = None
    unclear = False  # whether names of files were refused
    most = (False, False, 0)
    for name in columns:
        texts = table.column(name)
        files = any(map(_is_file, texts))
        try:
            here = photos.named(texts, table.path)
        except InputError as error:
            refused, unclear = refused or error, unclear or files
            continue
        if not (count := len(here) - here.count(None)):
            continue
        rank = (files, plain_name(name) in PATH_COLUMNS, count)
        differ = any(a != b for a, b in zip(here, found, strict=True) if None not in (a, b))
        if differ and rank == most:
            raise InputError(
                f"columns '{best}' and '{name}' of '{table.path}' name different photos in one "
                "row, expected one column of paths; keep the one that holds them"
            )
        if rank > most:
            best, found, most = name, here, rank
    if refused is not None and unclear and not most[0]:
        raise refused
    return best, found, refused


def _no_match(images: ImageSet, table: LabelTable, column: str | None, what: str) -> str:
    if column is None or not table.rows:
        kept = ", ".join(table.columns) or "none"
        return (
            f"'{table.path}' lacks the column 'path'; its columns are {kept}, expected one of "
            f"paths and one of {what}s"
        )
    example = table.column(column)[0]
    return (
        f"no path in '{table.path}' is that of a photo: it has '{example}' (column '{column}'), "
        f"the photos are such as '{images.keys[0]}'; write paths below the folder of the photos"
    )


def tables_of_parts(top: Path) -> LabelTable | None:
    """Read the tables beside the photos of parts, as Hugging Face has them: `train/metadata.csv`.

    All rows are returned, with the name of the part before each path; None where a part that has a
    table has several, or no part has one.
    """
    parts = sorted(one for one in top.iterdir() if one.is_dir() and split_of(one.name) is not None)
    beside = {part: tables_beside(part) for part in parts}
    found = [open_table(tables[0]) for tables in beside.values() if len(tables) == 1]
    if not found or any(len(tables) > 1 for tables in beside.values()):
        return None
    first = found[0]
    rows: list[tuple[str, ...]] = []
    for table in found:
        if table.columns != first.columns:
            raise InputError(
                f"'{table.path}' has the columns {', '.join(table.columns)}, expected those of "
                f"'{first.path}' ({', '.join(first.columns)}); give both the same"
            )
        named = table.named(*PATH_COLUMNS)
        at = 0 if named is None else table.columns.index(named)
        folder = table.path.parent.name
        rows += [(*row[:at], f"{folder}/{row[at]}", *row[at + 1 :]) for row in table.rows]
    named_parts = " and ".join(table.path.parent.name for table in found)
    return replace(first, path=top / f"{first.path.name} of {named_parts}", rows=rows)


def tables_beside(path: Path) -> list[Path]:
    """Return the tables in a folder that may name the labels of the photos in it."""
    found = (one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    return sorted(one for one in found if one.suffix.lower() in _BESIDE)


def with_labels(
    images: ImageSet, path: str | Path | LabelTable, label_column: str | None = None
) -> ImageSet:
    """Return a set with the labels of a table, and its parts where it names them.

    Photos that the table does not name, or has no label for, are unlabelled. What their folders say
    is not looked at.
    """
    table = path if isinstance(path, LabelTable) else open_table(path)
    marked = () if label_column is not None else _marked_columns(table)
    if marked:
        table = _named_by_marks(table, marked)
    column = _label_column(table, label_column)
    values, stray = column_by_photo(images, table, column, what="label")
    where = f"column '{column}' of '{table.path}'"
    classes, targets = class_numbers(as_labels(values, where))
    read = f" (read as {table.encoding})" if table.encoding else ""
    notes = [f"The labels are those of column '{column}' in '{table.path.name}'{read}."]
    if marked:
        notes = [
            f"The label of a photo is the column of '{table.path.name}'{read} that marks it: "
            f"{', '.join(marked)}."
        ]
    unlabelled = sum(target < 0 for target in targets)
    if unlabelled:
        notes.append(f"{unlabelled:,} of {len(images):,} photos have no label in it.")
    if stray:
        notes.append(f"{len(stray):,} of its rows name no photo here, such as '{stray[0]}'.")
    given, unused, told = _splits_in(images, table)
    targets = tuple(NO_LABEL if i in unused else target for i, target in enumerate(targets))
    notes += told
    if (group := table.named("group")) is not None:
        notes.append(f"Column '{group}' keeps photos together where `group_by` names this table.")
    return replace(
        images, classes=classes, targets=targets, notes=(*images.notes, *notes),
        given_split=images.given_split if given is None else given,
    )  # fmt: skip


def _marked_columns(table: LabelTable) -> tuple[str, ...]:
    """Return the columns of a table that are classes, one of which each row marks with a one."""
    if table.headless or table.named(*_LABELS) is not None:
        return ()
    beside = _NO_LABELS | _LIKE_SPLITS
    others = [name for name in table.columns if plain_name(name) not in beside]
    words = {name: [word.casefold() for word in table.column(name)] for name in others}
    marks = {
        name: [_MARKS[word] for word in column]
        for name, column in words.items()
        if _MARKS.keys() >= {*column}
    }
    if len(marks) < 2:
        return ()
    counts = [sum(row) for row in zip(*marks.values(), strict=True)]
    odd = next((at for at, count in enumerate(counts) if count != 1), None)
    if odd is not None and len(marks) + 1 >= len(others):  # all but a path of any name
        raise InputError(
            f"row {odd + 1} of '{table.path}' marks {counts[odd]} of the classes "
            f"{', '.join(marks)}; expected one, as a photo has one class here; if one column has "
            "the labels, name it with `label_column`"
        )
    return () if odd is not None else tuple(marks)


def _named_by_marks(table: LabelTable, marked: Sequence[str]) -> LabelTable:
    """Return the table with a column of labels: the name of the column that marks the row."""
    at = [table.columns.index(name) for name in marked]
    rows = [
        (*row, next(table.columns[i] for i in at if _MARKS[row[i].casefold()]))
        for row in table.rows
    ]
    return replace(table, columns=(*table.columns, "label"), rows=rows)


def _label_column(table: LabelTable, wanted: str | None) -> str:
    columns = ", ".join((*table.columns, *sorted(table.nested - {*table.columns})))
    if wanted is not None and wanted not in {*table.columns, *table.nested}:
        raise InputError(
            f"label_column='{wanted}' is no column of '{table.path}'; expected one of {columns}"
        )
    found = wanted or table.named(*_LABELS)
    if found is None:
        others = [name for name in table.columns if plain_name(name) not in _NO_LABELS]
        if len(table.columns) == 2 and len(others) == 2:  # the path may have any name
            others = others[1:]
        found = others[0] if len(others) == 1 else None
    if found is None:
        raise InputError(
            f"'{table.path}' may have the labels in several columns ({columns}); name theirs with "
            "`label_column`"
        )
    if found in table.nested:
        raise InputError(
            f"column '{found}' of '{table.path}' holds lists, expected one number or name a photo; "
            "write such a column, as a photo has one class here"
        )
    return found


def _splits_in(
    images: ImageSet, table: LabelTable
) -> tuple[tuple[SplitName | None, ...] | None, set[int], list[str]]:
    """Return each photo's part where a column names parts, who is "unused", and what is told."""
    column = table.named(*_SPLITS)
    if column is None:
        like = [n for n in table.columns if {"train", "test"} <= {*map(split_of, table.column(n))}]
        like += [n for n in table.columns if plain_name(n) in _LIKE_SPLITS]
        told = "is not taken for parts; a column 'split' with train, val and test would say them."
        return None, set(), [f"Column '{name}' {told}" for name in like]
    words, _ = column_by_photo(images, table, column, what="split")
    parts = {word: split_of(word) for word in words if word not in (None, "unused")}
    unknown = next((word for word, part in parts.items() if part is None), None)
    if unknown is not None or "train" not in parts.values():
        why = "it names no train part" if unknown is None else f"it holds '{unknown}'"
        told = f"is not taken for parts: {why}; expected train, val and test."
        return None, set(), [f"Column '{column}' {told}"]
    notes = []
    unused = {i for i, word in enumerate(words) if word == "unused"}
    if unused:
        notes.append(f"{len(unused):,} photos are 'unused' in column '{column}' and left out.")
    if free := words.count(None):
        notes.append(
            f"{free:,} of {len(words):,} photos have no part in column '{column}' and are divided "
            "as photos of train."
        )
    return tuple(None if word is None else parts.get(word) for word in words), unused, notes
