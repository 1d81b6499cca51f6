#!/bin/sh
# torch 2.15.0: random.shuffle() and random.sample() inside torch.compile give the same order in every call.
#
# A function that mixes a batch and draws the partner rows with random.shuffle(), or the cells to be
# erased with random.sample(), draws them once when it is compiled; that order is then built in as a
# constant, for all batches that follow, and Python's generator is not moved on. Nothing is warned of, and
# fullgraph=True, which refuses what cannot be compiled, takes it too. random.random(), randint(),
# uniform() and gauss() are drawn anew, and so are numpy.random.permutation() and torch.randperm(), so
# that an augmentation may look random in its strength while its partners never change. It is known to the
# developers of PyTorch and not corrected in this version. The way around is torch.randperm().
# Seen, 20 batches of 8 rows: orders by shuffle 20 different as it is, 1 compiled; cells by sample 20
# and 1; strengths by uniform 20 and 20; orders by torch.randperm 20 and 20.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import random

import torch

print("torch", torch.__version__.partition("+")[0])


def shuffle(rows):
    order = list(range(len(rows)))
    random.shuffle(order)
    return rows[order]


def sample(rows):
    cells = random.sample(range(196), 3)
    return rows * (cells[0] + 196 * cells[1] + 196**2 * cells[2])


def uniform(rows):
    return rows * random.uniform(0, 1)


def randperm(rows):
    return rows[torch.randperm(len(rows))]


rows = torch.arange(1.0, 9.0)
seen = {}
for draw in (shuffle, sample, uniform, randperm):
    for fullgraph in (None, False, True):
        torch._dynamo.reset()
        random.seed(0)
        torch.manual_seed(0)
        function = draw
        if fullgraph is not None:  # "eager" leaves out only the compiling of what was traced
            function = torch.compile(draw, backend="eager", fullgraph=fullgraph)
        seen[draw.__name__, fullgraph] = len({tuple(function(rows).tolist()) for _ in range(20)})
    whole = [seen[draw.__name__, fullgraph] for fullgraph in (None, False, True)]
    print(f"{draw.__name__}: {whole[0]} different of 20, compiled {whole[1]}, as a full graph {whole[2]}")
for name in ("shuffle", "sample"):
    if [seen[name, fullgraph] for fullgraph in (None, False, True)] != [20, 1, 1]:
        raise SystemExit("the behaviour has changed")
for name in ("uniform", "randperm"):
    if [seen[name, fullgraph] for fullgraph in (None, False, True)] != [20, 20, 20]:
        raise SystemExit("the behaviour has changed")
PYTHON
