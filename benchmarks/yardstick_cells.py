"""The cells of the yardstick: what is trained, how, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ideas import IDEAS
from samix import MixerOptions
from samix.methods import Cost
from samix.policies import policy_options


@dataclass(frozen=True)
class Cell:
    """One training: what is trained, how, for how long.

    Attributes:
        name: Unique name without the seed, which is the row's key together with the seed.
        policy: Name of the policy.
        seed: Seed of data subset, weights, batches and draws.
        epochs: Passes over the photos.
        options: Options of ``samix.create_method``.
        network: "resnet" (ten layers), "resnet18" or "vit".
        mixer_lr: Learning rate of the Mixer; None takes the encoder's.
        idea: Name in :data:`ideas.IDEAS` of what is changed about the method, or None.
        labels: Train photos of each class.
    """

    name: str
    policy: str
    seed: int
    epochs: int
    options: dict[str, Any]
    network: str = "resnet"
    mixer_lr: float | None = None
    idea: str | None = None
    labels: int = 200


GROUPS = (
    "free", "samix", "wall", "long", "controls", "why", "vit", "fast", "cost", "objective", "ideas",
    "guard", "fast-wall", "without-cifar", "catalogue", "catalogue-vit", "frozen", "rivals",
    "vit-long", "whole", "every", "look", "clean",
)  # fmt: skip
ALPHAS = (1.0, 2.0)
FREE = ("mixup", "cutmix", "mixup-cutmix")
EPOCHS = {"resnet": 120, "vit": 60}
LONG = 227  # epochs; the time of SAMix's 120, by the first rows
QUICK: dict[str, Any] = {"alpha": 1.0, "cost": "fast"}
FAST: list[tuple[str, str, dict[str, Any]]] = [
    ("samix, long", "samix", {"alpha": 1.0}),
    ("samix fast, long", "samix", QUICK),
    ("samix-p, long", "samix-p", {"alpha": 1.0}),
    ("cutmix equal wall time", "cutmix", {"alpha": 1.0}),
]
SAME_TIME = 160  # epochs of fast in the time of 120 of full, by benchmarks/results/step_time.json
Change = tuple[dict[str, Any], float | None]  # options, and the Mixer's learning rate
CATALOGUE = (
    "resizemix", "fmix", "smoothmix", "gridmix", "maskmix", "saliencymix", "guidedmixup",
    "manifold-mixup", "alignmix", "recursivemix", "attentivemix", "snapmix", "puzzlemix",
    "automix", "adautomix", "co-mixup",
)  # fmt: skip
WHOLE = {  # policies by epochs; for a GPU
    40: ("none", *FREE, "samix-p", "samix fast", "samix"),
    80: ("none", "mixup-cutmix"),
}
VIT_LONG = 200  # epochs; for a GPU
ON_FROZEN = ("half mixup-cutmix", "half cutmix", "flattened")  # ideas tried on samix-p
CATALOGUE_VIT = ("cutmix", "transmix", "tokenmix", "smmix")
RIVALS_VIT = ("none", "mixup", "mixup-cutmix", "samix-p", *CATALOGUE_VIT, "samix")
COST_CHANGES: dict[str, Change] = {
    "Mixer on 1/2": ({"cost": Cost(mixer_share=0.5)}, None),
    "Mixer on 1/4": ({"cost": Cost(mixer_share=0.25)}, None),
    "Mixer on 1/8": ({"cost": Cost(mixer_share=0.125)}, None),
    "half resolution": ({"cost": Cost(look_scale=0.5)}, None),
    "Mixer on 1/4, half resolution": ({"cost": Cost(mixer_share=0.25, look_scale=0.5)}, None),
    "Mixer on 1/8, half resolution": ({"cost": Cost(mixer_share=0.125, look_scale=0.5)}, None),
    "half of the batch clean": ({"p": 0.5}, None),
    "Mixer every 4th step": ({"cost": "seldom"}, None),
}
OBJECTIVE_CHANGES: dict[str, Change] = {
    "as it is": ({}, None),
    "local alone": ({"eta": 0.0}, None),
    # 1000 times the global term at a thousandth of the learning rate: the local term is nothing
    "global alone": ({"eta": 1000.0}, 1e-4),
    "eta 0.1": ({"eta": 0.1}, None),
    "eta 1": ({"eta": 1.0}, None),
    "area loss 0.1": ({"area_weight": 0.1}, None),
    "no lambda embedding": ({"mixer": MixerOptions(lam_embedding=False)}, None),
    "linear value": ({"mixer": MixerOptions(value="linear")}, None),
    "AutoMix's options": (
        {
            "mixer": MixerOptions(value="linear", upsample="nearest", lam_embedding=False),
            "area_weight": 0.1,
            "eta": 1000.0,
        },
        1e-4,
    ),
    "the paper's start": ({"mixer": MixerOptions(start="paper"), "area_weight": 0.1}, None),
}


def alpha_options(policy: str, alpha: float) -> dict[str, Any]:
    """Return the options that set a policy's alpha (both of the switch)."""
    return {"alpha": alpha, **({"cutmix_alpha": alpha} if policy == "mixup-cutmix" else {})}


