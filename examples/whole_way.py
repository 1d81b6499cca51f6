"""The whole way: an encoder learns from photos without labels, a classifier from few labels.

The photos are stripes, drawn by a program. For real ones give a folder and more epochs.

python examples/whole_way.py
"""

import logging
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from samix.training import PretrainConfig, TrainConfig, pretrain, train

SIDE, COUNT = 24, 40  # px, photos of each class
CLASSES = {"flat": (0, 6), "steep": (6, 0), "fine": (0, 3), "steep-fine": (3, 0)}
NETWORK = {
    "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 16, 32, 32]},
    "stem": "small",
    "image_size": SIDE,
}


def draw_photos(folder: Path) -> str:
    """Write stripes of four kinds in random colours, and return their folder."""
    rng, grid = np.random.default_rng(0), np.mgrid[:SIDE, :SIDE]
    for name, (across, along) in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(COUNT):
            waves = grid[0] / across if across else grid[1] / along
            light = np.sin(2 * np.pi * (waves + rng.random()))[..., None] * rng.uniform(30, 90, 3)
            pixels = 128 + light + rng.normal(0, 25, (SIDE, SIDE, 3))
            photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            photo.save(folder / name / f"{number}.png")
    return str(folder)


def main(folder: Path, epochs: int = 8) -> dict[str, float]:
    """Return the test accuracy from random weights, and from what was learned without labels."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    data = draw_photos(folder / "photos")
    learn = {"data": data, "batch_size": 16, "duplicates": "ignore", **NETWORK}
    run = pretrain(PretrainConfig(epochs=2 * epochs, output=str(folder / "encoder"), **learn)).run
    found = {}
    for name, start in (("random weights", {}), ("the encoder", {"init": str(run.path)})):
        few = {"labels_per_class": 4, "epochs": epochs, "lr": 0.05, "policy": "none", **start}
        config = TrainConfig(output=str(folder / name.replace(" ", "-")), **few, **learn)
        found[name] = train(config).metrics["test"]["encoder"]["top1"]
    for name, top1 in found.items():
        print(f"4 labels a class, from {name}: {top1:.0%} right; guessing gives 25%")
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Path(place))
