"""What `samix poc` prints: the plan, each training as it ends, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from samix.cli.running import cell, say
from samix.shown import flagged

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from samix.pages.words import Words
    from samix.study.cells import Ended, PocFolder
    from samix.training import Display

_RISKS = 6  # that are shown


def print_plan(study: Mapping[str, Any], console: Console, lang: str) -> None:
    """Print the grid, what it takes, and what it will and will not be able to tell."""
    from samix.pages.words import both, chained, commas, count, word
    from samix.study.grid import LONG, first_seeds
    from samix.study.wording import mode_words, network_words, policy_words
    from samix.training.progress import clock

    plan, data = study["plan"], study["data"]
    photos, parts = data["photos"], data["parts"]
    lines = [
        word(
            "say-photos", name=data["name"], train=photos["train"], val=photos["val"],
            test=photos["test"], parts=parts["test"], classes=len(data["classes"]),
            device=study["train"]["device"],
        ),
        network_words(study["train"]),
    ]  # fmt: skip
    rest = [
        word("say-policies", mode=mode_words(mode),
             policies=chained([policy_words(one) for one in plan["policies"][mode]]))
        for mode in plan["modes"]
    ]  # fmt: skip
    budgets = [
        word("say-budget", labels=count(labels), share=f"{100 * share:g}",
             epochs=_epochs(plan, labels))
        for labels, share in zip(plan["labels"], plan["fractions"], strict=True)
    ]  # fmt: skip
    least, most = first_seeds(plan), len(plan["seeds"])
    seeds = word("say-from-to", least=least, most=most) if least < most else both(str(most))
    rest.append(word("say-labels", budgets=commas(budgets), seeds=seeds))
    if any(name.endswith(LONG) for names in plan["policies"].values() for name in names):
        rest.append(word("say-long"))
    times = {name: clock(plan[f"{name}_seconds"]) for name in ("expected", "budget")}
    rest.append(
        word("say-trainings", trainings=plan["trainings"], workers=plan["workers"],
             expected=times["expected"], allowed=times["budget"])
    )  # fmt: skip
    for line in (*map(flagged, data["notes"]), *(getattr(line, lang) for line in lines)):
        say(console, line)
    console.print(_timings(plan, lang))
    for line in (*rest, *_tells(plan, data)):
        say(console, getattr(line, lang))


def _epochs(plan: Mapping[str, Any], labels: int) -> int:
    if "supervised" not in plan["modes"]:
        return int(plan["pretrain_epochs"])
    return int(plan["epochs"][str(labels)])


def _timings(plan: Mapping[str, Any], lang: str) -> Table:
    from rich.table import Table

    from samix.pages.words import word
    from samix.study.wording import mode_words, policy_words

    table = Table()
    table.add_column(getattr(word("say-step"), lang))
    modes = list(plan["timings"])
    for mode in modes:
        table.add_column(getattr(mode_words(mode), lang), justify="right")
    for name in plan["timings"][modes[0]]:
        cells = []
        for mode in modes:
            timings = plan["timings"][mode]
            step = 1000 * timings[name]["step"] if name in timings else None
            ratio = "" if step is None else f"x{step / timings['none']['step'] / 1000:.2f}"
            cells.append("" if step is None else f"{step:.0f} ms  {ratio}")
        table.add_row(cell(getattr(policy_words(name), lang)), *cells)
    return table


def _tells(plan: Mapping[str, Any], data: Mapping[str, Any]) -> list[Words]:
    """Return what the plan can tell, and what it cannot."""
    from samix.pages.words import commas, word
    from samix.study.grid import without_time
    from samix.study.wording import mode_words, policy_words

    main = plan["primary"]
    measure = word(f"measure-{plan['measure']}")
    mode = mode_words(main["mode"])
    found = [word("say-question", measure=measure, mode=mode, labels=main["labels"])]
    smallest = plan["smallest_difference"]
    if math.isfinite(smallest):
        found.append(word("say-can-tell", points=f"{smallest:.1f}"))
    weak = plan["weak_classes"]
    if weak:
        named = commas([f"{name} ({count})" for name, count in weak.items()])
        found.append(word("say-cannot-tell", classes=named))
    for key in ("left_out", "not_planned"):
        if plan[key]:
            shares = commas([f"{100 * share:g} %" for share in plan[key]])
            found.append(word(f"say-{key.replace('_', '-')}", shares=shares))
    if policies := without_time(plan):
        found.append(word("say-without-time", policies=commas(map(policy_words, policies))))
    if "self-supervised" not in plan["modes"]:
        found.append(word("say-one-mode"))
    return found


def print_room(study: Mapping[str, Any], console: Console, lang: str) -> None:
    """Say how much room plain training leaves, and what is asked because of it."""
    from samix.pages.words import commas, word

    plan = study["plan"]
    left = commas(
        [word("say-room-of", labels=labels, points=f"{points:.1f}")
         for labels, points in plan["room"].items()]
    )  # fmt: skip
    told = [word("say-room", left=left, shown=f"{plan['smallest_difference']:.1f}")]
    if plan["ended"]:
        told.append(word("say-no-room"))
    elif "asked_first" in plan:
        main = int(plan["primary"]["labels"])
        told.append(word("say-asked-first", first=plan["asked_first"], main=main))
    for one in told:
        say(console, getattr(one, lang))


def print_stopped(
    study: Mapping[str, Any], known: set[str], display: Display, lang: str
) -> set[str]:
    """Say which policies were stopped since the last time; return all that are."""
    from samix.pages.words import commas, word
    from samix.study.wording import policy_words

    stopped = study.get("stopped") or {}
    new = [name for name in stopped if name not in known]
    if new:
        seeds = max(stopped[name] for name in new)
        names = commas([policy_words(name) for name in new])
        display.say(getattr(word("say-stopped", seeds=seeds, names=names), lang))
    return set(stopped)


def print_ended(result: Ended, number: int, count: int, display: Display, lang: str) -> None:
    """Print one line for a training that ended."""
    from samix.pages.words import word
    from samix.training.progress import clock

    known: dict[str, Any] = {"number": number, "count": count, "name": result.name}
    if result.status == "failed":
        told = word("say-failed-cell", reason=str(result.reason), **known)
    elif result.accuracy is None:
        told = word("say-ended-bare", time=clock(result.seconds or 0.0), **known)
    else:
        time = clock(result.seconds or 0.0)
        told = word("say-ended", score=f"{result.accuracy:.1%}", time=time, **known)
    display.say(getattr(told, lang))


def print_verdict(
    findings: Mapping[str, Any], folder: PocFolder, lang: str, console: Console
) -> None:
    """Print the verdict, what it rests on, its risks, and where to look."""
    from samix.pages.words import both, word

    verdict = findings["verdict"]
    print_standing(findings, lang, console)
    say(console, getattr(word("say-verdict", sentence=both(verdict["sentence"])), lang))
    risks = [both(risk) for risk in verdict["risks"]]
    more = len(risks) - _RISKS
    told = risks[:_RISKS] + ([word("say-more-risks", count=more)] if more > 0 else [])
    told += [word("say-failed", **one) for one in findings["cells"]["failed"]]
    for one in told:
        say(console, f"- {getattr(one, lang)}")
    say(console, getattr(word("say-report", path=str(folder.report)), lang))
    say(console, getattr(word("say-numbers", path=str(folder.findings)), lang))


def print_standing(findings: Mapping[str, Any], lang: str, console: Console) -> None:
    """Print all policies at the main question, as they stand."""
    from rich import box
    from rich.table import Table

    from samix.pages.words import word
    from samix.study.wording import mode_words, policy_words

    mode, labels = findings["verdict"]["mode"], findings["verdict"]["labels"]
    measure = word(f"measure-{findings['data']['measure']}")
    title = word("say-table", mode=mode_words(mode), labels=labels, measure=measure)
    table = Table(
        title=getattr(title, lang), title_justify="left", box=box.SIMPLE_HEAD,
        padding=0, show_edge=False,  # 80 columns hold all of a row
    )  # fmt: skip
    for key in ("col-policy", "say-score", "say-gain", "say-time", "col-seeds"):
        heading = getattr(word(key), lang)
        table.add_column(heading, justify="left" if key == "col-policy" else "right", no_wrap=True)
    for row in findings["policies"]:
        if (row["mode"], row["labels"]) != (mode, labels):
            continue
        gain = (
            "" if row["gain"] is None else f"{row['gain']:+.1f}{_range(row, 'gain', 1.0, '+.1f')}"
        )
        multiple = "" if row["multiple"] is None else f"x{row['multiple']:.2f}"
        table.add_row(
            cell(getattr(policy_words(row["policy"]), lang)),
            f"{100 * row['score']:.1f}{_range(row, '', 100.0, '.1f')}", gain, multiple,
            str(row["seeds"]),
        )  # fmt: skip
    console.print(table)


def _range(row: Mapping[str, Any], what: str, scale: float, form: str) -> str:
    low, high = (row[f"{what}_{end}" if what else end] for end in ("low", "high"))
    if low is None or high is None:
        return ""
    return f" ({scale * low:{form}} to {scale * high:{form}})"
