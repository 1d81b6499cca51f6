"""Does learned mixing start on any network? A few steps on one network of each timm family.

python benchmarks/families.py --output benchmarks/results/families.csv

Of each family (a module of timm) that gives feature maps, the smallest network is trained from
random weights for three steps of eight noisy images of ten classes, with policy "samix" and the
learning rate of the presets. A row says the largest of all losses (at most 100 log 10 is wanted),
whether the momentum encoder still waits for statistics that fit, the deviation of the masks and the
correlation of area and lam, or the sentence by which the network was refused. A second run skips
the rows that are there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import timm
import torch

import samix
from cells import append, parser_of

CLASSES, BATCH, STEPS = 10, 8, 3
LARGEST = 100_000_000  # parameters; a family that starts above it is left out, and said
SIZES = (64, 96, 128, 224)  # px; the first that a network takes
MOST = 100 * math.log(CLASSES)


def small_one(module: str) -> tuple[str, int] | None:
    """Return the smallest network of a family that gives feature maps, and its parameters."""
    sizes = {}
    for name in timm.list_models(module=module):
        try:
            with torch.device("meta"):
                network = timm.create_model(name, num_classes=CLASSES)
        except Exception:
            continue
        if hasattr(network, "forward_intermediates") and hasattr(network, "feature_info"):
            sizes[name] = sum(parameter.numel() for parameter in network.parameters())
    return min(sizes.items(), key=lambda item: item[1]) if sizes else None


def images_of(size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return noisy images with a bright place that depends on the class."""
    target = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    images = torch.randn(BATCH, 3, size, size, generator=generator)
    for image, kind in zip(images, target.tolist(), strict=True):
        corner = kind * size // (2 * CLASSES)
        image[kind % 3, corner : corner + size // 4, corner : corner + size // 4] += 3.0
    return images, target


def start(name: str, size: int) -> dict[str, Any]:
    """Return what a few first steps on one network give."""
    torch.manual_seed(0)
    method = samix.create_method(
        "supervised", backbone=name, num_classes=CLASSES, image_size=size, policy="samix", steps=200
    )
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.05), momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for _ in range(STEPS):
        step = method(*images_of(size, generator))
        losses = [float(step.terms[term]) for term in ("encoder", "mixer")]
        largest = max(largest, *(loss if math.isfinite(loss) else math.inf for loss in losses))
        step.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()
    signs = method.signs_of_life(*images_of(size, generator))
    return {
        "size": size,
        "largest_loss": round(largest, 3),
        "waits": bool(method.average is not None and method.average.uses_batch),
        "mask_deviation": round(float(signs["mask_deviation"]), 4),
        "area_lam_correlation": round(float(signs["area_lam_correlation"]), 4),
        "said": "",
    }


def row_of(module: str, name: str) -> dict[str, Any]:
    """Return the row of a family: at the first size that its network takes."""
    said = ""
    for size in SIZES:
        try:
            return {"family": module, "network": name, **start(name, size)}
        except (ValueError, RuntimeError, TypeError, AssertionError) as error:  # noqa: PERF203
            said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    empty = dict.fromkeys(
        ("size", "largest_loss", "waits", "mask_deviation", "area_lam_correlation"), ""
    )
    return {"family": module, "network": name, **empty, "said": said}


def main() -> None:
    """Run the families that are still missing, and say how many are well."""
    parser = parser_of(__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/families.csv"))
    parser.add_argument("--only", nargs="*", help="families to run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = set(pd.read_csv(arguments.output)["family"]) if arguments.output.exists() else set()
    for module in arguments.only or timm.list_modules():
        if module in done:
            continue
        smallest = small_one(module)
        if smallest is None:
            continue
        name, parameters = smallest
        if parameters > LARGEST:
            print(f"{module}: {name} has {parameters / 1e6:.0f} million parameters, left out")
            continue
        row = row_of(module, name)
        append(arguments.output, row)
        print(row, flush=True)
    rows = pd.read_csv(arguments.output)
    ran = rows[rows["largest_loss"].notna()]
    well = ran[ran["largest_loss"] <= MOST]
    print(f"{len(well)} of {len(ran)} families that ran have no loss above {MOST:.0f}")


if __name__ == "__main__":
    main()
