"""`samix bench`: from words to measured costs, their files and a short table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.training.config import TrainConfig

from .options import add_command, add_fields, key_values
from .running import cell, chosen_machine, create_folder, how_to_repeat, result_folder, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from samix.evaluation import CostOptions, Machine, RunPlan


_SMALL_SIZE = 32  # px, with a small stem
_PACKAGES = ("torch", "timm")
_BENCH = """\
Measure on this machine what training costs with each way of mixing: time of a step,
images a second and peak memory, as multiples of plain training, side by side.

A setting is one of:

  none, mixup, cutmix ...   a policy; 'samix policies' lists them
  samix-fast, samix-full    SAMix with a Mixer that learns from part of each batch, or all
  samix-seldom              SAMix with a Mixer that learns in every fourth step
  a folder                  a pre-trained Mixer
  mixco, i-mix ...          a rival, with a self-supervised --method

'NAME+clean' also trains on the unmixed images. Plain training is always measured: a loop
without samix, on the CPU also in the memory format channels-last where samix uses it.
No photos are needed: images are random, and reading photos is not part of the numbers.
It takes as long as 35 steps of each setting; --steps 8 is enough for a first look.
"""
_EXAMPLES = """\
examples:
  samix bench --stem small --image-size 32 --batch-size 100
  samix bench --backbone resnet50 --precision bf16 --settings cutmix,samix-full
  samix bench --method moco --settings mixco samix-fast samix-full+clean
  samix bench --images 50000 --epochs 100 --price 1.20 --currency EUR --power 350
