"""Data health: duplicates and where they lie, balance, photos that could not be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .poc_dots import balance_chart
from .poc_parts import Grid, Part, Points, Section
from .poc_text import Both, Text, count, listed, number, word


def health_section(health: Mapping[str, Any] | None) -> Section:
    """Return the section; see ``samix.study.health.data_health``.

    Args:
        health: What was found; None where nobody looked.
    """
    title = word("health-title")
    if health is None:
        return Section("health", title, word("health-none"))
    parts: list[Part] = [Points(_said(health))]
    chart = balance_chart(health["classes"])
    if chart is not None:
        parts.append(chart)
    parts += [grid for grid in (_split(health), _disagreeing(health), _skipped(health)) if grid]
    return Section("health", title, word("health-intro"), parts)


def _said(health: Mapping[str, Any]) -> list[Both]:
    """Return what was found, the worst first."""
    twins, lines = health["duplicates"], []
    if not twins["searched"]:
        lines.append(word("health-not-searched"))
    elif not twins["groups"]:
        lines.append(word("health-no-duplicates"))
    else:
        lines.append(word("health-duplicates", groups=count(twins["groups"]),
                          photos=count(twins["photos"]), exact=count(twins["exact"])))  # fmt: skip
        if twins["split"]:
            lines.append(word("health-split", groups=count(twins["split"]),
                              test=count(twins["affected"].get("test", 0)),
                              val=count(twins["affected"].get("val", 0))))  # fmt: skip
        else:
            lines.append(word("health-together"))
    if twins["large"]:
        lines.append(word("health-large", groups=count(twins["large"])))
    disagreeing = health["disagreeing"]["groups"]
    lines.append(
        word("health-disagree", groups=count(disagreeing)) if disagreeing else word("health-agree")
    )
    skipped = health["skipped"]["count"]
    lines.append(
        word("health-skipped", photos=count(skipped)) if skipped else word("health-all-read")
    )
    if health["unlabelled"]:
        lines.append(word("health-unlabelled", photos=count(health["unlabelled"])))
    if health["classes"]:
        lines.append(word("health-imbalance", times=number(health["imbalance"])))
    if health["few"]:
        named = [f"{row['class']} ({count(row['test_parts'])})" for row in health["few"]]
        lines.append(word("health-few", least=health["few"][0]["least"], classes=listed(named)))
    return lines


def _split(health: Mapping[str, Any]) -> Grid | None:
    groups = health["duplicates"]["examples"]
    return _groups(word("health-split-title"), groups, health["duplicates"]["split"])


def _disagreeing(health: Mapping[str, Any]) -> Grid | None:
    found = health["disagreeing"]
    return _groups(word("health-disagree-title"), found["examples"], found["groups"])


def _groups(title: Both, groups: Sequence[Sequence[Mapping[str, Any]]], whole: int) -> Grid | None:
    """Return photos of the same, one row a photo; None where there are none."""
    if not groups:
        return None
    cells: list[list[Text]] = [
        [str(at), str(one["photo"]), str(one["class"]), _part(one["part"])]
        for at, group in enumerate(groups, start=1)
        for one in group
    ]
    header = [word("col-group"), word("col-photo"), word("col-class"), word("col-part")]
    note = word("examples", shown=count(len(groups)), all=count(whole))
    return Grid(title, header, cells, range(4), note=note, folded=True)


def _skipped(health: Mapping[str, Any]) -> Grid | None:
    found = health["skipped"]
    if not found["photos"]:
        return None
    cells = [[str(one["photo"]), str(one["reason"])] for one in found["photos"]]
    note = word("examples", shown=count(len(cells)), all=count(found["count"]))
    header = [word("col-photo"), word("col-reason")]
    return Grid(word("health-skipped-title"), header, cells, range(2), note=note, folded=True)


def _part(side: str) -> Both:
    return word(f"part-{side}") if side in ("train", "val", "test") else word("part-unused")
