#!/usr/bin/env bash
# torchmetrics 1.9.0, a class that is predicted but has no photo in the test set (usual with rare defects): macro recall
# and macro AUROC count it as 0 and divide by all classes, macro average precision leaves it out, as
# balanced_accuracy_score of scikit-learn 1.9.1 does. A perfect ranking of the classes that are there has AUROC 2/3 in
# one and precision 1 in the other. Seen: recall 0.5, balanced accuracy 0.75, AUROC 0.667, average precision 1.0.
# Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check torchmetrics==1.9.0 torch==2.15.0 scikit-learn==1.9.1
cat > "$folder/show.py" <<'PY'
import warnings

import torch
import torchmetrics
from sklearn.metrics import balanced_accuracy_score
from torchmetrics.functional import classification as scores

warnings.simplefilter("ignore")
print("torchmetrics", torchmetrics.__version__)
target = torch.tensor([0, 0, 1, 1])  # no test photo of class 2
shares = torch.tensor([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]])
print("macro recall", round(scores.multiclass_recall(shares, target, 3, average="macro").item(), 3))
print("balanced accuracy", round(balanced_accuracy_score(target, shares.argmax(1)), 3))
print("macro AUROC", round(scores.multiclass_auroc(shares, target, 3).item(), 3))
print("macro average precision", round(scores.multiclass_average_precision(shares, target, 3).item(), 3))
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
grep -qx "macro recall 0.5" "$folder/seen"
grep -qx "balanced accuracy 0.75" "$folder/seen"
grep -qx "macro AUROC 0.667" "$folder/seen"
grep -qx "macro average precision 1.0" "$folder/seen"
