#!/bin/sh
# accelerate 1.15.0: gather_for_metrics() drops real rows of the last batch where the loader has a sampler.
#
# It "potentially drops duplicates in the last batch if on a distributed system", says its docstring.
# How many rows of the last batch are real is worked out from the length of the data set, though, and not
# from how many rows the loader gives: with a sampler that takes a part of it, as SubsetRandomSampler for
# a validation part, WeightedRandomSampler, RandomSampler(num_samples=...) or a batch sampler on top of
# one, real rows are thrown away without a word, in a single process too, and a metric is that of the
# others. Which photos are left out depends on nothing but their place in the last batch. With the part
# taken by torch.utils.data.Subset, whose length is that of the part, all rows come back.
# Seen, 100 photos, batches of 16, one process: 36 of the 48 rows of a SubsetRandomSampler come back, 36
# of 48 of a list of numbers, with accuracy 1.0 in place of 0.75 where the last 12 are classified wrongly,
# 52 of 60 of a WeightedRandomSampler; 48 of 48 of a Subset, accuracy 0.75. To be safe, use Subset, or
# gather() in a single process.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 accelerate==1.15.0
cd "$folder"
HF_HOME="$folder/home" "$folder/env/bin/python" - <<'PYTHON'
import accelerate
import torch
from torch.utils.data import DataLoader, RandomSampler, Subset, SubsetRandomSampler, TensorDataset
from torch.utils.data import WeightedRandomSampler

print("accelerate", accelerate.__version__, "torch", torch.__version__.partition("+")[0])
helper = accelerate.Accelerator(cpu=True)
part = list(range(48))
photos = TensorDataset(torch.arange(100))
seen = {}
for name, loader in {
    "no sampler": DataLoader(photos, batch_size=16),
    "SubsetRandomSampler": DataLoader(photos, batch_size=16, sampler=SubsetRandomSampler(part)),
    "list of numbers": DataLoader(photos, batch_size=16, sampler=part),
    "RandomSampler": DataLoader(photos, batch_size=16, sampler=RandomSampler(photos, num_samples=48)),
    "WeightedRandomSampler": DataLoader(photos, batch_size=16, sampler=WeightedRandomSampler(torch.ones(100), 60)),
    "Subset": DataLoader(Subset(photos, part), batch_size=16),
}.items():
    given, back = [], []
    for (numbers,) in helper.prepare(loader):
        given.append(numbers)
        back.append(helper.gather_for_metrics(numbers))
    given, back = torch.cat(given), torch.cat(back)
    right = (back < 36).float().mean().item()  # a network that is wrong about photos 36 to 47
    seen[name] = (len(back), len(given))
    line = f"{name}: {len(back)} of {len(given)} rows come back"
    if name in ("list of numbers", "Subset"):  # these alone are in a known order
        seen[name] += (right,)
        line += f", accuracy {right:g}"
    print(line)
expected = {
    "no sampler": (100, 100),
    "SubsetRandomSampler": (36, 48),
    "list of numbers": (36, 48, 1.0),
    "RandomSampler": (36, 48),
    "WeightedRandomSampler": (52, 60),
    "Subset": (48, 48, 0.75),
}
if seen != expected:
    raise SystemExit("the behaviour has changed")
PYTHON
