#!/bin/sh
# pillow 13.0.0: two gray photos of float32 or 16 bit, blended by a soft mask, are blended byte by byte.
#
# Image.composite(one, other, mask) and paste() with a mask are to "mix the two images together" where the mask
# is between 0 and 255. For images of mode "F", in which float32 photos, depths and temperatures are held, each
# of the four bytes of a number is averaged on its own, exponent as well: half of a photo and half of black is
# next to 0, half of -1 and half of 1 is infinite. In modes "I" and "I;16", as a PNG of 16 bit is opened, the
# half that is lost from a high byte is not carried into the lower one, so that values are off by up to 128 in
# "I;16" and by more in "I". Where the mask is 0 or 255 all is right, so that a box pasted with a hard mask is as
# it should be and one with a soft edge is not. Nothing is raised or warned of; Image.blend(), which mixes by
# one number for all pixels, refuses the three modes with an error. The documentation names no mode that a
# mask does not work for, and no report of it was found. The way around is to mix arrays of numpy.
# Seen, a flat photo half and half with one of 0: 100 of mode "L" is 50; 100 of mode "F" is 8e-19, and 20.5
# with 10 is 14.1 in place of 15.3; 256 of modes "I" and "I;16" is 256, 65536 of mode "I" is 65536.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import PIL
from PIL import Image

print("pillow", PIL.__version__, "numpy", np.__version__)
kinds = {"L": np.uint8, "F": np.float32, "I": np.int32, "I;16": np.uint16}


def flat(value, mode):
    """Return a photo of one value, with its mode as Pillow sees it."""
    image = Image.fromarray(np.full((4, 4), value, kinds[mode]))
    assert image.mode == mode, image.mode
    return image


def mixed(one, other, mode, weight):
    """Return what two flat photos give under a flat mask, by composite() and by paste()."""
    mask = Image.new("L", (4, 4), weight)
    composed = np.asarray(Image.composite(flat(one, mode), flat(other, mode), mask))
    pasted = flat(other, mode)
    pasted.paste(flat(one, mode), (0, 0), mask)
    assert np.array_equal(composed, np.asarray(pasted))
    return composed[0, 0].item()


off = {}
for mode, one, other in (("L", 100, 0), ("F", 100, 0), ("F", 1000, 0), ("F", 20.5, 10), ("F", -1, 1), ("I", 256, 0),
                         ("I", 65536, 0), ("I;16", 256, 0), ("I;16", 1000, 0)):
    right = other + (one - other) * 128 / 255
    half = mixed(one, other, mode, 128)
    off[mode, one] = abs(half - right)
    hard = (mixed(one, other, mode, 255), mixed(one, other, mode, 0)) == (one, other)
    print(f"mode {mode}: half of {one} and half of {other} is {half:.6g}, should be {right:.6g}; 0 and 255 right: {hard}")
    if not hard:
        raise SystemExit("a hard mask is not right any more")
for mode in ("F", "I", "I;16"):
    try:
        Image.blend(flat(1, mode), flat(0, mode), 0.5)
        raise SystemExit(f"Image.blend() takes mode {mode} now")
    except ValueError as error:
        print(f"Image.blend() of mode {mode}: {error}")
if off["L", 100] > 1 or any(value < 0.9 for case, value in off.items() if case[0] != "L"):
    raise SystemExit("the behaviour has changed")
PYTHON