def usual_alpha(policy: str) -> dict[str, Any]:
    """Return alpha 1 where a policy has one; the area of attentivemix is fixed."""
    fixed = policy in ("i-mix", "attentivemix") or "alpha" not in policy_options(policy)
    return {} if fixed else alpha_options(policy, 1.0)


def usual_cells(policies: tuple[str, ...], seeds: int) -> list[Cell]:
    """Return policies at their usual alpha, for the long run of the ten-layer ResNet."""
    return [
        Cell(f"{policy}, long", policy, seed, LONG, usual_alpha(policy))
        for seed in range(seeds)
        for policy in policies
    ]


def vit_cells(policies: tuple[str, ...], seeds: int, epochs: int, ending: str = "") -> list[Cell]:
    """Return policies at their usual alpha on the transformer."""
    return [
        Cell(f"vit {policy}{ending}", policy, seed, epochs, usual_alpha(policy), network="vit")
        for seed in range(seeds)
        for policy in policies
    ]


def chosen_alpha(rows: pd.DataFrame, policy: str) -> float | None:
    """Return the alpha of the best validation accuracy at seed 0, None before all are measured."""
    names = {alpha: f"{policy} alpha {alpha:g}" for alpha in ALPHAS}
    first = rows[(rows["seed"] == 0) & rows["cell"].isin(names.values())]
    if len(first) < len(ALPHAS):
        return None
    best = str(first.sort_values("val")["cell"].iloc[-1])
    return next(alpha for alpha, name in names.items() if name == best)


def planned(rows: pd.DataFrame, groups: list[str], seeds: int) -> list[Cell]:
    """Return the cells of the wanted groups that can be named by now, finished ones included."""
    makers = {
        "free": lambda: [cell for policy in ("none", *FREE) for cell in grid(rows, policy, seeds)],
        "samix": lambda: grid(rows, "samix", seeds),
        "wall": lambda: wall_cells(rows, seeds),
        "long": lambda: long_cells(rows, seeds),
        "controls": lambda: control_cells(rows, seeds),
        "why": lambda: why_cells(rows),
        "clean": lambda: clean_cells(seeds),
        "fast": lambda: [
            Cell(name, policy, seed, LONG, options)
            for seed in range(seeds)
            for name, policy, options in FAST
        ],
        "without-cifar": lambda: [
            Cell("samix-p of demo, long", "samix-p", seed, LONG, {"alpha": 1.0, "mixer": "demo"})
            for seed in range(seeds)
        ],
        "look": lambda: [
            Cell(
                "samix fast, half resolution, long",
                "samix",
                seed,
                LONG,
                {"alpha": 1.0, "cost": Cost(mixer_share=0.25, look_scale=0.5)},
            )
            for seed in range(seeds)
        ],
        "frozen": lambda: [
            Cell(f"samix-p, {idea}, long", "samix-p", seed, LONG, {"alpha": 1.0}, idea=idea)
            for idea in ON_FROZEN
            for seed in range(seeds)
        ],
        "fast-wall": lambda: [
            Cell("samix fast, time of full", "samix", seed, SAME_TIME, QUICK)
            for seed in range(seeds)
        ],
        "cost": lambda: every_seed(COST_CHANGES, seeds),
        "every": lambda: [
            Cell(
                "samix, Mixer every 4th step, long",
                "samix",
                seed,
                LONG,
                {"alpha": 1.0, "cost": "seldom"},
            )
            for seed in range(seeds)
        ],
        "objective": lambda: every_seed(OBJECTIVE_CHANGES, seeds),
        "ideas": lambda: [
            Cell(f"samix fast, {idea}", "samix", seed, EPOCHS["resnet"], QUICK, idea=idea)
            for seed in range(seeds)
            for idea in IDEAS
        ],
        "guard": lambda: [
            Cell(
                f"{policy} + guard, long",
                policy,
                seed,
                LONG,
                {**usual_alpha(policy), "guard": True},
            )
            for seed in range(seeds)
            for policy in ("cutmix", "mixup-cutmix")
        ],
        "catalogue": lambda: usual_cells(CATALOGUE, seeds),
        "rivals": lambda: usual_cells(("none", *FREE), seeds),
        "whole": lambda: [
            Cell(
                f"resnet18 {name}, {epochs} epochs",
                name.removesuffix(" fast"),
                seed,
                epochs,
                QUICK if name == "samix fast" else usual_alpha(name),
                network="resnet18",
                labels=4500,
            )
            for seed in range(seeds)
            for epochs, names in WHOLE.items()
            for name in names
        ],
        "vit-long": lambda: vit_cells(RIVALS_VIT, seeds, VIT_LONG, f", {VIT_LONG} epochs"),
        "catalogue-vit": lambda: vit_cells(CATALOGUE_VIT, seeds, EPOCHS["vit"]),
        "vit": lambda: [
            Cell(f"vit {policy}", policy, seed, EPOCHS["vit"], {}, network="vit")
            for seed in range(seeds)
            for policy in ("none", "mixup-cutmix", "samix")
        ],
    }
    return [cell for group in groups for cell in makers[group]()]


