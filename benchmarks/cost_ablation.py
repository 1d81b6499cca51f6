"""What each way of saving time in a step of online SAMix gives, alone and together.

Run it with ``python benchmarks/cost_ablation.py``; see ``--help``. Every variant is stepped in turn
in one process; a ratio is that of processor time to the same round's step of ``cost="full"``,
median with quartiles. "without" undoes what samix always does; the others are not always done, and
only those of ``samix.methods.Cost`` and ``p`` are options. A step is forward, backward, optimiser
and momentum average. What it does to accuracy is the group ``cost`` of ``yardstick.py``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

import samix
from samix.methods import Cost
from samix.networks import Tap, in_format
from samix.networks.mixer import pair_attention
from stepping import ratios_in_turn, write_result
from yardstick import RESNET

Method = samix.SupervisedMethod
NETWORKS: dict[str, dict[str, Any]] = {
    "ten-layer ResNet, 32 px": {**RESNET, "image_size": 32},
    "resnet18, 96 px": {"backbone": "resnet18", "image_size": 96},
    "vit_tiny, 96 px": {"backbone": "vit_tiny_patch16_224", "image_size": 96},
}
BATCH = {"ten-layer ResNet, 32 px": 100, "resnet18, 96 px": 32, "vit_tiny, 96 px": 32}
TOKENS = {"8 x 8": (100, 32, 64), "14 x 14": (32, 128, 196)}  # batch, width, places


def past_the_tap(method: Method) -> None:
    """The momentum encoder runs to its end where it looks for features."""
    average: Any = method.average

    @torch.no_grad()
    def features(images: Tensor, tap: Tap) -> Tensor:
        shown = in_format(images, average.channels_last)
        maps = average.module.forward_intermediates(shown, indices=[tap.index], output_fmt="NCHW")
        found: Tensor = maps[1][0]
        return found

    average.features = features


@contextmanager
def contiguous() -> Iterator[None]:
    """Images are not brought into channels-last."""

    def unchanged(images: Tensor, channels_last: bool) -> Tensor:
        return images.contiguous()

    with ExitStack() as stack:
        for module in ("methods.supervised", "methods.mix_step", "networks.momentum"):
            stack.enter_context(patch(f"samix.{module}.in_format", unchanged))
        yield


@contextmanager
def one_by_one() -> Iterator[None]:
    """The momentum average moves one tensor after the other."""

    def lerp(olds: list[Tensor], news: list[Tensor], weight: float) -> None:
        for old, new in zip(olds, news, strict=True):
            old.lerp_(new, weight)

    with patch("torch._foreach_lerp_", lerp):
        yield


@dataclass(frozen=True)
class Variant:
    """One way to take a step.

    Attributes:
        options: Of ``samix.create_method``, beside policy and network.
        change: Changes a fresh method in place.
        around: What each step is done in.
        policy: Name of the policy.
    """

    options: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Method], None] | None = None
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    policy: str = "samix"

    def create(self, network: dict[str, Any]) -> tuple[Method, torch.optim.Optimizer]:
        """Return a fresh method and its optimiser."""
        torch.manual_seed(0)
        options = {"cost": "full", **self.options}
        method = samix.create_method(
            "supervised", num_classes=10, policy=self.policy, **network, **options
        )
        if self.change is not None:
            self.change(method)
        return method, torch.optim.SGD(method.parameter_groups(0.01), momentum=0.9)


VARIANTS: dict[str, Variant] = {
    "plain (policy none)": Variant(policy="none"),
    "full": Variant(),
    "without: stop at the tap": Variant(change=past_the_tap),
    "without: channels-last": Variant(around=contiguous),
    "without: average of all tensors at once": Variant(around=one_by_one),
    "Mixer on 1/2 of the batch": Variant({"cost": Cost(mixer_share=0.5)}),
    "Mixer on 1/4 (fast)": Variant({"cost": "fast"}),
    "Mixer on 1/8": Variant({"cost": Cost(mixer_share=0.125)}),
    "Mixer every 4th step": Variant({"cost": "seldom"}),
    "look at half resolution": Variant({"cost": Cost(look_scale=0.5)}),
    "half of the batch clean": Variant({"p": 0.5}),
    "fast, half resolution": Variant({"cost": Cost(mixer_share=0.25, look_scale=0.5)}),
    "fast, half of the batch clean": Variant({"cost": "fast", "p": 0.5}),
}


def step_seconds(
    variant: Variant, method: Method, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]
) -> float:
    """Return the processor time of one step."""
    begin = time.process_time()
    with variant.around():
        method(*batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()
    return time.process_time() - begin


def measure(name: str, rounds: int) -> dict[str, list[float]]:
    """Print the ratios of one network, and return those of every round."""
    network = NETWORKS[name]
    size = network["image_size"]
    batch = torch.randn(BATCH[name], 3, size, size), torch.randint(0, 10, (BATCH[name],))
    made = {label: variant.create(network) for label, variant in VARIANTS.items()}
    steps = {
        label: partial(step_seconds, VARIANTS[label], *pair, batch) for label, pair in made.items()
    }
    ratios = ratios_in_turn(steps, "full", rounds)
    print(f"\n{name}\n\n| | over full | quartiles |\n|---|---|---|")
    for label, values in ratios.items():
        # a Mixer that learns in every fourth step has steps of two kinds
        uneven = VARIANTS[label].options.get("cost") == "seldom"
        middle = statistics.fmean(values) if uneven else statistics.median(values)
        low, _, high = statistics.quantiles(values, n=4)
        print(f"| {label} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)
    return {label: [round(value, 4) for value in values] for label, values in ratios.items()}


def attention_seconds(fused: bool, batch: int, width: int, places: int) -> float:
    """Return the processor time of attention, forward and backward."""
    query, key = (torch.randn(batch, width, places, requires_grad=True) for _ in range(2))
    value = torch.randn(batch, 1, places, requires_grad=True)
    begin = time.process_time()
    if fused:
        sides = (side.transpose(1, 2) for side in (query, key, value))
        F.scaled_dot_product_attention(*sides).sum().backward()
    else:
        torch.bmm(value, pair_attention(query, key).transpose(1, 2)).sum().backward()
    return time.process_time() - begin


def main() -> None:
    """Print a table for each network, and what fused attention would give."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"{'; '.join(NETWORKS)}; all")
    parser.add_argument("--rounds", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file to write, with every round")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    over_full: dict[str, dict[str, list[float]]] = {}
    attention: dict[str, float] = {}
    found = {
        "threads": arguments.threads,
        "over_full": over_full,
        "fused_attention_over_ours": attention,
    }
    for name in arguments.names or NETWORKS:
        over_full[name] = measure(name, arguments.rounds)
        write_result(arguments.output, **found)
    print("\nattention alone, forward and backward")
    for label, shape in TOKENS.items():
        pairs = [
            (attention_seconds(True, *shape), attention_seconds(False, *shape)) for _ in range(30)
        ][5:]
        fused, own = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{label}: scaled_dot_product_attention {fused / own:.2f} of ours ({own * 1e3:.1f} ms)"
        )
        attention[label] = round(fused / own, 4)
    write_result(arguments.output, **found)


if __name__ == "__main__":
    main()
