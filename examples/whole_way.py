"""The whole way: photos without labels, then a classifier from few labels.

Encoder and Mixer both come from the self-supervised run. The photos are drawn by a program and the
runs are tiny, so that the script takes seconds; for real ones give a folder and more epochs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from samix.training import PretrainConfig, TrainConfig, pretrain, train

DATA = "demo:photos_per_class=20,size=16"
NETWORK = {
    "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]},
    "stem": "small",
    "image_size": 16,
}


def main(folder: Path, data: str = DATA, epochs: int = 2) -> dict[str, float]:
    """Return test accuracy with and without what was learned without labels."""
    first = pretrain(
        PretrainConfig(
            data=data, output=str(folder / "pretrained"), batch_size=24, epochs=epochs, **NETWORK
        )
    )
    run = str(first.run.path)
    print(f"held-out loss {first.metrics['held_out']['loss']:.2f}, kNN {first.metrics['knn']}")

    few = {"labels_per_class": 4, "batch_size": 24, "epochs": epochs, **NETWORK}
    starts = {
        "scratch": {"policy": "samix"},
        "encoder": {"policy": "mixup", "init": run},
        "encoder and Mixer": {"policy": run, "init": run},
    }
    found = {}
    for name, start in starts.items():
        output = str(folder / name.replace(" ", "-"))
        metrics = train(TrainConfig(data=data, output=output, **few, **start)).metrics
        found[name] = metrics["test"]["encoder"]["top1"]
        print(f"{name:<18} test accuracy {found[name]:.1%}")
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Path(place))
