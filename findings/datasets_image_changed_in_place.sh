#!/bin/sh
# datasets 5.2.0: what map() does in place to a photo that was read from a file is thrown away.
#
# A function given to Dataset.map() gets the photo as an image of Pillow and gives it back. Where that
# image is one that Pillow opened from a file, as in every data set of load_dataset("imagefolder"), only
# the path of the file is stored, not the pixels. Whatever was done in place, so that the image is still
# the object that was opened, is lost without a word: a box drawn over a face or over a name with
# ImageDraw, paste(), thumbnail(), putalpha(). The same function changes the same photos where the data
# set holds their bytes, and it does so on a copy of the image. The docstring of datasets.Image and the
# pages about images do not say so: they name an image of Pillow as one of the things that are taken. It
# is the same in from_dict() and from_generator(). To be safe, give back photo.copy().
# Seen: white photos of 64x48 px, painted black all over: mean 255 from the folder, 0 from bytes and on
# a copy; thumbnail((16, 16)): 64x48 px from the folder, 16x12 px otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0 numpy
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/env/bin/python" - <<'PYTHON'
from pathlib import Path

import datasets
import numpy as np
from PIL import Image, ImageDraw

datasets.disable_progress_bars()
print("datasets", datasets.__version__)
for kind in ("good", "bad"):
    Path("photos", kind).mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64, 48), (255, 255, 255)).save(f"photos/{kind}/{number}.png")


def black(photo):
    ImageDraw.Draw(photo).rectangle((0, 0, 64, 48), fill=(0, 0, 0))


def small(photo):
    photo.thumbnail((16, 16))


def in_place(row, change):
    change(row["image"])
    return row


def on_a_copy(row, change):
    row["image"] = row["image"].copy()
    change(row["image"])
    return row


files = datasets.load_dataset("imagefolder", data_dir="photos", split="train")
held = [path.read_bytes() for path in sorted(Path("photos").rglob("*.png"))]
memory = datasets.Dataset.from_dict({"image": held}, features=datasets.Features({"image": datasets.Image()}))
seen = {}
for name, photos, how in (
    ("folder, in place", files, in_place),
    ("folder, on a copy", files, on_a_copy),
    ("bytes, in place", memory, in_place),
):
    painted = photos.map(how, fn_kwargs={"change": black})[0]["image"]
    smaller = photos.map(how, fn_kwargs={"change": small})[0]["image"]
    seen[name] = (float(np.asarray(painted).mean()), smaller.size)
    print(f"{name}: painted black, mean {seen[name][0]:g}; thumbnail, size {seen[name][1]}")
changed = (0.0, (16, 12))
expected = {"folder, in place": (255.0, (64, 48)), "folder, on a copy": changed, "bytes, in place": changed}
if seen != expected:
    raise SystemExit("the behaviour has changed")
PYTHON
