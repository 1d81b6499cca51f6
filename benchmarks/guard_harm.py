"""How often mixing harms, with the true defect masks of the tiles, without and with a guard.

Run it with ``python benchmarks/guard_harm.py --output benchmarks/results/guard_harm.csv``; see
``--help``. Takes some minutes; what the file holds is not measured again. The guard never sees the
masks. Policies that read a network read one of ten layers or a small transformer, which learned the
classes of these photos for 500 steps without mixing; ``--learned`` adds runs with a Mixer of their
own. Policies that mix features or more than two photos have no plan that a guard can look at.

Label noise: a defect class has at least 0.2 of the label, and less than 10 % of its defect pixels
are visible (mask-weighted). Mirror: it has less than 0.05 of the label, and more than half of its
defect is visible. Both are shares of all mixes. "altered" is the share of the mixes without noise
that the guard changed; "fallback" the share of all that became mixup or were left clean. A photo
whose mask is empty after shrinking counts as one without a defect.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

import samix
from samix.guard import OUTCOMES, Guard, GuardRecord, create_guard
from samix.methods.mix_step import look, plan_mix
from samix.mixing import MixPlan, visible_shares
from samix.mixing.saliency import label_noise
from samix.networks import standardised
from samix.policies import PretrainedPolicy
from samix.training.mixer_export import mixer_of_run
from stepping import learn
from tiles_accuracy import BATCH as LEARN_BATCH
from tiles_accuracy import LR, NETWORK, STEPS, augmented
from tiles_photos import GOOD, Tiles, load_tiles
from yardstick_cells import usual_alpha

BATCH = 64
SHARES = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 0.95)
POLICIES = (
    "mixup", "cutmix", "mixup-cutmix", "resizemix", "samix-p", "fmix", "smoothmix", "gridmix",
    "maskmix", "saliencymix", "guidedmixup",
)  # fmt: skip
READERS = ("attentivemix", "puzzlemix", "snapmix", "tokenmix", "smmix")
ATTENTIVE = ("tokenmix", "smmix")  # read a transformer
VIT: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224",
    "image_size": 128,
    "model_kwargs": {"depth": 6, "embed_dim": 96, "num_heads": 3},
}
NETWORKS = {"resnet": NETWORK, "vit": VIT}
Planner = Callable[[Guard | None, Tensor, torch.Generator], tuple[MixPlan, GuardRecord | None]]
"""From a guard, the positions of photos and a generator to the plan of their mix."""
CURVE = "cutmix"  # the policy that every threshold is tried with
GOOD_SHARE = 0.65
FALLBACK = tuple(OUTCOMES.index(name) for name in ("mixup", "clean"))


def harm(tiles: Tiles, plan: MixPlan, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B,) bool twice: mixes with label noise, and with its mirror."""
    target = tiles.target[batch]
    visible = visible_shares(tiles.regions[batch], plan)
    same = target == target[plan.index]
    weights = plan.shares
    noise = label_noise(visible, weights, same).any(1)
    mirror = ((weights < 0.05) & (visible > 0.5) & ~same.unsqueeze(1)).any(1)
    return noise, mirror


def measure(
    tiles: Tiles, planner: Planner, guard: Guard | None, seed: int, epochs: int
) -> dict[str, float]:
    """Return the rates of one policy with one guard over some passes through all photos."""
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, float] = dict.fromkeys(
        ("mixes", "noise", "mirror", "harmless", "altered", "fallback"), 0.0
    )
    for _ in range(epochs):
        order = torch.randperm(len(tiles.target), generator=generator)
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            before = generator.get_state()
            first, _ = planner(None, batch, generator)
            plan, record = first, None
            if guard is not None:
                generator.set_state(before)
                plan, record = planner(guard, batch, generator)
            harmful, _ = harm(tiles, first, batch)
            noise, mirror = harm(tiles, plan, batch)
            done = torch.zeros_like(plan.index) if record is None else record.repair
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


