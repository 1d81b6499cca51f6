#!/usr/bin/env bash
# onnxscript 0.7.0 under torch.onnx.export of torch 2.15.0: a bilinear interpolation with antialias=True is exported
# without an error or a warning as one that gives other values in onnxruntime 1.32.0. The same lines under 0.7.1 agree
# with torch. Seen: "0.7.0: wrong", "0.7.1: right". Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
install() { "$folder/venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }
install torch==2.15.0 onnxruntime==1.32.0 onnx==1.23.2 numpy
cat > "$folder/show.py" <<'PY'
import logging
import tempfile

import onnxruntime
import onnxscript
import torch
import torch.nn.functional as F

logging.disable(logging.WARNING)


class Smaller(torch.nn.Module):
    def forward(self, images):
        return F.interpolate(images, size=(8, 8), mode="bilinear", antialias=True)


torch.manual_seed(0)
images = torch.rand(1, 3, 32, 32)
with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    torch.onnx.export(Smaller(), (images,), file.name, dynamo=True, verbose=False)
    network = onnxruntime.InferenceSession(file.name)
    given = network.run(None, {network.get_inputs()[0].name: images.numpy()})[0]
apart = (torch.from_numpy(given) - Smaller()(images)).abs().max().item()
print(f"{onnxscript.__version__}: {'wrong' if apart > 0.01 else 'right'}, largest difference {apart:.3f}")
PY
for version in 0.7.0 0.7.1; do
  install "onnxscript==$version"
  "$folder/venv/bin/python" "$folder/show.py" | grep "^$version"
done | tee "$folder/seen"
grep -q "^0.7.0: wrong" "$folder/seen"
grep -q "^0.7.1: right" "$folder/seen"
