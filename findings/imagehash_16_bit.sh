#!/bin/sh
# imagehash 4.3.2 on pillow 13.0.0: gray photos of 16 bit all have one hash, as if they were all duplicates.
#
# A perceptual hash is to be near for photos that look alike and far for others; with it photos that stand twice
# in a set, or in both the training and the test part, are sought. All hashes of imagehash begin with
# image.convert("L"). For an image of mode "I;16", as Pillow opens a PNG or TIFF of 16 bit, that does not scale:
# it cuts the numbers off at 255, so that a photo whose darkest value is 255 or more is white all over. Any two
# such photos have distance 0: who removes duplicates is left with one photo, who keeps duplicates together
# gets one group. Nothing is raised or warned of, and the README of imagehash does not say so. imagededup
# 0.3.3.post2, which makes its own hashes from convert("L"), finds them all to be duplicates too. That Pillow cuts
# off is known to its developers; no report for imagehash was found. The way around is to hash
# Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8)).
# Seen, eight unlike photos with values from 10000 to 50000: one hash in place of eight by each of phash, dhash,
# whash and average_hash, largest distance 0; as 8 bit eight hashes, smallest distance 20 or more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check ImageHash==4.3.2 pillow==13.0.0 numpy==2.4.6 \
  scipy==1.17.1 PyWavelets==1.9.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version
from itertools import combinations

import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

print("imagehash", version("ImageHash"), "pillow", version("pillow"))
rng = np.random.default_rng(0)
for number in range(8):
    photo = gaussian_filter(rng.standard_normal((128, 128)), 9)
    photo = 10000 + 40000 * (photo - photo.min()) / np.ptp(photo)
    Image.fromarray(photo.astype(np.uint16)).save(f"{number}.png")
deep = [Image.open(f"{number}.png") for number in range(8)]
shallow = [Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) for image in deep]
seen = {}
for make in (imagehash.phash, imagehash.dhash, imagehash.whash, imagehash.average_hash):
    for name, images in ((deep[0].mode, deep), ("L", shallow)):
        hashes = [make(image) for image in images]
        apart = [one - other for one, other in combinations(hashes, 2)]
        seen[make.__name__, name] = (len(set(map(str, hashes))), min(apart), max(apart))
        print(f"{make.__name__}, mode {name}: {seen[make.__name__, name][0]} hashes of 8 photos, distances {min(apart)} to {max(apart)}")
if any(value != (1, 0, 0) if mode == "I;16" else value[:1] != (8,) or value[1] < 5 for (_, mode), value in seen.items()):
    raise SystemExit("the behaviour has changed")
PYTHON
