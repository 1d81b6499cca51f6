"""Stage C: does the Mixer see? Its masks against known objects, in minutes of one core.

python benchmarks/stage_c.py --policy samix --clean --seeds 1
python benchmarks/stage_c.py --mixer demo --data pasted demo tiles
python benchmarks/stage_c.py --table

A cell trains the ten-layer ResNet of the yardstick (with timm's own deep stem, tap 8 x 8 of 64 px)
for 800 steps of 64 with a policy, measures the policy's masks on test photos that have an object,
and is one row; a second run skips what is finished, and several processes may share one output
file. ``--mixer`` takes a pre-trained Mixer by name or folder; the network beside it is only the
judge (``--steps 0`` trains none, and leaves accuracy and losses out).

At lam 0.5: "own", the mean of the mask over the pixels of the original's own object; "partner", the
same over the pixels of the partner's object; pixels of both left out of both; 1 and 0 for a mask
that shows both, the same for one that is blind. "exchange": |mask(a,b) + mask(b,a) - 1|, mean and
largest, and the correlation of mask(a,b) with 1 - mask(b,a). "area": mean |area - lam| for lam from
0.2 to 0.8. "noise": how many mixes of 64 with lam from 0 to 1 promise a class with at least 0.2 of
the label of whose object less than a tenth is seen. Losses: local and global of the mix under the
momentum encoder, beside mixup and CutMix of the same pairs, lam from 0.2 to 0.8; lower is easier.
"""

from __future__ import annotations

import argparse
import ast
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from cells import data_folder, finished, line_of, parser_of, run_missing
from oracle_policy import Oracle
from samix import MixPlan, blend
from seeing import Masks, Pairs, measure
from small_objects import SETS, Objects, load
from small_training import make_method, masks_of, pairs_of, scores, train

PAIRS = 512
OUTPUT = Path("benchmarks/results/stage_c.csv")


@dataclass(frozen=True)
class Cell:
    """One training and its measures.

    Attributes:
        label: Free words, such as which version of the code; part of the row's key.
        data: One of :data:`small_objects.SETS`.
        policy: Name of the policy, or "oracle".
        options: Options of ``samix.create_method``, as JSON.
        steps: Steps of 64.
        seed: Seed of data, weights, batches and draws.
    """

    label: str
    data: str
    policy: str
    options: str
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """A name without the seed, for lock files."""
        options = "".join(c if c.isalnum() else "_" for c in self.options)
        return f"{self.label} {self.data} {self.policy} {options} {self.steps}".strip()


def run(cell: Cell, data: dict[str, Objects], pictures: Path | None) -> dict[str, Any]:
    """Train one cell, measure its masks, and return its row."""
    options = {"clean_branch": "off", **json.loads(cell.options)}
    policy: Any = Oracle(**options.pop("oracle", {})) if cell.policy == "oracle" else cell.policy
    classes = len(data["train"].classes)
    method = make_method(policy, classes, cell.steps, cell.seed, **options)
    seconds = train(method, data["train"], cell.steps, cell.seed) if cell.steps else 0.0
    method.eval()
    pairs = pairs_of(data["test"], PAIRS)
    masks = masks_of(method, pairs)
    row: dict[str, Any] = {**vars(cell), "seconds": round(seconds, 1)}
    judged = scores(method.encoder, data["test"]) if cell.steps else {}
    for name in ("top1", "recall", "auc"):
        row[name] = round(judged[name], 2) if name in judged else ""
    measured = measure(masks, pairs, method.average if cell.steps else None)
    signs = method.signs_of_life(pairs.images, pairs.target)  # tomorrow's may have no attention
    entropy = signs.get("attention_entropy")
    row["attention_entropy"] = "" if entropy is None else round(entropy.item(), 3)
    losses = [f"{mix}_{term}" for mix in ("mix", "mixup", "cutmix") for term in ("local", "global")]
    for name in (*measured, *(loss for loss in losses if loss not in measured)):
        value = measured.get(name, float("nan"))
        row[name] = "" if np.isnan(value) else round(value, 4)
    if pictures is not None:
        draw(pictures, masks, pairs, data["test"])
    return row


