#!/usr/bin/env bash
# datasets 5.2.0, load_dataset("imagefolder") on two class folders "valid" and "invalid", as a person who sorts checked
# parts has them: the first name is read as that of a validation split, all photos of the other are left out without a
# word, and there is no label. The same for "train" beside "bus" and "car". Folders "good" and "bad" give one split of all
# photos with their labels. Seen: "valid invalid: validation 3 of 6, label False", "train bus car: train 3 of 9, label
# False", "good bad: train 6 of 6, label True". Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
cat > "$folder/show.py" <<'PY'
import sys
from pathlib import Path

import datasets
from PIL import Image

print("datasets", datasets.__version__)
for classes in (["valid", "invalid"], ["train", "bus", "car"], ["good", "bad"]):
    folder = Path(sys.argv[1], "_".join(classes))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8), (number, number, number)).save(folder / name / f"{number}.png")
    parts = datasets.load_dataset("imagefolder", data_dir=str(folder))
    for split, photos in parts.items():
        print(f"{' '.join(classes)}: {split} {len(photos)} of {3 * len(classes)}, label {'label' in photos.features}")
PY
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" "$folder/show.py" "$folder/photos" 2> "$folder/progress" \
  | tee "$folder/seen"
grep -qx "valid invalid: validation 3 of 6, label False" "$folder/seen"
grep -qx "train bus car: train 3 of 9, label False" "$folder/seen"
grep -qx "good bad: train 6 of 6, label True" "$folder/seen"
