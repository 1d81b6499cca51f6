#!/bin/sh
# pillow 13.0.0 and opencv 5.0.0.93: a gray TIFF in which 0 is white is read as its negative at 16 bit alone.
#
# A TIFF says by its photometric tag whether 0 is black or white; scanned films and radiographs of castings
# and boards often have white at 0. At 8 bit Pillow and OpenCV turn the values round, so that a large
# number is bright, as everywhere. At 16 bit Pillow gives the values as they are stored, and so does OpenCV
# with IMREAD_UNCHANGED or with IMREAD_ANYDEPTH: the same film comes out as its negative, holes as cracks,
# with nothing said, and a network trained on previews of 8 bit is shown negatives. OpenCV's plain imread,
# which makes 8 bit of it, turns it round again. tifffile gives what is stored at both depths, and the tag
# with it: the way around is to look at TiffFile(path).pages[0].photometric, and to turn the values round
# where it is MINISWHITE.
# Seen, the corner of a film stored as 0, which is white: Pillow 255 at 8 bit and 0 of 65535 at 16 bit;
# OpenCV unchanged 255 and 0, any depth 255 and 0, plain 255 and 255; tifffile 0 and 0. The opposite corner,
# stored as the largest value, is black: it comes out the other way round in each of them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 opencv-python-headless==5.0.0.93 \
  tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

print("pillow", PIL.__version__, "opencv", cv2.__version__, "tifffile", tifffile.__version__)
ramp = np.linspace(0, 1, 64 * 48).reshape(48, 64)
readers = {
    "Pillow": lambda path: np.asarray(Image.open(path)),
    "OpenCV, unchanged": lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED),
    "OpenCV, any depth": lambda path: cv2.imread(path, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE),
    "OpenCV, plain": cv2.imread,
    "tifffile": tifffile.imread,
}
seen = {}
for bits, kind in ((8, np.uint8), (16, np.uint16)):
    path = f"film_{bits}.tif"
    tifffile.imwrite(path, (ramp * np.iinfo(kind).max).astype(kind), photometric="miniswhite")
    for name, read in readers.items():
        film = read(path)
        white, black = int(np.ravel(film[0, 0])[0]), int(np.ravel(film[-1, -1])[0])
        seen[name, bits] = (white, black)
        print(f"{name}: {bits} bit, read as {film.dtype}, white comes out as {white}, black as {black}")
bright, stored, deep = (255, 0), (0, 255), (0, 65535)
expected = {
    "Pillow": (bright, deep),
    "OpenCV, unchanged": (bright, deep),
    "OpenCV, any depth": (bright, deep),
    "OpenCV, plain": (bright, bright),
    "tifffile": (stored, deep),
}
if seen != {(name, bits): pair[bits == 16] for name, pair in expected.items() for bits in (8, 16)}:
    raise SystemExit("the behaviour has changed")
PYTHON
