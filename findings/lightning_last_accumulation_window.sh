#!/bin/sh
# lightning 2.6.6: gradients of the last, incomplete accumulation window of an epoch are too small.
#
# With accumulate_grad_batches=3 the loss of each batch is divided by 3, so that three batches give
# the gradient of their mean. Where the batches of an epoch do not divide evenly, a step is made at
# the end of the epoch with what is left, and its loss is divided by 3 all the same: with 4 batches
# the last step has a third of the gradient of its batch. Seen: 4 equal batches whose gradient is 1,
# plain SGD of rate 1: the weight moves by 1.0 in the first step and by 0.3333 in the second.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.15.0 lightning==2.6.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import logging
import warnings

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
import lightning
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = [0.0]

    def training_step(self, batch, number):
        return self.weight * batch[0].mean()  # its gradient is the mean of the batch, 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def on_train_batch_end(self, outputs, batch, number):
        self.seen.append(float(self.weight.detach()))


model = Model()
trainer = Trainer(
    max_epochs=1, accumulate_grad_batches=3, accelerator="cpu", logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(model, DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=1))
moves = [round(before - after, 4) for before, after in zip(model.seen, model.seen[1:])]
print("lightning", lightning.__version__, "torch", torch.__version__)
print("the weight moves after each of 4 batches by", moves)
if moves != [0.0, 0.0, 1.0, 0.3333]:
    raise SystemExit("the behaviour has changed")
PYTHON
