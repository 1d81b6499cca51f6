"""Few labels, encoder and Mixer from unlabelled photos of the same kind: does mixing pay there?

Run it with ``python benchmarks/best_bet.py --run RUN``, where RUN is what
``samix pretrain cifar10 --preset quick --output RUN`` left; see ``--help``. A finished cell is one
row, and a second run skips what is finished; several processes may share one output file.

CIFAR-10 with 10, 25, 50 and 200 labels a class, the whole test set, three draws of labels (the
pre-training is one). "run" starts from the encoder of RUN, "scratch" from random weights. SAMix
takes the Mixer of RUN, either frozen or learning on with ``cost="fast"``, for 300 steps; every
other policy has 420, which is the time of the frozen Mixer. Learning rates: 0.1 from scratch, 0.05
from RUN; alpha 1, batch 100. The photos are normalised by the statistics of CIFAR-10, not by those
of RUN; fine-tuning sees to the difference.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import samix
from cells import add_choices, add_places, parser_of, run_missing, wanted
from samix.training.warm_start import load_encoder, load_mixer, open_source
from self_supervised import Part, load
from stepping import batches, learn
from yardstick import RESNET, accuracy, augment

BUDGETS = (10, 25, 50, 200)
STEPS = {"free": 420, "samix": 300}
BATCH = 100
# name: start, policy, options, whether the Mixer is frozen
POLICIES: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    **{
        f"{start}, {policy}": (start, policy, {} if policy == "none" else {"alpha": 1.0}, False)
        for start in ("run", "scratch")
        for policy in ("none", "mixup", "cutmix", "mixup-cutmix")
    },
    "run, samix, Mixer frozen": ("run", "samix", {"alpha": 1.0}, True),
    "run, samix fast": ("run", "samix", {"alpha": 1.0, "cost": "fast"}, False),
}


@dataclass(frozen=True)
class Cell:
    """One training: its name, labels a class, and the seed of labels, batches and draws."""

    name: str
    labels: int
    seed: int


def few_labels(part: Part, count: int, seed: int) -> Part:
    """Return ``count`` photos a class; a smaller count gives a part of a larger one's."""
    images, target = part
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[target[order] == label][:count] for label in range(10)])
    return images[chosen], target[chosen]


def create(cell: Cell, run: Path) -> tuple[samix.SupervisedMethod, int]:
    """Return the method of a cell with its start, and the number of steps."""
    start, policy, options, frozen = POLICIES[cell.name.rpartition(", ")[0]]
    steps = STEPS["samix" if policy == "samix" else "free"]
    torch.manual_seed(cell.seed)
    method = samix.create_method(
        "supervised",
        num_classes=10,
        policy=policy,
        steps=steps,
        seed=cell.seed,
        **RESNET,
        **options,
    )
    if start == "run":
        source = open_source(run, "--run")
        load_encoder(source, method.encoder)
        if method.average is not None:
            method.average.update(method.encoder, 0.0)
        if policy == "samix":
            load_mixer(source, method)
            method.policy.requires_grad_(not frozen)
    return method.to(memory_format=torch.channels_last), steps


def train(cell: Cell, data: dict[str, Part], run: Path, *, bfloat16: bool = True) -> dict[str, Any]:
    """Train one cell and return its row."""
    method, steps = create(cell, run)
    images, target = few_labels(data["train"], cell.labels, cell.seed)
    groups = method.parameter_groups(
        0.1 if cell.name.startswith("scratch") else 0.05, weight_decay=5e-4, mixer_lr=0.1
    )
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(cell.seed)
    begin = time.process_time()
    for pick in batches(len(images), BATCH, steps, generator):
        shown = augment(images[pick], generator)
        learn(method, optimizer, schedule, shown, target[pick], bfloat16=bfloat16)
    seconds = time.process_time() - begin
    signs = method.signs_of_life(augment(images[:200], generator), target[:200])
    return {
        "cell": cell.name,
        "labels": cell.labels,
        "seed": cell.seed,
        "steps": steps,
        "seconds": round(seconds, 1),
        "val": round(accuracy(method.encoder, data["val"], bfloat16=bfloat16), 2),
        "test": round(accuracy(method.encoder, data["test"], bfloat16=bfloat16), 2),
        **{
            name: round(float(signs[name]), 3) if name in signs else ""
            for name in ("mask_deviation", "area_lam_correlation")
        },
    }


def cells(seeds: int) -> list[Cell]:
    """Return all cells: first those that start from RUN, seed by seed."""
    return [
        Cell(f"{policy}, {labels}", labels, seed)
        for start in ("run", "scratch")
        for seed in range(seeds)
        for labels in BUDGETS
        for policy in POLICIES
        if POLICIES[policy][0] == start
    ]


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the pre-training")
    add_places(parser, "best_bet")
    add_choices(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, bfloat16 = load(arguments.data), arguments.precision == "bf16"
    chosen = [cell for cell in cells(arguments.seeds) if wanted(arguments, cell)]
    work = partial(train, data=data, run=arguments.run, bfloat16=bfloat16)
    run_missing(lambda _: chosen, work, arguments)


if __name__ == "__main__":
    main()
