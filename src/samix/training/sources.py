"""The photos of a run: one image set, or several that are learned from together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samix.data import ImageSet, check_labels, join_images, open_images
from samix.data.image_set import Progress
from samix.data.store import kept_set
from samix.errors import InputError

from .config import PretrainConfig, TrainConfig
from .settings import RunConfig


def data_of(config: RunConfig) -> tuple[str, ...]:
    """Return what names the photos of a run, one word a set."""
    more = config.more_data if isinstance(config, PretrainConfig) else ()
    return (config.data, *more)


def open_sources(
    config: RunConfig, *, progress: Progress | None = None
) -> tuple[tuple[str, ImageSet], ...]:
    """Open the sets of photos of a run.

    Args:
        config: Resolved.
        progress: Called with (done, total) while the photos of a set are verified.

    Returns:
        Each set with the folder that its keys are relative to.

    Raises:
        InputError: A set cannot be used, or is named twice.
    """
    named = data_of(config)
    twice = next((data for data in named if named.count(data) > 1), None)
    if twice is not None:
        raise InputError(f"DATA '{twice}' is given twice; name each set once")
    options: dict[str, Any] = {
        "skip_corrupt": config.skip_corrupt,
        "max_megapixels": config.max_megapixels,
        "root": config.data_root,
        "download": config.download,
    }

    labelled = isinstance(config, TrainConfig)

    def opened(data: str) -> ImageSet:
        images = kept_set(
            (data, *options.values()),
            lambda: open_images(data, need_labels=labelled, **options, progress=progress),
        )
        if labelled:  # it may have been opened before for training without labels
            check_labels(images)
        return images

    return tuple((root_of(data), opened(data)) for data in named)


def joined(sources: Sequence[tuple[str, ImageSet]]) -> ImageSet:
    """Return one set: several have keys with their folder and no classes.

    Raises:
        InputError: A photo is in two of them.
    """
    if len(sources) == 1:
        return sources[0][1]
    try:
        return join_images(sources)
    except ValueError as error:
        raise InputError(f"the sets of DATA overlap ({error}); name each photo once") from error


def root_of(data: str) -> str:
    """Return the folder that the keys of a set are relative to."""
    return str(Path(data).parent) if Path(data).is_file() else data


def whole_keys(config: RunConfig, keys: Sequence[str]) -> list[str]:
    """Return the keys of a run's photos with the folder that they are relative to.

    Args:
        config: Of the run.
        keys: As its splits.csv has them.
    """
    if len(data_of(config)) > 1:  # they have it already
        return list(keys)
    return [f"{root_of(config.data)}/{key}" for key in keys]
