#!/bin/sh
# lightly 1.6.0: DINOLoss, worked out for validation photos in eval() and no_grad(), changes the training.
#
# The loss of DINO takes from the teacher's output a centre, a moving average of that output, which says its
# docstring "is updated with a moving average during training". It is updated in each call: eval(), which the
# loss has as any module has, and torch.no_grad() do not stop it, so that a validation loss, as is logged
# after each epoch, brings the validation photos into the centre that the next training batches are compared
# with. With more validation batches than a few the centre is that of the validation photos alone. A run
# that validates so is another than one that does not, and has seen its validation photos. IBOTPatchLoss does
# the same. The memory bank of NTXentLoss is left alone without gradients. The way around is to load
# loss.state_dict(), as it was before the validation, after it, or to use a copy.deepcopy() of the loss.
# Seen, three batches of 32, after each of them five of validation photos whose last feature is higher by 2:
# the last place of the centre 1.59 in place of -0.05, the loss of the third batch 13.4 in place of 13.0;
# IBOTPatchLoss moved True, memory bank moved False; with a copy all as without validation.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 torchvision==0.29.2 tqdm
"$folder/env/bin/pip" install --quiet --disable-pip-version-check --no-deps lightly==1.6.0  # its losses need no more
cd "$folder"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import copy

import lightly
import torch
from lightly.loss import DINOLoss, IBOTPatchLoss, NTXentLoss

print("lightly", lightly.__version__, "torch", torch.__version__.partition("+")[0])
torch.manual_seed(0)
train, student, other = ([torch.randn(32, 8), torch.randn(32, 8)] for _ in range(3))
shift = torch.tensor([0.0] * 7 + [2.0])
validation = [view + shift for view in other]


def run(how):
    """Return the losses of three training batches and the last place of the centre."""
    loss = DINOLoss(output_dim=8)
    losses = []
    for _ in range(3):
        loss.train()
        losses.append(round(loss(train, student).item(), 2))
        if how == "no validation":
            continue
        used = copy.deepcopy(loss) if how == "validation by a copy" else loss
        used.eval()
        with torch.no_grad():
            for _ in range(5):
                used(validation, student)
    return losses, round(loss.center[..., -1].item(), 2)


seen = {how: run(how) for how in ("no validation", "validation", "validation by a copy")}
for how, (losses, centre) in seen.items():
    print(f"{how}: losses {', '.join(map(str, losses))}, last place of the centre {centre}")


def moved(loss, *outputs):
    """Whether a call without gradients changes what the loss keeps."""
    loss.eval()
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    with torch.no_grad():
        loss(*outputs)
    return any(not torch.equal(value, before[name]) for name, value in loss.state_dict().items())


mask = torch.ones(2, 4, 4, dtype=torch.bool)
patches = moved(IBOTPatchLoss(output_dim=8), validation[0], student[0], mask)
contrast = NTXentLoss(memory_bank_size=(64, 8))
contrast(train[0].clone().requires_grad_(), train[1])
bank = moved(contrast, validation[0], validation[1])
print(f"IBOTPatchLoss moved {patches}, memory bank of NTXentLoss moved {bank}")
alone = ([13.18, 13.08, 13.0], -0.05)
expected = {"no validation": alone, "validation": ([13.18, 13.44, 13.4], 1.59), "validation by a copy": alone}
if seen != expected or (patches, bank) != (True, False):
    raise SystemExit("the behaviour has changed")
PYTHON
