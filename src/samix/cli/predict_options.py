"""The options of `samix predict`."""

from __future__ import annotations

from typing import Any

from .options import add_command, add_option, add_reading, add_switch

_PREDICT = """\
Say what is on photos: one row of a CSV file a photo, with path, class and confidence.

RUN is the folder of a finished 'samix train'; only its model.json and its .safetensors are
read. PHOTOS are a folder, searched at any depth, or files; labels and the names of
subfolders are not looked at.

The confidence is the softmax of the class as the network gives it, not the chance that it
is right: how far the two are apart on the run's own test photos is 'ece' in its
metrics.json.
"""
_EXAMPLES = """\
examples:
  samix predict runs/photos-samix new-photos/
  samix predict runs/photos-samix part1.png part2.png --output said.csv --probabilities
  samix predict runs/photos-samix --onnx classifier.onnx     for programs without torch
"""


def add_predict(commands: Any) -> None:
    """Add the parser of `samix predict`.

    Args:
        commands: From ``add_subparsers``.
    """
    parser = add_command(
        commands,
        "predict",
        usage="predict RUN [PHOTOS ...] [options]",
        about="classify photos with a trained run: a CSV file, or an ONNX model",
        description=_PREDICT,
        examples=_EXAMPLES,
    )
    group = parser.add_argument_group("what")
    add_option(group, "run", "folder of a finished 'samix train'", metavar="RUN")
    photos = "a folder of photos (subfolders too), one photo, or several"
    add_option(group, "photos", photos, nargs="*", metavar="PHOTOS")
    average = "the momentum average of the network (the encoder, which validation chose)"
    add_option(group, "--average", average, action="store_true")
    skip = "leave out photos that cannot be read, and count them, instead of stopping"
    add_reading(group, skip)
    group = parser.add_argument_group("output")
    output = "CSV file to write (RUN/predictions-PHOTOS.csv)"
    add_option(group, "--output", output, metavar="FILE")
    add_switch(group, "--probabilities", "also a column p_CLASS for each class")
    onnx = "write the classifier as ONNX, with its normalisation and the softmax in it"
    add_option(group, "--onnx", onnx, metavar="FILE")
    group = parser.add_argument_group("machine")
    add_option(group, "--device", "auto, cpu, cuda, cuda:1 or mps (auto)", metavar="NAME")
    add_option(group, "--batch-size", "photos at once (64)", type=int, metavar="N")
