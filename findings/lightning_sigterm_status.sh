#!/usr/bin/env bash
# lightning 2.6.6: a process that gets SIGTERM during Trainer.fit (a batch system that takes the machine back) ends with
# exit status 0 and does not return from fit, so that "train && evaluate" goes on with a network of which two seconds
# of a long plan were trained. With KeyboardInterrupt (SIGINT) the status is 1. Python without a handler gives 143.
# Seen: "SIGTERM: status 0", "SIGINT: status 1", no line "fit returned". Fails where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check lightning==2.6.6 torch==2.15.0
cat > "$folder/show.py" <<'PY'
import os
import signal
import sys
import threading
import time

import lightning as L
import torch


class Line(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 1)

    def training_step(self, batch, number):
        time.sleep(0.05)
        return self.line(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
which = getattr(signal, sys.argv[1])
threading.Timer(2, lambda: os.kill(os.getpid(), which)).start()
trainer = L.Trainer(
    max_epochs=1000,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Line(), torch.utils.data.DataLoader(torch.randn(64, 2), batch_size=4))
print("fit returned", trainer.state.status)
PY
"$folder/venv/bin/python" -c "import lightning; print('lightning', lightning.__version__)"
for signal in SIGTERM SIGINT; do
  status=0
  "$folder/venv/bin/python" "$folder/show.py" "$signal" 2> /dev/null || status=$?
  echo "$signal: status $status"
done | tee "$folder/seen"
grep -qx "SIGTERM: status 0" "$folder/seen"
grep -qx "SIGINT: status 1" "$folder/seen"
! grep -q "fit returned" "$folder/seen"
