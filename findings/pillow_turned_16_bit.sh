#!/bin/sh
# pillow 13.0.0: a gray photo of 16 bit that is turned or tilted with BILINEAR or BICUBIC comes out black.
#
# Image.rotate() and Image.transform() take an image of mode "I;16", as a PNG or TIFF of 16 bit is opened, and
# give one of that mode back. With NEAREST it is right. With BILINEAR and BICUBIC the two bytes of each number
# are averaged as if they were pixels of 8 bit, so that all values are below 256 of 65535: black noise, with
# nothing said. Filters and enhancements refuse the mode with an error, and resize() and thumbnail() are right
# for it, so that a chain of crop and resize works until a rotation is added. RandomPerspective of torchvision
# 0.29.2 asks for BILINEAR by default, and so is affected. The black image of transform() was reported to
# Pillow in 2015; that report is closed, and this version does it. The documentation calls the support of the
# mode "limited" without a word of this. The way around is Image.fromarray(numpy.asarray(image).astype(
# numpy.float32)), of mode "F", which is turned and tilted rightly.
# Seen, a ramp from black to white, 65535: the largest value after rotate(10) is 65535 with NEAREST, 243 with
# BILINEAR and 246 with BICUBIC, in mode "F" 65535 or more; after a perspective 61374, 242, 242; after resize()
# to 48x48 px within one of what mode "F" gives.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import PIL
from PIL import Image, ImageFilter

print("pillow", PIL.__version__, "numpy", np.__version__)
ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
Image.fromarray(ramp).save("photo.png")
photo = Image.open("photo.png")
exact = Image.fromarray(ramp.astype(np.float32))
tilt = (1, 0.1, -3, 0.05, 1, -2, 0.001, 0.001)
ways = {
    "rotate": lambda image, how: image.rotate(10, how),
    "perspective": lambda image, how: image.transform(image.size, Image.Transform.PERSPECTIVE, tilt, how),
    "resize": lambda image, how: image.resize((48, 48), how),
}
largest = {}
for name, change in ways.items():
    for how in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        given, right = change(photo, how), np.asarray(change(exact, how))
        largest[name, how.name] = np.asarray(given).max() / right.max()
        print(f"{name}, {how.name}: mode {given.mode}, largest value {np.asarray(given).max()}, in mode F {right.max():.0f}")
try:
    photo.filter(ImageFilter.GaussianBlur(1))
    raise SystemExit("GaussianBlur is not refused any more")
except ValueError as error:
    print("GaussianBlur:", error)
wrong = {(name, how) for name in ("rotate", "perspective") for how in ("BILINEAR", "BICUBIC")}
if any(ratio > 0.01 if case in wrong else ratio < 0.99 for case, ratio in largest.items()):
    raise SystemExit("the behaviour has changed")
PYTHON
