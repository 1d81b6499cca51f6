#!/usr/bin/env bash
# keras 3.15.1, keras.utils.PyDataset(use_multiprocessing=True) under Linux, where processes are forked (Python up to
# 3.13): its workers are forked anew for each pass over the data and nobody seeds them, so that each worker begins with
# the same state of numpy in each pass. Augmentations drawn with numpy.random, or with a generator that the data set
# holds, are the same in every pass, and those of two workers repeat each other. With threads, the default, all differ.
# torch's DataLoader seeds numpy in its workers. The documentation of PyDataset says of processes only that the data set
# is "replicated in multiple forked processes". Seen, three passes of eight batches, two workers: threads "24 and 24
# different of 24", processes 4 to 8 of 24, and with one worker "8 and 8 different of 24". Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check keras==3.15.1 jax==0.10.2 numpy==2.4.6 scipy==1.17.1
cat > "$folder/show.py" <<'PY'
import multiprocessing
import time
import warnings

import keras
import numpy as np

warnings.simplefilter("ignore")


class Photos(keras.utils.PyDataset):
    """Eight batches of one photo each, of which only its random brightness and its random shift are given."""

    def __init__(self, **how):
        super().__init__(**how)
        self.random = np.random.default_rng(0)

    def __len__(self):
        return 8

    def __getitem__(self, number):
        time.sleep(0.05)  # so that both workers have something to do
        return np.array([[np.random.rand(), self.random.random()]], "float32")


print("keras", keras.__version__)
multiprocessing.set_start_method("fork")
inputs = keras.Input((2,))
network = keras.Model(inputs, keras.layers.Identity()(inputs))
for workers, processes in ((2, False), (1, True), (2, True)):
    np.random.seed(0)
    photos = Photos(workers=workers, use_multiprocessing=processes)
    seen = np.concatenate([network.predict(photos, verbose=0) for _ in range(3)])
    brightness, shift = (len(np.unique(column)) for column in seen.T)
    print(f"{workers} {'processes' if processes else 'threads'}: {brightness} and {shift} different of {len(seen)}")
PY
KERAS_HOME="$folder/home" KERAS_BACKEND=numpy "$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
grep -qx "2 threads: 24 and 24 different of 24" "$folder/seen"
grep -qx "1 processes: 8 and 8 different of 24" "$folder/seen"
grep -qx "2 processes: [4-8] and [4-8] different of 24" "$folder/seen"
