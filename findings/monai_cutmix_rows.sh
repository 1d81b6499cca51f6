#!/usr/bin/env bash
# monai 1.6.1, transforms.CutMix on a batch with one-hot labels of shape (B, classes), the form that its documentation
# names: the images hold a box of the partner, the labels are those of the partner alone, whatever is seen. Each image
# here is constant, its own number, so that what it shows can be counted. MixUp of the same version refuses such rows.
# Seen: "labels that say what is shown: N of 192" with N below 64, and a ValueError of MixUp. Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check monai==1.6.1 torch==2.15.0
cat > "$folder/show.py" <<'PY'
import monai
import torch
from monai.transforms import CutMix, MixUp

print("monai", monai.__version__)
size, right = 8, 0
images = torch.arange(size).float().view(size, 1, 1, 1).expand(size, 3, 32, 32).clone()
rows = torch.eye(size)
for seed in range(24):
    mix = CutMix(batch_size=size, alpha=1.0)
    mix.set_random_state(seed)
    mixed, labels = mix(images, rows)
    for image, label in zip(mixed, labels):
        shown = torch.bincount(image[0].long().flatten(), minlength=size) / image[0].numel()
        right += bool(torch.allclose(shown, label.float(), atol=0.01))
print(f"labels that say what is shown: {right} of {24 * size}")
try:
    MixUp(batch_size=size, alpha=1.0)(images, rows)
    print("MixUp takes rows")
except ValueError as error:
    print("MixUp:", type(error).__name__, error)
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
test "$(sed -n 's/^labels that say what is shown: \([0-9]*\) of 192$/\1/p' "$folder/seen")" -lt 64
grep -q "^MixUp: ValueError" "$folder/seen"
