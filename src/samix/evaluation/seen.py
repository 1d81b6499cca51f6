"""What a network has learned from: the photos of its run, and of the runs that it began from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samix.data import ImageSet
from samix.data.beginning import contents_in
from samix.data.duplicates.fingerprints import content_hashes
from samix.data.splits import read_table
from samix.errors import InputError
from samix.plain_yaml import read_yaml


@dataclass(frozen=True)
class SeenBefore:
    """Which photos a run and those that it began from learned from."""

    run: Path  # folder of the run
    keys: tuple[str, ...]  # names of all photos
    photos: frozenset[int]  # positions of those that were learned from
    runs: int  # how many runs were looked at
    gone: tuple[str, ...]  # folders of runs that cannot be read any more
    by_content: bool  # whether the content of all photos is known, beside their paths

    def of(self, test: Sequence[int]) -> list[int]:
        """Return the photos among some that were learned from."""
        return [i for i in test if i in self.photos]

    def unknown(self) -> str:
        """Return a sentence about what cannot be known, empty where all can."""
        return " ".join(
            f"'{name}', from which it began, is not there any more: what that learned from is not "
            "known."
            for name in self.gone
        )

    def sentence(self, test: Sequence[int]) -> str:
        """Return a sentence on the test photos that were learned from."""
        both, before = self.of(test), " or a run that it began from" if self.runs > 1 else ""
        if not both:
            by_path = "" if self.by_content else (
                ", by the paths of the photos; a copy under another path would not be noticed"
            )  # fmt: skip
            said = f"No test photo was learned from in '{self.run}'{before}{by_path}."
        else:
            said = (
                f"{len(both)} of {len(test)} test photos were learned from in '{self.run}'{before} "
                f"(such as '{self.keys[both[0]]}'): of them the test says more than is true."
            )
        return f"{said} {self.unknown()}".rstrip()


def seen_by(
    run: Path, images: ImageSet, data: Sequence[str] = (), *, itself: bool = True
) -> SeenBefore:
    """Find the photos that a run, or one that it began from, learned from.

    They are known by their paths, and by their contents where the runs wrote these down.

    Args:
        run: Its folder.
        images: The photos.
        data: What names the photos, one word a set; empty takes those of the run.
        itself: Whether the run counts, or only those that it began from.
    """
    runs, gone = _lineage(run)
    here = whole_keys(data or next(iter(runs.values()), ()), images.keys)
    contents = content_hashes(images)
    learned: set[str] = set()
    known = contents is not None
    for folder, theirs in list(runs.items())[0 if itself else 1 :]:
        rows = read_table(folder / "splits.csv", ("path", "split"))
        keys = [row["path"] for row in rows if row["split"] == "train"]
        stored = contents_in(folder)
        learned |= {*whole_keys(theirs, keys), *(stored.get(key, "") for key in keys)}
        known = known and all(stored.get(key) for key in keys)
    learned.discard("")
    pairs = zip(here, contents or here, strict=True)
    photos = frozenset(i for i, names in enumerate(pairs) if not learned.isdisjoint(names))
    return SeenBefore(run, images.keys, photos, len(runs), gone, known)


def _lineage(run: Path) -> tuple[dict[Path, tuple[str, ...]], tuple[str, ...]]:
    """Return the data of a run and of those that it began from, by folder, and who is gone.

    A run begins from that of its encoder and that of its Mixer, which may have begun from others.
    """
    found: dict[Path, tuple[str, ...]] = {}
    gone: dict[str, None] = {}
    todo: list[str] = [str(run)]
    while todo:
        if (path := Path(named := todo.pop()).resolve()) in found:
            continue
        try:
            read_table(path / "splits.csv", ("path", "split"))
            config = read_yaml(path / "config.yaml")["config"]
            found[path] = (config["data"], *(config.get("more_data") or ()))
        except (InputError, OSError, ValueError, KeyError, TypeError):
            if found or not (path / "splits.csv").is_file():
                gone[named] = None
                continue
            config, found[path] = {}, ()  # splits alone, of whatever
        todo += _begun_from(config)
    return found, tuple(gone)


def _begun_from(config: Mapping[str, Any]) -> list[str]:
    """Return the folders of the runs whose weights a run took."""
    named = [config.get("mixer_from"), config.get("init")]
    weights = config.get("weights")
    if isinstance(weights, str) and (run := run_of(Path(weights))) is not None:
        named.append(str(run))
    return [name for name in named if isinstance(name, str)]


def run_of(weights: Path) -> Path | None:
    """Return the folder of the run that a file of weights lies in, None where it is of none."""
    there = weights.parent
    return there if weights.is_file() and (there / "splits.csv").is_file() else None


def root_of(data: str) -> str:
    """Return the folder that the keys of a set are relative to."""
    return str(Path(data).parent) if Path(data).is_file() else data


def whole_keys(data: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return the keys of photos with the folder that they are relative to; several have it."""
    return list(keys) if len(data) != 1 else [f"{root_of(data[0])}/{key}" for key in keys]