@torch.no_grad()
def draw(path: Path, masks: Masks, pairs: Pairs, data: Objects, count: int = 6) -> None:
    """Draw pairs: original, partner, mask (white shows the original), mix, exchanged mask."""
    a, b = pairs.first, pairs.index
    half = torch.full((len(a),), 0.5)
    mask, exchanged = masks(a, b, half), masks(b, a, half)
    mixed = blend(pairs.images, MixPlan(half, b, mask, half))

    def natural(images: Tensor) -> Tensor:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        return (images - low) / (high - low).clamp_min(1e-6)

    grey = [part.expand(-1, 3, -1, -1) for part in (mask, exchanged)]
    columns = [natural(pairs.images), natural(pairs.images)[b], grey[0], natural(mixed), grey[1]]
    rows = [torch.cat([column[i] for column in columns], dim=2) for i in range(count)]
    sheet = (torch.cat(rows, dim=1).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(sheet)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST).save(path)


def print_table(path: Path) -> None:
    """Print the finished rows as a markdown table, means over the seeds."""
    rows = pd.read_csv(path, dtype={"label": str, "options": str})
    rows["label"] = rows["label"].fillna("")
    key = ["label", "data", "policy", "options", "steps"]
    print(
        "| set | policy | seeds | s | test | own | partner | difference | exchange: mean, largest, "
        "correlation | area | noise of 64 | deviation | local: mix, mixup, CutMix | global |"
    )
    print("|" + "---|" * 14)
    for names, cell in rows.groupby(key, sort=False):
        label, data, policy, options, steps = names
        mean = cell.mean(numeric_only=True)
        test = mean["recall"] if data == "tiles" else mean["top1"]
        losses = [
            ", ".join(_text(mean[f"{mix}_{term}"]) for mix in ("mix", "mixup", "cutmix"))
            for term in ("local", "global")
        ]
        exchange = [_text(mean[f"exchange_{name}"]) for name in ("mean", "max", "correlation")]
        extra = "" if options == "{}" else f" {options}"
        cells = [
            data, f"{label} {policy}{extra}, {steps} steps".strip(), len(cell),
            f"{mean['seconds']:.0f}", _text(test, 1),
            *(_text(mean[name], 3) for name in ("own", "partner", "difference")),
            ", ".join(exchange), _text(mean["area_error"], 3), _text(mean["label_noise"], 1),
            _text(mean["mask_deviation"], 3), *losses,
        ]  # fmt: skip
        print(line_of(*cells))


def _text(value: float, digits: int = 2) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of ``samix.create_method`` that were asked for."""
    options: dict[str, Any] = {}
    if arguments.mixer is not None:
        options["mixer"] = arguments.mixer
    if arguments.clean:
        options["clean_branch"] = True
    if arguments.cost is not None:
        options["cost"] = arguments.cost
    for item in arguments.set:
        name, _, text = item.partition("=")
        try:
            options[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[name] = text
    return options


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", nargs="+", choices=SETS, default=["pasted"])
    parser.add_argument("--policy", default="samix", help="policy, or 'oracle' (samix)")
    parser.add_argument("--mixer", help="built-in Mixer or folder; makes the policy samix-p")
    parser.add_argument("--clean", action="store_true", help="with the clean branch")
    parser.add_argument("--cost", help="of a learned policy (the library's default)")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="more options")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--label", default="", help="words that tell these rows from others")
    parser.add_argument("--folder", type=Path, default=data_folder())
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--log", type=Path, default=Path("runs/stage_c"), help="for lock files")
    parser.add_argument("--pictures", type=Path, help="picture of six pairs, of the last cell")
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print_table(arguments.output)
        return
    torch.set_num_threads(1)
    photos = lru_cache(lambda name, seed: load(name, arguments.folder, seed))
    policy = arguments.policy if arguments.mixer is None else "samix-p"
    options = json.dumps(options_of(arguments))
    cells = [
        Cell(arguments.label, name, policy, options, arguments.steps, seed)
        for seed in range(arguments.from_seed, arguments.seeds)
        for name in arguments.data
    ]
    work = lambda cell: run(cell, photos(cell.data, cell.seed), arguments.pictures)  # noqa: E731
    run_missing(lambda _: cells, work, arguments, finished)


if __name__ == "__main__":
    main()
