"""One Mixer, both worlds: encoder and Mixer of self-supervised runs in few-label training.

Run it with ``python benchmarks/both_worlds.py`` after ``benchmarks/self_supervised.py moco``, whose
weights it reads. CIFAR-10, 1,000 labels (100 a class), 500 steps of batch 100, three seeds; a
finished cell is one row, and a second run skips what is finished.

"scratch" starts from random weights, "from MoCo" from the encoder of ``moco samix``. The Mixer is
"fresh" (trained in place), "from MoCo" (goes on from there), or "frozen" as it came from there. The
way back: MoCo for two epochs from a supervised encoder, with its Mixer frozen, or a fresh one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import samix
from cells import add_places, parser_of, run_missing
from self_supervised import Cell as Pretraining
from self_supervised import Part, create, knn, load, pretrain
from stepping import batches, learn
from yardstick import RESNET, accuracy, augment

STEPS, BATCH, LABELS = 500, 100, 100
BACK_EPOCHS = 2
# name: start of the encoder, policy, what becomes of the Mixer
FORWARD = {
    "scratch, none": ("scratch", "none", None),
    "scratch, mixup": ("scratch", "mixup", None),
    "scratch, samix": ("scratch", "samix", "fresh"),
    "from MoCo, none": ("MoCo", "none", None),
    "from MoCo, mixup": ("MoCo", "mixup", None),
    "from MoCo, samix, fresh Mixer": ("MoCo", "samix", "fresh"),
    "from MoCo, samix, Mixer from MoCo": ("MoCo", "samix", "kept"),
    "from MoCo, samix, Mixer frozen": ("MoCo", "samix", "frozen"),
}
BACK = {
    "back to MoCo, fresh Mixer": "fresh",
    "back to MoCo, Mixer frozen": "frozen",
}


@dataclass(frozen=True)
class Cell:
    """One training: its name and its seed."""

    name: str
    seed: int


def few_labels(part: Part, seed: int) -> Part:
    """Return 100 photos a class."""
    images, target = part
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[target[order] == label][:LABELS] for label in range(10)])
    return images[chosen], target[chosen]


def supervised(name: str, seed: int, weights: Path) -> samix.SupervisedMethod:
    """Return a supervised method with the wanted start."""
    start, policy, mixer = FORWARD[name]
    torch.manual_seed(seed)
    options: dict[str, Any] = {} if policy == "none" else {"alpha": 1.0}
    method = samix.create_method(
        "supervised",
        num_classes=10,
        policy=policy,
        steps=STEPS,
        seed=seed,
        cost="full",
        **RESNET,
        **options,
    )
    if start == "MoCo":
        before = create(Pretraining("", "moco", "samix", seed, 1, {}), 1)
        before.load_state_dict(torch.load(weights / f"moco samix-{seed}.pt", weights_only=True))
        method.encoder.load_state_dict(before.encoder.state_dict(), strict=False)
        if method.average is not None:
            method.average.update(method.encoder, 0.0)
        if mixer in ("kept", "frozen"):
            take_mixer(method, before)
        if mixer == "frozen":
            freeze(method)
    return method.to(memory_format=torch.channels_last)


def take_mixer(method: Any, before: Any) -> None:
    """Load the Mixer of one method into another."""
    method.policy.mixer.load_state_dict(before.policy.mixer.state_dict())


def freeze(method: Any) -> None:
    """Keep the Mixer as it is."""
    method.policy.requires_grad_(False)


def train(method: samix.SupervisedMethod, data: Part, name: str, seed: int) -> dict[str, Any]:
    """Train with few labels; return seconds and the signs of life at the end."""
    images, target = few_labels(data, seed)
    pretrained = FORWARD[name][0] == "MoCo"
    groups = method.parameter_groups(0.05 if pretrained else 0.1, weight_decay=5e-4, mixer_lr=0.1)
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    generator = torch.Generator().manual_seed(seed)
    begin = time.process_time()
    for pick in batches(len(images), BATCH, STEPS, generator):
        learn(method, optimizer, schedule, augment(images[pick], generator), target[pick])
    seconds = time.process_time() - begin
    signs = method.signs_of_life(augment(images[:200], generator), target[:200])
    return {"seconds": round(seconds, 1), **life(signs)}


def life(signs: dict[str, Any]) -> dict[str, Any]:
    """Return the signs of life that stand in the table."""
    names = ("mask_deviation", "area_lam_correlation")
    return {name: round(float(signs[name]), 3) if name in signs else "" for name in names}


def run_forward(cell: Cell, data: dict[str, Part], weights: Path) -> dict[str, Any]:
    """Return the row of few-label training."""
    method = supervised(cell.name, cell.seed, weights)
    shown = train(method, data["train"], cell.name, cell.seed)
    if cell.name == "scratch, samix":
        torch.save(method.state_dict(), weights / f"supervised samix-{cell.seed}.pt")
    return {
        "cell": cell.name,
        "seed": cell.seed,
        "measure": "test top-1",
        "val": round(accuracy(method.encoder, data["val"]), 2),
        "test": round(accuracy(method.encoder, data["test"]), 2),
        **shown,
    }


def run_back(cell: Cell, data: dict[str, Part], weights: Path) -> dict[str, Any]:
    """Return the row of MoCo from a supervised start; the supervised cell must be finished."""
    before = supervised("scratch, samix", cell.seed, weights)
    before.load_state_dict(
        torch.load(weights / f"supervised samix-{cell.seed}.pt", weights_only=True)
    )

    def prepare(method: Any) -> None:
        method.encoder.load_state_dict(before.encoder.state_dict(), strict=False)
        method.average.update(method.network, 0.0)
        if BACK[cell.name] == "frozen":
            take_mixer(method, before)
            freeze(method)

    options = {"alpha": 1.0}
    pretraining = Pretraining(cell.name, "moco", "samix", cell.seed, BACK_EPOCHS, options, lr=1e-3)
    method, shown = pretrain(pretraining, data, weights, prepare=prepare)
    return {
        "cell": cell.name,
        "seed": cell.seed,
        "measure": "test kNN",
        "val": shown["knn_val"],
        "test": round(knn(method.encoder, data, "test", None), 2),
        "seconds": shown["seconds"],
        "mask_deviation": shown["mask_deviation_end"],
        "area_lam_correlation": shown["correlation_10"],
    }


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    add_places(parser, "both_worlds", log="self_supervised")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load(arguments.data)
    cells = [Cell(name, seed) for seed in range(arguments.seeds) for name in (*FORWARD, *BACK)]
    ready = []
    for cell in cells:
        needed = "supervised samix" if cell.name in BACK else "moco samix"
        reads = FORWARD.get(cell.name, ("MoCo",))[0] == "MoCo"
        if reads and not (arguments.log / f"{needed}-{cell.seed}.pt").exists():
            print(f"'{cell.name}' of seed {cell.seed} waits for '{needed}'", flush=True)
            continue
        ready.append(cell)

    def work(cell: Cell) -> dict[str, Any]:
        job = run_back if cell.name in BACK else run_forward
        return job(cell, data, arguments.log)

    run_missing(lambda _: ready, work, arguments)


if __name__ == "__main__":
    main()
