#!/bin/sh
# opencv 5.0.0.93: imread darkens the colours of a TIFF of 8 bit by its alpha, and leaves those of a PNG.
#
# One picture with a half transparent edge, as a part cut out of its background, saved by Pillow without
# loss as PNG, WebP and TIFF, is the same for Pillow in all three. OpenCV gives its colours from PNG and
# WebP as they are and multiplies those from the TIFF by their alpha, with IMREAD_UNCHANGED too, beside an
# alpha that is given as it is: who puts such a picture onto a background multiplies twice. Without a flag
# the alpha is left out and the darker colours stay, black where a PNG shows what lies under the mask. A
# TIFF of 16 bit is multiplied without a flag and not with IMREAD_UNCHANGED, of which the page about imread
# says that it returns the image as it is. The way around is Pillow or tifffile.
# Seen, blue, green, red 40, 120, 200 under an alpha of 64: unchanged 40, 120, 200 from PNG, WebP and a TIFF
# of 16 bit, 10, 30, 50 from one of 8 bit; plain 40, 120, 200 from PNG and WebP, 10, 30, 50 from both TIFFs,
# and there 0, 0, 0 where alpha is 0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

print("opencv", cv2.__version__, "pillow", PIL.__version__, "tifffile", tifffile.__version__)
picture = np.full((16, 16, 4), (200, 120, 40, 255), np.uint8)
picture[:8, :, 3] = 64
picture[:4, :, 3] = 0
one = Image.fromarray(picture)
one.save("picture.png")
one.save("picture.webp", lossless=True, exact=True)
one.save("picture.tif")
tifffile.imwrite("deep.tif", picture.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"])
seen = {}
for name in ("picture.png", "picture.webp", "picture.tif", "deep.tif"):
    if name != "deep.tif" and not np.array_equal(np.asarray(Image.open(name)), picture):
        raise SystemExit(f"Pillow reads another picture from {name}")
    as_it_is, plain = cv2.imread(name, cv2.IMREAD_UNCHANGED), cv2.imread(name)
    scale = 257 if as_it_is.dtype == np.uint16 else 1
    whole = [int(number) // scale for number in as_it_is[6, 0]]
    colours, hidden = plain[6, 0].tolist(), plain[0, 0].tolist()
    seen[name] = (whole, colours, hidden)
    print(f"{name}, {8 * as_it_is.itemsize} bit: unchanged {whole}, plain {colours}, plain under alpha 0 {hidden}")
straight, darker = [40, 120, 200], [10, 30, 50]
expected = {
    "picture.png": ([*straight, 64], straight, straight),
    "picture.webp": ([*straight, 64], straight, straight),
    "picture.tif": ([*darker, 64], darker, [0, 0, 0]),
    "deep.tif": ([*straight, 64], darker, [0, 0, 0]),
}
if seen != expected:
    raise SystemExit("the behaviour has changed")
PYTHON
