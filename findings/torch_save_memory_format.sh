#!/bin/sh
# torch 2.15.0: torch.save() refuses whatever holds a torch.memory_format, which pickle and deepcopy take.
#
# Settings of a run often name the format of its images, {"memory_format": torch.channels_last}, and a
# module may keep it to convert its batches. Of the constants of torch that such settings hold, a dtype,
# a layout, a device and a quantisation scheme are saved and loaded, also with weights_only=True, which is
# the default. A memory format raises "cannot pickle 'module' object", naming neither the format nor the
# place where it stands; it does so at the first checkpoint, after an epoch was trained, since
# pickle.dumps(), copy.deepcopy() and worker processes accept the same object before. The cause: dtypes
# reduce to their bare name, memory formats to a name with a dot, "torch.channels_last", which protocols 2
# and 3 can only write as an attribute of the module torch, and a module cannot be pickled; torch.save()
# writes protocol 2. With pickle_protocol=4 it is written, and refused by torch.load() with
# weights_only=True. The way around is to save the word, str(torch.channels_last), and look it up again.
# No report of it was found.
# Seen: pickle protocols 2 and 3 TypeError, 4 and 5 the same object; deepcopy the same object; torch.save
# TypeError; torch.save with protocol 4, then torch.load UnpicklingError.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy
cd "$folder"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import copy
import io
import pickle

import torch

print("torch", torch.__version__.partition("+")[0])


def outcome(work):
    try:
        return work()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"


def saved(value, **options):
    file = io.BytesIO()
    torch.save({"setting": value}, file, **options)
    file.seek(0)
    return torch.load(file)["setting"]


others = (torch.bfloat16, torch.strided, torch.device("cpu"), torch.per_tensor_affine)
for value in others:
    print("torch.save, torch.load:", outcome(lambda: saved(value)))
    if outcome(lambda: saved(value)) != value:
        raise SystemExit("the behaviour has changed")
format_ = torch.channels_last
seen = {
    f"pickle, protocol {protocol}": outcome(lambda: pickle.loads(pickle.dumps(format_, protocol)))
    for protocol in (2, 3, 4, 5)
}
seen["deepcopy"] = outcome(lambda: copy.deepcopy(format_))
seen["torch.save"] = outcome(lambda: saved(format_))
seen["torch.save, protocol 4"] = outcome(lambda: saved(format_, pickle_protocol=4))
for name, value in seen.items():
    print(f"{format_} by {name}: {value}")
refused = "TypeError: cannot pickle 'module' object"
if [seen[name] for name in ("pickle, protocol 2", "pickle, protocol 3", "torch.save")] != [refused] * 3:
    raise SystemExit("the behaviour has changed")
if any(seen[name] is not format_ for name in ("pickle, protocol 4", "pickle, protocol 5", "deepcopy")):
    raise SystemExit("the behaviour has changed")
if not str(seen["torch.save, protocol 4"]).startswith("UnpicklingError"):
    raise SystemExit("the behaviour has changed")
PYTHON
