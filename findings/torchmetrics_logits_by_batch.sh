#!/usr/bin/env bash
# torchmetrics 1.9.0: whether scores are taken for logits is decided anew in each update() by whether that batch has a
# value outside [0, 1]. Raw scores of an anomaly detector or logits near 0 fall on both sides, so that a module metric
# ranks sigmoid-ed and raw values together, and the AUROC of the same eight photos depends on how they were batched.
# Seen: one batch 0.8125, two batches 0.6875. Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check torchmetrics==1.9.0 torch==2.15.0
cat > "$folder/show.py" <<'PY'
import torch
import torchmetrics

print("torchmetrics", torchmetrics.__version__)
scores = torch.tensor([-3.0, -2.0, 2.0, 3.0, 0.1, 0.2, 0.3, 0.9])
target = torch.tensor([0, 0, 1, 1, 1, 0, 1, 0])
for size in (8, 4):
    metric = torchmetrics.AUROC(task="binary")
    for start in range(0, 8, size):
        metric.update(scores[start : start + size], target[start : start + size])
    print(f"batches of {size}: AUROC {metric.compute().item()}")
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
grep -qx "batches of 8: AUROC 0.8125" "$folder/seen"
grep -qx "batches of 4: AUROC 0.6875" "$folder/seen"
