"""`samix bench`: from words to measured costs, their files and a short table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.errors import InputError
from samix.evaluation import (
    CostOptions,
    Machine,
    RunPlan,
    Workload,
    estimates,
    measure_cost,
)
from samix.evaluation.cost.figure import draw_cost
from samix.evaluation.cost.settings import parse_settings
from samix.training import Terminal
from samix.training.run_folder import write_json

from .bench_summary import print_costs, summary_sentence
from .output import chosen_machine, create_folder, how_to_repeat, result_folder
from .values import key_values

_SMALL_SIZE = 32  # px, with a small stem
_PACKAGES = ("torch", "timm")


def run_bench(chosen: argparse.Namespace) -> int:
    """Measure, write bench.json and bench.png, and print a table.

    Returns:
        0.

    Raises:
        InputError: Something the user gave cannot be used.
    """
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
    draw_cost(output / "bench.png", record, title=_title(options, record))
    print_costs(record, console)
    display.say(f"All numbers: {output / 'bench.json'}")
    display.say(f"Figure:      {output / 'bench.png'}")
    return 0


def options_from(given: Mapping[str, Any]) -> CostOptions:
    """Return what is measured, from the options that were given.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: An option is out of range, or does not go with another one.
    """
    own = {f.name for f in fields(Workload)}
    words = {name: value for name, value in given.items() if name in own}
    if "model_kwargs" in words:
        words["model_kwargs"] = key_values(words["model_kwargs"], "model_kwargs")
    if words.get("stem") == "small":
        words.setdefault("image_size", _SMALL_SIZE)
    workload = Workload(**words)
    if not workload.supervised and "classes" in given:
        raise InputError(f"--classes goes with --method supervised, got {workload.method}")
    measuring = ("steps", "warmup", "threads", "memory", "channels_last")
    rest = {name: given[name] for name in measuring if name in given}
    if "settings" in given:
        rest["settings"] = parse_settings(given["settings"], workload.method)
    return CostOptions(workload=workload, **rest)


def plan_from(given: Mapping[str, Any]) -> RunPlan | None:
    """Return the run that is to be estimated, or None.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: Something is missing that another option needs.
    """
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
    return {
        **how_to_repeat(*_PACKAGES),
        "summary": summary_sentence(result),
        **result,
        **({} if plan is None else {"estimate": estimates(plan, result["rows"])}),
    }


def _opening(options: CostOptions, machine: Machine, output: Path) -> str:
    """Return what is about to happen, in one line."""
    count = len(options.names(machine.device))
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
