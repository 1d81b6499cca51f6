"""How often mixing harms, with the true defect masks of the tiles, without and with a guard.

Run it with ``python benchmarks/guard_harm.py --output benchmarks/results/guard_harm.csv``; see
``--help``. Takes some minutes; what the file holds is not measured again. The guard never sees the
masks. Policies that read a trained network are not measured, but for SAMix (``--samix``).

Label noise: a defect class has at least 0.2 of the label, and less than 10 % of its defect pixels
are visible (mask-weighted). Mirror: it has less than 0.05 of the label, and more than half of its
defect is visible. Both are shares of all mixes. "altered" is the share of the mixes without noise
that the guard changed; "fallback" the share of all that became mixup or were left clean. A photo
whose mask is empty after shrinking counts as one without a defect.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

import samix
from samix.evaluation.harm import label_noise
from samix.guard import OUTCOMES, Guard, create_guard
from samix.methods.guarding import plan_mix
from samix.mixing import MixPlan, visible_shares
from samix.policies import PretrainedPolicy, policy_options
from samix.training.mixer_export import mixer_of_run
from tiles_photos import GOOD, Tiles, load_tiles

BATCH = 64
SHARES = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 0.95)
POLICIES = (
    "mixup", "cutmix", "mixup-cutmix", "resizemix", "samix-p", "fmix", "smoothmix", "gridmix",
    "maskmix", "saliencymix", "guidedmixup",
)  # fmt: skip
CURVE = "cutmix"  # the policy that every threshold is tried with
GOOD_SHARE = 0.65
FALLBACK = tuple(OUTCOMES.index(name) for name in ("mixup", "clean"))


def harm(tiles: Tiles, plan: MixPlan, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B,) bool twice: mixes with label noise, and with its mirror."""
    target = tiles.target[batch]
    visible = visible_shares(tiles.regions[batch], plan)
    same = target == target[plan.index]
    noise = label_noise(visible, plan.weight, same).any(1)
    weights = torch.stack([plan.weight, 1.0 - plan.weight], dim=1)
    mirror = ((weights < 0.05) & (visible > 0.5) & ~same.unsqueeze(1)).any(1)
    return noise, mirror


def measure(
    tiles: Tiles, policy: samix.Policy, guard: Guard | None, seed: int, epochs: int
) -> dict[str, float]:
    """Return the rates of one policy with one guard over some passes through all photos."""
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, float] = dict.fromkeys(
        ("mixes", "noise", "mirror", "harmless", "altered", "fallback"), 0.0
    )
    for _ in range(epochs):
        order = torch.randperm(len(tiles.target), generator=generator)
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            at = {"target": tiles.target[batch], "evidence": samix.Evidence()}
            images, before = tiles.images[batch], generator.get_state()
            first = plan_mix(policy, None, images, generator=generator, **at)
            plan = first
            if guard is not None:
                generator.set_state(before)
                plan = plan_mix(policy, guard, images, generator=generator, **at)
            harmful, _ = harm(tiles, first, batch)
            noise, mirror = harm(tiles, plan, batch)
            done = torch.zeros_like(plan.index) if plan.repair is None else plan.repair
            fell = torch.isin(done, torch.tensor(FALLBACK))
            sums["mixes"] += len(batch)
            sums["noise"] += float(noise.sum())
            sums["mirror"] += float(mirror.sum())
            sums["harmless"] += float((~harmful).sum())
            sums["altered"] += float((~harmful & (done > 0)).sum())
            sums["fallback"] += float(fell.sum())
    return {
        "noise": 100 * sums["noise"] / sums["mixes"],
        "mirror": 100 * sums["mirror"] / sums["mixes"],
        "altered": 100 * sums["altered"] / sums["harmless"],
        "fallback": 100 * sums["fallback"] / sums["mixes"],
        "mixes": sums["mixes"],
    }


def cropping(tiles: Tiles, seed: int, draws: int = 20) -> float:
    """Return the share of photos with a defect of which a usual crop keeps less than a tenth."""
    torch.manual_seed(seed)
    there = tiles.regions.sum((1, 2, 3)) > 0
    lost, total = 0, 0
    for region in tiles.regions[there]:
        for _ in range(draws):
            top, left, height, width = RandomResizedCrop.get_params(
                region, scale=[0.25, 1.0], ratio=[3 / 4, 4 / 3]
            )
            kept = region[:, top : top + height, left : left + width].sum() / region.sum()
            lost, total = lost + int(kept < 0.1), total + 1
    return 100 * lost / total


def settings(policy: str) -> list[tuple[str, dict[str, Any] | None]]:
    """Return names and options of the guards: none, defaults, with the good class; the curves."""
    points = [("none", None), ("default", {}), ("good", {"share": GOOD_SHARE, "good": [GOOD]})]
    if policy != CURVE:
        return points
    curve = [(f"share {share:g}", {"share": share}) for share in SHARES]
    good = [(f"good, share {share:g}", {"share": share, "good": [GOOD]}) for share in SHARES]
    return [*points, *curve, *good]


def main() -> None:
    """Measure every policy with every guard."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SAMIX_DATA", "data")) / "magnetic-tile"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/guard_harm.csv"))
    parser.add_argument("--samix", type=Path, help="run of samix train on the tiles, policy samix")
    parser.add_argument("--size", type=int, default=128, help="side in px that photos are mixed at")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    tiles = load_tiles(arguments.data, arguments.size)
    defect = tiles.target != tiles.classes.index(GOOD)
    empty = defect & (tiles.regions.sum((1, 2, 3)) == 0)
    print(f"{int(defect.sum())} photos with a defect, of {int(empty.sum())} the mask is empty")
    lost = [cropping(tiles, seed) for seed in range(arguments.seeds)]
    print(f"crops of 0.25 to 1 of the area lose 90 % of the defect in {lost} % of the photos")
    policies: dict[str, samix.Policy] = {
        name: samix.create_policy(
            name, **({"alpha": 1.0} if "alpha" in policy_options(name) else {})
        )
        for name in POLICIES
    }
    if arguments.samix is not None:
        policies["samix"] = PretrainedPolicy(mixer_of_run(arguments.samix), alpha=1.0, name="samix")
    rows, known = [], pd.DataFrame(columns=["policy", "guard"])
    if arguments.output.exists():
        known = pd.read_csv(arguments.output)
        rows = known.to_dict("records")
    for name, policy in policies.items():
        for label, options in settings(name):
            if ((known["policy"] == name) & (known["guard"] == label)).any():
                continue
            for seed in range(arguments.seeds):
                guard = None if options is None else create_guard(options, tiles.classes)
                found = measure(tiles, policy, guard, seed, arguments.epochs)
                rounded = {key: round(value, 3) for key, value in found.items()}
                rows.append({"policy": name, "guard": label, "seed": seed, **rounded})
            print(rows[-1], flush=True)
            pd.DataFrame(rows).to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
