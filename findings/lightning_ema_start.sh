#!/bin/sh
# lightning 2.6.6: EMAWeightAveraging averages from the first step whatever epoch it is told to start at.
#
# update_starting_at_epoch=3 is to begin the moving average of the weights in epoch 3, so that those of
# the first epochs are not in it. Updates after a step are held back by update_starting_at_step alone: where
# only the epoch is given, all steps from the first one are averaged, and at the end of each epoch from 3 on
# the last weights are averaged in once more. update_starting_at_step does hold the average back, but until
# then it is a copy of the weights from before the training: each validation tests the untrained network,
# by which EarlyStopping and ModelCheckpoint then go, and where fit() ends before that step, it is the
# untrained network that is handed back. Nothing is warned of, and the docstrings of the class say nothing of
# the two arguments. That validation tests the untrained network is known to the developers of lightning;
# this version does it. The way around is to leave both arguments out.
# Seen, a weight that starts at 0 and gains 1 in each of 4 steps an epoch, decay 0.5, tested after each of 4
# epochs: with update_starting_at_epoch=3 as without it 3.125, 7.0078, 11.0005, 15.0; with
# update_starting_at_step=12, the same place, 0, 0, 0, 15.125; with 100, all 0, and 0 after fit() in place
# of 16 or near it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 lightning==2.6.6
cd "$folder"
"$folder/env/bin/python" - 2> "$folder/log" <<'PYTHON'
import logging
import warnings

warnings.filterwarnings("ignore")
import lightning
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, number):
        return -self.weight * batch[0].mean()  # SGD of rate 1 adds 1 to the weight

    def validation_step(self, batch, number):
        self.seen.append(round(self.weight.item(), 4))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def trained(**start):
    """Return the weight at each validation and after the training."""
    model = Model()
    trainer = Trainer(
        max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[EMAWeightAveraging(decay=0.5, **start)],
    )
    batches = [DataLoader(TensorDataset(torch.ones(count, 1)), batch_size=1) for count in (4, 1)]
    trainer.fit(model, *batches)
    return model.seen, round(model.weight.item(), 3)


print("lightning", lightning.__version__, "torch", torch.__version__.partition("+")[0])
given = []
epoch, step = "update_starting_at_epoch", "update_starting_at_step"
for start in ({}, {epoch: 3}, {step: 12}, {step: 100}):
    tested, left = trained(**start)
    given.append((tested, left))
    name = ", ".join(f"{word}={number}" for word, number in start.items()) or "no start"
    print(f"{name}: tested at {', '.join(map(str, tested))}, after fit() {left}")
always = [3.125, 7.0078, 11.0005, 15.0]
if given != [(always, 15.0), (always, 15.5), ([0.0, 0.0, 0.0, 15.125], 15.125), ([0.0] * 4, 0.0)]:
    raise SystemExit("the behaviour has changed")
PYTHON
