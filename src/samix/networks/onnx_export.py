"""A classifier as an ONNX file that takes photos as they are and is checked against torch."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

AGREEMENT = 1e-4  # largest difference of what the file computes and what torch computes
_OPSET = 18  # the first that resizes with anti-aliasing
_INPUTS, _OUTPUTS = ["photos"], ["logits", "probabilities"]
_PROBED = (1, 3)  # sizes of the batches that are compared


class OnnxMismatchError(RuntimeError):
    """The file does not compute what torch computes."""


class PhotoClassifier(nn.Module):
    """A classifier with its normalisation before it and the softmax behind it.

    Args:
        network: From (B,3,S,S) normalised photos to (B,K) logits.
        mean: Of the three channels, subtracted from values in [0, 1].
        std: Of the three channels, divided by.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B,K) logits and probabilities of (B,3,S,S) photos in [0, 1]."""
        logits = cast("Tensor", self.network((photos - self.mean) / self.std))
        return logits, logits.softmax(1)


def write_classifier_onnx(
    network: nn.Module,
    path: str | Path,
    *,
    classes: Sequence[str],
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    depth: Mapping[str, float | None] | None = None,
) -> float:
    """Write a classifier as ONNX and compare it with torch in ONNX Runtime.

    The input ``photos`` is (B,3,S,S) float32: RGB in [0, 1], squeezed to a square of S pixels
    (Pillow, bicubic), not normalised, since the file does that. The outputs are ``logits`` and
    ``probabilities``, (B,K). The batch is free. ``classes`` and ``image_size`` stand in the
    metadata of the file as JSON.

    Args:
        network: From (B,3,S,S) normalised photos to (B,K) logits, on the CPU.
        path: The file; it appears as a whole or not at all.
        classes: The K classes, in the order of the logits.
        image_size: Side S of the input in px.
        mean: Of the three channels, for values in [0, 1].
        std: The same.
        depth: What is white in photos of more than 8 bits, as "integers" and "floats"; it stands in
            the metadata as well, where it is given.

    Returns:
        Largest distance of the file from torch, see :func:`classifier_distance`.

    Raises:
        ModuleNotFoundError: Without the extra ``samix[onnx]``.
        OnnxMismatchError: It is above 0.0001.
        RuntimeError: The network cannot be written as ONNX.
    """
    whole = PhotoClassifier(network, mean, std).eval()
    metadata = {"classes": json.dumps(list(classes)), "image_size": json.dumps(image_size)}
    if depth is not None:
        metadata["depth"] = json.dumps(dict(depth))
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    program = _program(whole, image_size)
    program.model.metadata_props.update(metadata)
    try:
        program.save(partial)
        apart = classifier_distance(whole, partial, image_size)
        if not apart <= AGREEMENT:
            raise OnnxMismatchError(
                f"the ONNX file gives logits or probabilities that differ by {apart:.2g} from "
                f"those of torch, at most {AGREEMENT} is allowed; install other versions of onnx "
                "and onnxruntime"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return apart


def _program(whole: PhotoClassifier, image_size: int) -> torch.onnx.ONNXProgram:
    import onnx  # noqa: F401, PLC0415 - an extra
    import onnxruntime  # noqa: F401, PLC0415
    import onnxscript  # noqa: F401, PLC0415

    with warnings.catch_warnings(), _quiet("onnxscript"):
        warnings.simplefilter("ignore")  # about names of axes
        program = torch.onnx.export(
            whole,
            (_probe(2, image_size),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=_INPUTS,
            output_names=_OUTPUTS,
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export: expected a program, got None")
    return program


@torch.no_grad()
def classifier_distance(whole: PhotoClassifier, file: Path, image_size: int) -> float:
    """Return how far a file is from torch: the largest difference of batches of 1 and 3 photos.

    Of probabilities it is the difference itself; of logits the difference as a share of the largest
    logit, where that is above 1.
    """
    import onnxruntime  # noqa: PLC0415 - an extra

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    apart = []
    for batch in _PROBED:
        photos = _probe(batch, image_size)
        wanted = whole(photos)
        found = session.run(_OUTPUTS, {_INPUTS[0]: photos.numpy()})
        scales = (max(1.0, float(wanted[0].abs().max())), 1.0)
        for one, other, scale in zip(found, wanted, scales, strict=True):
            if one.shape != tuple(other.shape):
                return float("inf")
            apart.append((torch.from_numpy(one) - other).abs().max() / scale)
    return float(torch.stack(apart).max())  # NaN stays NaN


def _probe(batch: int, size: int) -> Tensor:
    """Return the same (B,3,S,S) photos in [0, 1] each time: coarse patterns under fine noise."""
    generator = torch.Generator().manual_seed(batch)
    coarse = torch.rand(batch, 3, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return (smooth + 0.1 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Keep a logger to errors: it tells each operation that it leaves as it is."""
    found = logging.getLogger(logger)
    before = found.level
    found.setLevel(logging.ERROR)
    try:
        yield
    finally:
        found.setLevel(before)
