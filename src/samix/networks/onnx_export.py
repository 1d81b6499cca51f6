"""A network as an ONNX file that is checked against torch; and a pre-trained Mixer as one."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .mixer_card import probe
from .pretrained_mixer import PretrainedMixer

ONNX = "model.onnx"
AGREEMENT = 1e-4
"""Largest difference of what the file computes and what torch computes."""
_OPSET = 18  # the first that resizes with anti-aliasing
_INPUTS, _OUTPUTS = ["images", "partner", "lam"], ["mask"]


class OnnxMismatchError(RuntimeError):
    """The file does not compute what torch computes."""


def write_onnx(mixer: PretrainedMixer, path: str | Path) -> float:
    """Write the file and compare its masks with those of torch in ONNX Runtime.

    Inputs are ``images`` and ``partner`` (B,3,H,W) and ``lam`` (B,), float32; the output is
    ``mask`` (B,1,H,W). Batch and size are free.

    Args:
        mixer: On the CPU.
        path: The file; it appears as a whole or not at all.

    Returns:
        Largest difference of the masks of the compatibility test.

    Raises:
        ModuleNotFoundError: Without the extra ``samix[onnx]``.
        OnnxMismatchError: They differ by more than 0.0001.
    """
    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    sides = {0: batch, 2: height, 3: width}
    form = OnnxForm(_INPUTS, _OUTPUTS, (sides, sides, {0: batch}))
    return write_checked(
        mixer, tuple(probe()), path, form,
        distance=lambda file: onnx_distance(mixer, file), what="masks",
    )  # fmt: skip


@dataclass(frozen=True)
class OnnxForm:
    """Names and free axes of a file.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        shapes: Free axes of each input, as ``torch.onnx.export`` takes them.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    shapes: tuple[Mapping[int, Any], ...]


def write_checked(
    network: nn.Module,
    example: tuple[Tensor, ...],
    path: str | Path,
    form: OnnxForm,
    *,
    distance: Callable[[Path], float],
    what: str,
    metadata: Mapping[str, str] | None = None,
) -> float:
    """Write a network as ONNX, and hand the file out only where it computes what torch computes.

    Args:
        network: On the CPU, in eval mode.
        example: Inputs to trace it with.
        path: The file; it appears as a whole or not at all.
        form: Names and free axes.
        distance: From the file to how far it is from torch.
        what: What is compared, for the complaint.
        metadata: Kept in the file.

    Returns:
        The distance.

    Raises:
        ModuleNotFoundError: Without the extra ``samix[onnx]``.
        OnnxMismatchError: The distance is above 0.0001.
    """
    import onnx  # noqa: F401, PLC0415 - an extra
    import onnxruntime  # noqa: F401, PLC0415
    import onnxscript  # noqa: F401, PLC0415

    with warnings.catch_warnings(), _quiet("onnxscript"):
        warnings.simplefilter("ignore")  # about names of axes that inputs share
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            dynamic_shapes=form.shapes,
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export: expected a program, got None")
    if metadata:
        program.model.metadata_props.update(metadata)
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        program.save(partial)
        apart = distance(partial)
        if not apart <= AGREEMENT:
            raise OnnxMismatchError(
                f"the ONNX file gives {what} that differ by {apart:.2g} from those of torch, at "
                f"most {AGREEMENT} is allowed; install other versions of onnx and onnxruntime"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return apart


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


@torch.no_grad()
def onnx_distance(mixer: PretrainedMixer, file: Path) -> float:
    """Return the largest difference of a mask of the file and one of torch."""
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    pairs = probe()
    values = dict(zip(_INPUTS, (part.numpy() for part in pairs), strict=True))
    (found,) = session.run(_OUTPUTS, values)
    return float((torch.from_numpy(found) - mixer(*pairs)).abs().max())