def plan_alone(
    policy: samix.Policy,
    tiles: Tiles,
    guard: Guard | None,
    batch: Tensor,
    generator: torch.Generator,
) -> tuple[MixPlan, GuardRecord | None]:
    """Plan with a policy that needs nothing but the photos."""
    return plan_mix(
        policy,
        guard,
        tiles.images[batch],
        generator=generator,
        target=tiles.target[batch],
        evidence=samix.Evidence(),
    )


def plan_reading(
    method: samix.SupervisedMethod,
    tiles: Tiles,
    guard: Guard | None,
    batch: Tensor,
    generator: torch.Generator,
) -> tuple[MixPlan, GuardRecord | None]:
    """Plan as a method does whose policy reads its network."""
    assert method.average is not None
    seen, target = standardised(tiles.images[batch]), tiles.target[batch]
    evidence = look(method.average, seen, target, wanted=method.wanted, tap=method.tap)
    with torch.no_grad():
        return plan_mix(
            method.policy, guard, seen, generator=generator, target=target, evidence=evidence
        )


def method_of(tiles: Tiles, policy: str, network: dict[str, Any]) -> samix.SupervisedMethod:
    """Return a method for the photos, the same at every call."""
    torch.manual_seed(0)
    return samix.create_method(
        "supervised", num_classes=len(tiles.classes), policy=policy, seed=0, **network
    ).to(memory_format=torch.channels_last)


def trained(tiles: Tiles, network: dict[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a network that learned all photos without mixing."""
    method = method_of(tiles, "none", network)
    optimizer = torch.optim.AdamW(method.parameter_groups(LR, weight_decay=0.02))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    generator = torch.Generator().manual_seed(0)
    chance = torch.bincount(tiles.target).float()[tiles.target] ** -0.5
    for _ in range(STEPS):
        pick = torch.multinomial(chance, LEARN_BATCH, generator=generator)
        shown = augmented(tiles.images[pick], generator)
        learn(method, optimizer, schedule, shown, tiles.target[pick])
    with torch.no_grad():
        method.encoder.eval()
        hits = [
            method.encoder(standardised(photos)).argmax(1) == target
            for photos, target in zip(tiles.images.split(128), tiles.target.split(128), strict=True)
        ]
    share = 100 * float(torch.cat(hits).float().mean())
    print(f"{network['backbone']}: {share:.1f} % of the photos that it learned", flush=True)
    return method.encoder.state_dict()


def readers(tiles: Tiles) -> dict[str, Planner]:
    """Return the planners of the policies that read a network, after it has learned."""
    weights = {name: trained(tiles, network) for name, network in NETWORKS.items()}
    planners: dict[str, Planner] = {}
    for name in READERS:
        kind = "vit" if name in ATTENTIVE else "resnet"
        method = method_of(tiles, name, NETWORKS[kind]).eval()
        method.encoder.load_state_dict(weights[kind])
        assert method.average is not None
        method.average.update(method.encoder, 0.0)
        planners[name] = partial(plan_reading, method, tiles)
    return planners


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
    parser.add_argument(
        "--learned",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="runs of samix train on the tiles with a learned policy, each named as its folder",
    )
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
        name: samix.create_policy(name, **usual_alpha(name)) for name in POLICIES
    }
    for run in arguments.learned:
        policies[run.name] = PretrainedPolicy(mixer_of_run(run), alpha=1.0, name=run.name)
    planners: dict[str, Planner] = {
        name: partial(plan_alone, policy, tiles) for name, policy in policies.items()
    }
    rows, known = [], pd.DataFrame(columns=["policy", "guard"])
    if arguments.output.exists():
        known = pd.read_csv(arguments.output)
        rows = known.to_dict("records")
    if not set(READERS) <= set(known["policy"]):
        planners |= readers(tiles)
    for name, planner in planners.items():
        for label, options in settings(name):
            if ((known["policy"] == name) & (known["guard"] == label)).any():
                continue
            for seed in range(arguments.seeds):
                guard = None if options is None else create_guard(options, tiles.classes)
                found = measure(tiles, planner, guard, seed, arguments.epochs)
                rounded = {key: round(value, 3) for key, value in found.items()}
                rows.append({"policy": name, "guard": label, "seed": seed, **rounded})
            print(rows[-1], flush=True)
            pd.DataFrame(rows).to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