def grid(rows: pd.DataFrame, policy: str, seeds: int) -> list[Cell]:
    """Return every alpha at seed 0, and the chosen one at every seed."""
    if policy == "none":
        return [Cell("none", "none", seed, EPOCHS["resnet"], {}) for seed in range(seeds)]
    chosen = chosen_alpha(rows, policy)
    return [
        Cell(
            f"{policy} alpha {alpha:g}",
            policy,
            seed,
            EPOCHS["resnet"],
            alpha_options(policy, alpha),
        )
        for alpha in ALPHAS
        for seed in range(seeds if alpha == chosen else 1)
    ]


def every_seed(changes: dict[str, Change], seeds: int) -> list[Cell]:
    """Return SAMix with one thing changed, at every seed."""
    return [
        Cell(
            f"samix, {name}",
            "samix",
            seed,
            EPOCHS["resnet"],
            {"alpha": 1.0, **change},
            mixer_lr=mixer_lr,
        )
        for seed in range(seeds)
        for name, (change, mixer_lr) in changes.items()
    ]


def wall_cells(rows: pd.DataFrame, seeds: int) -> list[Cell]:
    """Return the free policies at the time that SAMix takes."""
    epochs = wall_epochs(rows)
    chosen = {policy: chosen_alpha(rows, policy) for policy in FREE}
    options = {"none": {}} | {
        policy: alpha_options(policy, alpha) for policy, alpha in chosen.items() if alpha
    }
    return [
        Cell(f"{policy} equal wall time", policy, seed, epochs, option)
        for seed in range(seeds)
        for policy, option in options.items()
        if epochs is not None
    ]


def long_cells(rows: pd.DataFrame, seeds: int) -> list[Cell]:
    """Return SAMix with as many steps as the free policies have at equal wall time."""
    alpha, epochs = chosen_alpha(rows, "samix"), wall_epochs(rows)
    if alpha is None or epochs is None:
        return []
    options = alpha_options("samix", alpha)
    return [Cell("samix, long", "samix", seed, epochs, options) for seed in range(seeds)]


def control_cells(rows: pd.DataFrame, seeds: int) -> list[Cell]:
    """Return mixup with what the public SAMix has beside its masks: clean branch, average."""
    alpha = chosen_alpha(rows, "mixup")
    extra = {"clean branch": {"clean_branch": True}, "average": {"momentum_average": True}}
    return [
        Cell(f"mixup + {name}", "mixup", seed, EPOCHS["resnet"], {"alpha": alpha, **option})
        for seed in range(seeds)
        for name, option in extra.items()
        if alpha is not None
    ]


def clean_cells(seeds: int) -> list[Cell]:
    """Return policies with one pipeline: clean images beside the mixes, and an average.

    SAMix reads the features of the clean pass, as is its default. The pair that decides comes
    first, in all seeds; what else belongs to the table follows.
    """
    policies: dict[str, dict[str, Any]] = {
        "samix": {**QUICK, "clean_branch": "cheap"}, "mixup-cutmix": {},
        "mixup": {}, "cutmix": {}, "samix-p": {},
    }  # fmt: skip
    beside = {"clean_branch": True, "momentum_average": True}
    cells = [
        Cell(f"{policy} + clean", policy, seed, LONG, {**usual_alpha(policy), **beside, **options})
        for policy, options in policies.items()
        for seed in range(seeds)
    ]
    decisive = ("samix", "mixup-cutmix")
    return sorted(cells, key=lambda cell: (cell.policy not in decisive, cell.seed))


def why_cells(rows: pd.DataFrame) -> list[Cell]:
    """Return SAMix with one thing changed, at seed 0: what makes it gain or lose."""
    alpha = chosen_alpha(rows, "samix")
    changes: dict[str, dict[str, Any]] = {
        "area loss 0.1": {"area_weight": 0.1},
        "eta 2": {"eta": 2.0},
        "tap 16 x 16": {"tap": 2},
    }
    cells = [
        Cell(f"samix, {name}", "samix", 0, EPOCHS["resnet"], {"alpha": alpha, **change})
        for name, change in changes.items()
    ]
    slow = Cell("samix, slow Mixer", "samix", 0, EPOCHS["resnet"], {"alpha": alpha}, mixer_lr=0.02)
    return [*cells, slow] if alpha is not None else []


def wall_epochs(rows: pd.DataFrame) -> int | None:
    """Return the epochs of plain training that take as long as SAMix, None before both are timed.

    One pair of cells decides, so that every cell of the group gets the same number.
    """
    first = rows[rows["seed"] == 0].set_index("cell")["seconds"]
    if not {"none", "samix alpha 1"} <= set(first.index):
        return None
    return round(EPOCHS["resnet"] * float(first["samix alpha 1"] / first["none"]))
