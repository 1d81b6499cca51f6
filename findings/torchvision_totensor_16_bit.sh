#!/bin/sh
# torchvision 0.29.2: of a gray TIFF of 16 bit ToTensor gives the low bytes, or the brightest half as negative.
#
# ToTensor is to give an image of a mode it does not scale, as Pillow's for 16 bit, "without scaling". Where
# the TIFF has its high byte first, as ImageJ writes it, Pillow's mode is "I;16B", which ToTensor does not
# know: it makes bytes of the numbers, so that the high one is lost, and scales the rest to 0 to 1. The
# result is a float32 image between 0 and 1, as a network wants it, which has next to nothing to do with
# the photo. With the low byte first, and from a PNG, the mode is "I;16", of which it makes int16: numbers
# from 32768 on turn negative, and ConvertImageDtype(torch.float32) makes -1 to 1 of that without a word,
# white as almost 0, which the developers of torchvision know. The deprecated v2.ToTensor does the same. v2.ToImage and PILToTensor are right for
# "I;16", and refuse "I;16B" with an error. The way around is v2.ToImage, for "I;16B" on
# numpy.asarray(image).astype(numpy.uint16); image.convert("I;16") cuts the numbers off at 255.
# Seen, a ramp from black to white, written both ways: its correlation with what is read is 0.06, values 0 to
# 1, and -0.5, values -1 to 1; by v2.ToImage and v2.ToDtype 1.0, values 0 to 1.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 torchvision==0.29.2 \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import PIL
import tifffile
import torch
import torchvision
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2

print("torchvision", torchvision.__version__.partition("+")[0], "pillow", PIL.__version__)
ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
tifffile.imwrite("high_first.tif", ramp, photometric="minisblack", byteorder=">")
tifffile.imwrite("low_first.tif", ramp, photometric="minisblack", byteorder="<")
Image.fromarray(ramp).save("photo.png")
old = transforms.Compose([transforms.ToTensor(), transforms.ConvertImageDtype(torch.float32)])
new = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
seen = {}
for name, how, change in (
    ("high_first.tif", "ToTensor", lambda photo: old(photo)),
    ("low_first.tif", "ToTensor", lambda photo: old(photo)),
    ("photo.png", "ToTensor", lambda photo: old(photo)),
    ("high_first.tif", "array, ToImage", lambda photo: new(np.asarray(photo).astype(np.uint16))),
    ("low_first.tif", "ToImage", lambda photo: new(photo)),
    ("photo.png", "ToImage", lambda photo: new(photo)),
):
    photo = Image.open(name)
    if not np.array_equal(np.asarray(photo), ramp):
        raise SystemExit(f"Pillow reads another picture from {name}")
    given = change(photo).numpy()
    alike = round(float(np.corrcoef(given.ravel(), ramp.ravel())[0, 1]), 2)
    seen[name, how] = (round(float(given.min()), 2), round(float(given.max()), 2), alike)
    lowest, highest, _ = seen[name, how]
    print(f"{name}, mode {photo.mode}, {how}: {given.dtype}, {lowest} to {highest}, correlation {alike}")
expected = {
    ("high_first.tif", "ToTensor"): (0.0, 1.0, 0.06),
    ("low_first.tif", "ToTensor"): (-1.0, 1.0, -0.5),
    ("photo.png", "ToTensor"): (-1.0, 1.0, -0.5),
    ("high_first.tif", "array, ToImage"): (0.0, 1.0, 1.0),
    ("low_first.tif", "ToImage"): (0.0, 1.0, 1.0),
    ("photo.png", "ToImage"): (0.0, 1.0, 1.0),
}
if seen != expected:
    raise SystemExit("the behaviour has changed")
PYTHON
