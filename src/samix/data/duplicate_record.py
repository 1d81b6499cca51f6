"""What was found about duplicates, kept under a hash of all photos."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samix.data.verification import cache_folder
from samix.files import whole_file

_VERSION = 2  # of the method: another one does not read what this one wrote

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a search found; see :class:`samix.data.duplicates.Duplicates`."""

    groups: Groups
    equal: Groups
    pairs: NDArray[np.int64]
    agreement: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    size: NDArray[np.int64]


def record_path(hashes: Iterable[str]) -> Path:
    """Return the file for photos with these hashes, in this order."""
    digest = hashlib.sha256(f"duplicates {_VERSION}\n".encode())
    for line in hashes:
        digest.update(f"{line}\n".encode())
    return cache_folder() / "duplicates" / f"{digest.hexdigest()}.npz"


def write_record(path: Path, record: Record) -> None:
    """Write a record, as a whole or not at all; a cache that cannot be written is passed over."""
    with contextlib.suppress(OSError):  # without a record the search is made again
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                **_flat("groups", record.groups),
                **_flat("equal", record.equal),
                pairs=record.pairs,
                agreement=record.agreement,
                mirrored=record.mirrored,
                size=record.size,
            )


def read_record(path: Path) -> Record | None:
    """Return a record, or None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Record(
                groups=_nested(arrays, "groups"),
                equal=_nested(arrays, "equal"),
                pairs=arrays["pairs"],
                agreement=arrays["agreement"],
                mirrored=arrays["mirrored"],
                size=arrays["size"],
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # made again


def _flat(name: str, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return lists of different lengths as two arrays."""
    return {
        f"{name}_members": np.array([i for group in groups for i in group], dtype=np.int64),
        f"{name}_lengths": np.array([len(group) for group in groups], dtype=np.int64),
    }


def _nested(arrays: Any, name: str) -> Groups:
    """Undo :func:`_flat`."""
    members, lengths = arrays[f"{name}_members"], arrays[f"{name}_lengths"]
    ends = np.cumsum(lengths)[:-1]
    return tuple(tuple(part.tolist()) for part in np.split(members, ends)) if len(lengths) else ()