"""


def run_bench(chosen: argparse.Namespace) -> int:
    """Measure, write bench.json and bench.html, and print a table."""
    from rich.console import Console

    from samix.evaluation import measure_cost
    from samix.evaluation.cost.figure import write_costs
    from samix.training import Terminal
    from samix.training.run_folder import write_json

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    options, plan = options_from(given), plan_from(given)
    machine = chosen_machine(given)
    output = result_folder(given, f"bench-{options.workload.backbone}")
    console = Console(highlight=False)
    display = Terminal(console)
    opening = _opening(options, machine, output)  # refuses a network that cannot be created
    create_folder(output)
    display.say(opening)
    try:
        result = measure_cost(options, machine=machine, progress=display)
    except BaseException:
        with suppress(OSError):  # it is still empty
            output.rmdir()
        raise
    finally:
        display.rest()
    record = _record(result, plan)
    write_json(output / "bench.json", record)
    write_costs(output / "bench.html", record, title=_title(options, record))
    print_costs(record, console)
    display.say(f"All numbers: {output / 'bench.json'}")
    display.say(f"Page:        {output / 'bench.html'}")
    return 0


def options_from(given: Mapping[str, Any]) -> CostOptions:
    """Return what is measured, from the options that were given."""
    from samix.evaluation import CostOptions, Workload
    from samix.evaluation.cost.settings import parse_settings

    own = {f.name for f in fields(Workload)}
    words = {name: value for name, value in given.items() if name in own}
    if "model_kwargs" in words:
        words["model_kwargs"] = key_values(words["model_kwargs"], "model_kwargs")
    if words.get("stem") == "small":
        words.setdefault("image_size", _SMALL_SIZE)
    workload = Workload(**words)
    if not workload.supervised and "classes" in given:
        raise InputError(f"--classes goes with --method supervised, got {workload.method}")
    measuring = ("steps", "warmup", "threads", "memory", "channels_last", "compiled")
    rest = {name: given[name] for name in measuring if name in given}
    if "settings" in given:
        rest["settings"] = parse_settings(given["settings"], workload.method)
    return CostOptions(workload=workload, **rest)


def plan_from(given: Mapping[str, Any]) -> RunPlan | None:
    """Return the run that is to be estimated, or None."""
    from samix.evaluation import RunPlan

    for flag in ("images", "epochs", "price", "power"):
        for needed in ("images", "epochs"):
            if flag in given and needed not in given:
                raise InputError(
                    f"--{flag} {given[flag]} is for the estimate of a whole run, which also needs "
                    f"--{needed}"
                )
    if "currency" in given and "price" not in given:
        raise InputError(f"--currency {given['currency']} goes with --price, which is missing")
    if "images" not in given:
        return None
    return RunPlan(
        images=given["images"],
        epochs=given["epochs"],
        price=given.get("price"),
        watts=given.get("power"),
        currency=given.get("currency", ""),
    )


def _record(result: Mapping[str, Any], plan: RunPlan | None) -> dict[str, Any]:
    """Return the results with the estimate and what is needed to repeat them."""
    from samix.evaluation import estimates

    return {
        **how_to_repeat(*_PACKAGES),
        "summary": summary_sentence(result),
        **result,
        **({} if plan is None else {"estimate": estimates(plan, result["rows"])}),
    }


def _opening(options: CostOptions, machine: Machine, output: Path) -> str:
    count = len(options.settings_on(machine.device))
    return (
        f"{_workload(options)} on {machine.device}: {count} settings, {options.steps} steps of "
        f"each after {options.warmup} to warm up; writing to '{output}'"
    )


def _title(options: CostOptions, record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    count = machine["threads"]
    threads = f", {count} thread{'s'[: count > 1]}" if machine["device"] == "cpu" else ""
    return f"{_workload(options)} on {machine['name']}{threads}, {machine['precision']}"


def _workload(options: CostOptions) -> str:
    work = options.workload
    return f"{work.backbone} ({work.method}), {work.image_size} px, batch {work.batch_size}"


def add_bench(commands: Any, about: str) -> None:
    """Add the parser of `samix bench`."""
    parser = add_command(
        commands,
        "bench",
        usage="bench [options]",
        about=about,
        description=_BENCH,
        examples=_EXAMPLES,
    )
    _add_training(parser)
    _add_measuring(parser)
    _add_estimate(parser)
    _add_run(parser)


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is trained")
    add_fields(group, TrainConfig, "backbone")
    add_fields(
        group,
        TrainConfig,
        "model_kwargs",
        model_kwargs="arguments of the timm model, e.g. layers=[1,1,1,1]",
    )
    add_fields(group, TrainConfig, "stem")
    add_fields(
        group,
        TrainConfig,
        "image_size",
        image_size="side in pixels that the network sees (224; 32 with --stem small)",
    )
    group.add_argument("--batch-size", help="photos per step (32)", type=int, metavar="N")
    group.add_argument("--classes", help="number of classes (10)", type=int, metavar="N")
    group.add_argument(
        "--method", help="supervised, moco, simclr, byol or mocov3 (supervised)", metavar="NAME"
    )


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is measured")
    group.add_argument(
        "--settings",
        help="what to measure beside plain training, separated by commas or spaces "
        "(cutmix, samix-p "
        "where it is there, samix-fast, samix-seldom, samix-full)",
        nargs="+",
        metavar="NAME",
    )
    group.add_argument("--steps", help="measured steps of each setting (32)", type=int, metavar="N")
    group.add_argument("--warmup", help="steps of each before them (3)", type=int, metavar="N")
    group.add_argument(
        "--memory",
        help="measure peak memory (where it can be measured)",
        action=argparse.BooleanOptionalAction,
    )
    group.add_argument(
        "--channels-last",
        help="plain training in this memory format too (on the CPU); on a GPU samix "
        "then uses it as "
        "well",
        action=argparse.BooleanOptionalAction,
    )
    group.add_argument(
        "--compile",
        dest="compiled",
        help="also measure every setting with compiled and, on a GPU, replayed steps, which takes "
        "minutes to begin",
        action="store_true",
    )


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("estimate for a whole run")
    group.add_argument("--images", help="photos to train on", type=int, metavar="N")
    group.add_argument("--epochs", help="passes over the photos", type=int, metavar="N")
    group.add_argument("--price", help="price of this machine for an hour", type=float, metavar="X")
    group.add_argument("--currency", help="of the price, e.g. EUR", metavar="WORD")
    group.add_argument("--power", help="what this machine draws, in watts", type=float, metavar="X")


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--output", help="folder to create (a free name below runs/)", metavar="DIR")
    add_fields(group, TrainConfig, "seed", seed="seed of weights, images and mixes (0)")
    add_fields(group, TrainConfig, "device", "precision", precision="32, bf16 or 16 (32)")
    group.add_argument(
        "--threads", help="threads of torch on the CPU (torch's choice)", type=int, metavar="N"
    )


def print_costs(record: Mapping[str, Any], console: Console) -> None:
    """Print the costs, the estimate where there is one, and what they say."""
    console.print()
    console.print(_costs(record))
    console.print()
    if "estimate" in record:
        plan = record["estimate"]
        say(console, f"{plan['images']:,} images, {plan['epochs']:,} epochs, training alone:")
        console.print(_estimate(record["estimate"]))
        console.print()
    for text in (record["summary"], *record["notes"]):
        say(console, text)


def summary_sentence(result: Mapping[str, Any]) -> str:
    """Return what the numbers say, in one sentence."""
    from samix.evaluation.cost.figure import short_number

    rows = result["rows"]
    others = {name: row for name, row in rows.items() if row["kind"] != "plain"}
    shown = {name: row for name, row in others.items() if row["kind"] == "learned"} or others
    if not shown:
        rate = short_number(rows["plain"]["images_per_second"])
        return f"Plain training processes {rate} images a second."
    said: list[str] = []
    for name, row in shown.items():
        words = ("", "") if said else (" times the time of plain training", " times its memory")
        takes = f"{name}{'' if said else ' takes'} {row['time_ratio']:.2f}{words[0]}"
        said.append(
            f"{takes} and {row['memory_ratio']:.2f}{words[1]}" if "memory_ratio" in row else takes
        )
    text = "; ".join(said)
    if result["faster_plain"] != "plain":
        over = ", ".join(f"{row['time_ratio_to_faster_plain']:.2f}" for row in shown.values())
        text += f" (time over {result['faster_plain']}, which is faster here: {over})"
    return f"{text}."


def _costs(record: Mapping[str, Any]) -> Table:
    from samix.evaluation.cost.figure import short_number

    rows = record["rows"]
    faster = record["faster_plain"] != "plain"
    compiled = any("time_ratio_to_compiled_plain" in row for row in rows.values())
    remembered = "memory_ratio" in rows["plain"]
    table = _table(
        *("ms", "images/s", "time /\nplain", "quartiles"),
        *(["time /\nfaster\nplain"] if faster else []),
        *(["time /\ncompiled\nplain"] if compiled else []),
        *(["MiB", "memory /\nplain"] if remembered else []),
        "waits for\nPython",
    )
    for name, row in rows.items():
        low, high = row["time_ratio_low"], row["time_ratio_high"]
        cells = [
            short_number(row["milliseconds"]),
            short_number(row["images_per_second"]),
            f"{row['time_ratio']:.2f}",
            "" if name == "plain" else f"{low:.2f}-{high:.2f}",
        ]
        if faster:
            cells.append(f"{row['time_ratio_to_faster_plain']:.2f}")
        if compiled:
            over = row.get("time_ratio_to_compiled_plain")
            cells.append("" if over is None else f"{over:.2f}")
        if remembered:
            known = "mebibytes" in row
            cells += [short_number(row["mebibytes"]) if known else ""]
            cells += [f"{row['memory_ratio']:.2f}" if known else ""]
        share = row.get("python_share")
        cells.append("" if share is None else f"{share:.0%}")
        table.add_row(cell(name), *cells)
    return table


def _estimate(plan: Mapping[str, Any]) -> Table:
    from samix.evaluation.cost.figure import short_number

    priced, powered = plan["price"] is not None, plan["watts"] is not None
    table = _table(
        "hours", *([plan["currency"] or "money"] if priced else []), *(["kWh"] if powered else [])
    )
    for name, run in plan["rows"].items():
        cells = [short_number(run["hours"])]
        cells += [f"{run['money']:,.2f}"] if priced else []
        cells += [short_number(run["kilowatt_hours"])] if powered else []
        table.add_row(cell(name), *cells)
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("")
    for heading in headings:
        table.add_column(Text(heading), justify="right", no_wrap=True)  # of our own, with line ends
    return table
