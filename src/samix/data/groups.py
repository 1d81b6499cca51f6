"""Which photos show the same part and must stay on one side of every split."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from samix.data.collection import ImageSet
from samix.errors import InputError
from samix.plain_csv import name_of


def find_groups(images: ImageSet, group_by: str | None) -> tuple[str | None, ...]:
    """Return the group of each photo.

    Args:
        images: The photos.
        group_by: A regular expression that is searched in each key (its first bracket, or all that
            it matched, is the group), or the path of a CSV file with the columns path and group;
            None for what the data itself says.

    Returns:
        One group a photo; None is a photo that stands for itself.

    Raises:
        InputError: The expression or file does not give every photo a group, or it gives all
            photos the same one, or (expression only) each photo its own.
    """
    if group_by is None:
        return images.given_group
    from_file = group_by.lower().endswith(".csv")
    groups = _from_csv(images, Path(group_by)) if from_file else _from_pattern(images, group_by)
    if len(set(groups)) == 1:
        msg = (
            f"--group-by '{group_by}' puts all {len(groups)} photos into one group "
            f"('{groups[0]}'), so they cannot be split; name what tells parts apart"
        )
        raise InputError(msg)
    if not from_file and len(set(groups)) == len(groups):
        msg = (
            f"--group-by '{group_by}' gives each photo its own group (such as '{groups[0]}'); "
            "name what photos of one part have in common, or leave it out"
        )
        raise InputError(msg)
    return groups


def _from_pattern(images: ImageSet, pattern: str) -> tuple[str, ...]:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        msg = f"--group-by '{pattern}' is not a regular expression ({error})"
        raise InputError(msg) from error
    groups: list[str] = []
    for key in images.keys:
        match = search(key)
        group = None if match is None else match.group(1 if match.re.groups else 0)
        if not group:
            msg = f"--group-by '{pattern}' does not match photo '{key}'; it must match every photo"
            raise InputError(msg)
        groups.append(group)
    return tuple(groups)


def _from_csv(images: ImageSet, path: Path) -> tuple[str, ...]:
    rows = read_table(path, ("path", "group"))
    groups: dict[str, str] = {}
    for row in rows:
        if groups.setdefault(row["path"], row["group"]) != row["group"]:
            msg = f"'{path}' names two groups for photo '{row['path']}'; keep one"
            raise InputError(msg)
    missing = [key for key in images.keys if not groups.get(key)]
    if missing:
        msg = f"'{path}' names no group for {len(missing)} photos, the first is '{missing[0]}'"
        raise InputError(msg)
    return tuple(groups[key] for key in images.keys)


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file that must have some columns, with names as :mod:`samix.plain_csv` has them.

    Raises:
        InputError: The file is missing, not text, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        msg = f"'{path}' cannot be read ({error.strerror})"
        raise InputError(msg) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        msg = f"'{path}' is not a CSV file ({error})"
        raise InputError(msg) from error
    lacking = [column for column in columns if column not in (reader.fieldnames or ())]
    if lacking:
        msg = f"'{path}' lacks the column '{lacking[0]}'; expected {', '.join(columns)}"
        raise InputError(msg)
    return [{column: name_of(row[column] or "") for column in columns} for row in rows]
