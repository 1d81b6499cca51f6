"""predictions.csv: what a classifier said about each photo that it was judged on."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from samix.data import ImageSet, Splits
from samix.files import write_text
from samix.shown import NameWriter

PREDICTIONS = "predictions.csv"


def write_predictions(
    path: Path, images: ImageSet, splits: Splits, probabilities: Mapping[str, Tensor]
) -> None:
    """Write one row a photo: path, split, group, target, predicted, and p_CLASS for each class.

    Args:
        path: The file; it appears as a whole or not at all.
        images: All photos.
        splits: Their parts and groups.
        probabilities: By part, (N,K) of its photos in their order, each row with sum 1.
    """
    text = io.StringIO()
    writer = NameWriter(text)
    classes = images.classes
    writer.writerow(
        ("path", "split", "group", "target", "predicted", *(f"p_{name}" for name in classes))
    )
    for part, rows in probabilities.items():
        positions: tuple[int, ...] = getattr(splits, part)
        for i, row in zip(positions, rows.double().tolist(), strict=True):
            said = classes[max(range(len(row)), key=row.__getitem__)]
            group = splits.groups[i] or images.keys[i]
            numbers = (f"{value:.6g}" for value in row)
            writer.writerow(
                (images.keys[i], part, group, classes[images.targets[i]], said), numbers
            )
    write_text(path, text.getvalue(), errors="surrogateescape")
