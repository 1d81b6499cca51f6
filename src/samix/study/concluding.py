"""From the trainings of a study to its findings, pictures and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samix.data import ImageSet, Splits, open_images, read_splits
from samix.data.reading import MAX_MEGAPIXELS
from samix.errors import InputError
from samix.plain_json import read_json
from samix.report.poc_page import write_poc_report
from samix.training.run_folder import write_json
from samix.training.task import Announce

from .findings import find
from .folder import PocFolder, collect, write_table
from .health import data_health
from .pictures import draw_pictures


def write_tables(folder: PocFolder, study: Mapping[str, Any]) -> dict[str, int]:
    """Write the tables of all cells so far.

    Returns:
        How many cells finished, failed and are missing.

    Raises:
        InputError: A cell is of another version.
    """
    outcomes, cells = collect(folder, study)
    if len(outcomes):
        write_table(folder.outcomes, outcomes)
    write_table(folder.cells, cells)
    return {
        status: int((cells["status"] == status).sum())
        for status in ("finished", "failed", "missing")
    }


def open_photos(folder: PocFolder, study: Mapping[str, Any]) -> tuple[ImageSet, Splits]:
    """Open the photos of a study again.

    Raises:
        InputError: They are not there any more, or are others.
    """
    train = study["train"]
    images = open_images(
        train["data"],
        skip_corrupt=train.get("skip_corrupt", False),
        max_megapixels=train.get("max_megapixels", MAX_MEGAPIXELS),
        root=train.get("data_root"),
    )
    return images, read_splits(folder.splits, images)


def conclude(
    folder: PocFolder,
    study: Mapping[str, Any],
    announce: Announce,
    *,
    lang: str = "both",
    photos: tuple[ImageSet, Splits] | None = None,
) -> dict[str, Any]:
    """Judge the finished trainings and write findings, pictures and report.

    Args:
        folder: Of the study.
        study: What its poc.yaml holds.
        announce: Called during long work.
        lang: "en", "ja" or "both": of the report.
        photos: The photos and their parts; None opens them.

    Returns:
        What findings.json holds.

    Raises:
        InputError: Nothing finished, a table is of another version, or an unknown language.
    """
    outcomes, cells = collect(folder, study)
    findings = find(
        outcomes, cells, good=study["data"]["good"], prices=study.get("prices") or {},
        plan=study["plan"], data=study["data"],
    )  # fmt: skip
    write_json(folder.findings, findings)
    images, splits = photos or open_photos(folder, study)
    if not folder.health.is_file():
        write_json(folder.health, data_health(images, splits, announce=announce))
    announce("drawing pictures", 0, 1)
    train = study["train"]
    pictures = draw_pictures(
        folder.path, policy=findings["verdict"]["policy"], data=train["data"],
        root=train.get("data_root"), skip_corrupt=train.get("skip_corrupt", False),
        max_megapixels=train.get("max_megapixels"),
    )  # fmt: skip
    announce("drawing pictures", 1, 1)
    write_poc_report(
        folder.report, findings, study=study, health=_health(folder), pictures=pictures, lang=lang
    )
    return findings


def _health(folder: PocFolder) -> dict[str, Any]:
    try:
        return read_json(folder.health)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{folder.health}' cannot be read ({error}); remove it to look at the photos again"
        ) from error
