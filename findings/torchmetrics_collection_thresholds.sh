#!/bin/sh
# torchmetrics 1.9.0: a MetricCollection takes two thresholds for one after an easy first batch.
#
# By default a MetricCollection lets metrics share their counts where these "belong to the same compute
# group", says its docstring, as recall and precision do. Whether two belong together is decided by whether
# their counts are the same after the very first update(). The same metric at two thresholds, or top-1 and
# top-k accuracy, has the same counts on a batch that is easy, as the first of a folder that is read in the
# order of its classes: all parts good, all scores low. From then on one of them is fed and the others give
# its value, in later epochs too, since reset() keeps the groups. That docstring advises a dict "to chain
# together multiple of the same metric with different parameters", and nothing is warned of. The way around
# is compute_groups=False.
# Seen, four good photos with scores below 0.5 and four defects with scores 0.95, 0.7, 0.6, 0.4: the recall
# at 0.5 is 0.75 and at 0.9 it is 0.25; with the good photos first, both are 0.75, and again in the next
# epoch, whatever its order; with the defects first, or without groups, 0.75 and 0.25. Accuracy of three
# classes after a batch that is all right: top-2 is 0.5, as top-1, in place of 1.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.15.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryRecall, MulticlassAccuracy

print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__.partition("+")[0])
good = (torch.tensor([0.1, 0.2, 0.3, 0.1]), torch.tensor([0, 0, 0, 0]))
bad = (torch.tensor([0.95, 0.7, 0.6, 0.4]), torch.tensor([1, 1, 1, 1]))
classes = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])
first, second = (classes, torch.tensor([0, 1, 2])), (classes, torch.tensor([1, 2, 0]))


def recalls(**how):
    return MetricCollection({f"at {at}": BinaryRecall(threshold=at / 100) for at in (50, 90)}, **how)


def epoch(metrics, *batches):
    metrics.reset()
    for scores, target in batches:
        metrics.update(scores, target)
    return [round(value.item(), 4) for value in metrics.compute().values()]


kept = recalls()
accuracies = {f"top-{k}": MulticlassAccuracy(3, top_k=k) for k in (1, 2)}
seen = {
    "recall at 0.5 and 0.9, good photos first": epoch(kept, good, bad),
    "the next epoch, defects first": epoch(kept, bad, good),
    "defects first from the beginning": epoch(recalls(), bad, good),
    "good photos first, no groups": epoch(recalls(compute_groups=False), good, bad),
    "accuracy top-1 and top-2": epoch(MetricCollection(dict(accuracies)), first, second),
    "accuracy, no groups": epoch(MetricCollection(dict(accuracies), compute_groups=False), first, second),
}
for name, values in seen.items():
    print(f"{name}: {values[0]} and {values[1]}")
if list(seen.values()) != [[0.75, 0.75], [0.75, 0.75], [0.75, 0.25], [0.75, 0.25], [0.5, 0.5], [0.5, 1.0]]:
    raise SystemExit("the behaviour has changed")
PYTHON
