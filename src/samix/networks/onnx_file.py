"""A pre-trained Mixer as an ONNX file, for programs without torch."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .compatibility import probe
from .pretrained_mixer import PretrainedMixer

ONNX = "model.onnx"
AGREEMENT = 1e-4
"""Largest difference of a mask of the file and one of torch."""
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
    import onnx  # noqa: F401, PLC0415 - an extra
    import onnxruntime  # noqa: F401, PLC0415
    import onnxscript  # noqa: F401, PLC0415

    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    sides = {0: batch, 2: height, 3: width}
    with warnings.catch_warnings(), _quiet("onnxscript"):
        warnings.simplefilter("ignore")  # about names of axes that inputs share
        program = torch.onnx.export(
            mixer,
            tuple(probe()),
            dynamo=True,
            dynamic_shapes=(sides, sides, {0: batch}),
            input_names=_INPUTS,
            output_names=_OUTPUTS,
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export: expected a program, got None")
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    program.save(partial)
    apart = onnx_distance(mixer, partial)
    if not apart <= AGREEMENT:
        partial.unlink()
        raise OnnxMismatchError(
            f"the ONNX file gives masks that differ by {apart:.2g} from those of torch, at most "
            f"{AGREEMENT} is allowed; install other versions of onnx and onnxruntime"
        )
    partial.replace(target)
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
