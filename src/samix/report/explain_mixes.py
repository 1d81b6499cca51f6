"""Nearest real photos of mixes, and the most and least confident mixes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from .explain_data import Confidence, Explanation, Judged, Mix, NearMix, NearStudy
from .explain_pictures import (
    between,
    percent,
    thumb,
)
from .page import Figure, Section, State, Strip, Thumb
from .saving import save

READ_NEAR = (
    "Beside each half-and-half mix stand the real training photos that the network finds most like "
    "it, with their likeness (1 is the same). Neighbours of a third class mean that the mix looks "
    "like something that it is not."
)
READ_SURE = (
    "In the most confident mixes nearly all probability goes to the two sources (compare with the "
    "label: often to one of them alone); in the least confident ones the network sees something "
    "else, and they are the ones to look at before mixing is trusted."
)
READ_SPLIT = (
    "Each dot is a mix: on the dotted line the network shares its probability between the two "
    "classes as the label does; dots in the corners are mixes that it takes for one photo alone."
)


def near_section(whole: Explanation) -> Section:
    """Return the nearest real photos."""
    title = "Nearest real photos"
    if whole.near is None:
        return Section(title, "The training photos are not in the data, so there is no neighbour.")
    return Section(title, f"{READ_NEAR} {near_sentence(whole.near)}", near_strips(whole.near.shown))


def near_sentence(near: NearStudy) -> str:
    """Return how near mixes are, beside how near photos are."""
    return (
        f"A real photo of the part has a likeness of {near.usual:.3f} to its nearest training "
        f"photo; a mix has {near.mixes:.3f} (medians, {near.measured} mixes)."
    )


def near_strips(shown: Sequence[NearMix]) -> list[Strip]:
    """Return one strip a mix: the mix and its neighbours."""
    strips = []
    for one in shown:
        names = [neighbour.name for neighbour in one.neighbours]
        third = sum(name not in one.mix.names for name in names)
        labelled = any(one.mix.names)
        pictures = [*_sources(one.mix)]
        for number, near in enumerate(one.neighbours, start=1):
            label = f"{number}. {near.name}" if near.name else f"photo {number}"
            pictures.append(thumb(near.photo, label, f"likeness {near.cosine:.3f}"))
        badge = "" if not labelled else f"{third} of {len(names)} third class"
        if labelled and not third:
            badge = "only its two classes"
        state: State = "changed" if labelled and third else "ok"
        strips.append(Strip(pictures, title=between(one.mix.names), badge=badge, state=state))
    return strips


def confidence_section(whole: Explanation, split: bytes | None) -> Section:
    """Return the most and least confident mixes.

    Args:
        whole: The explanation.
        split: The PNG of :func:`draw_split`; None where there is nothing to show.
    """
    title = "Most and least confident mixes"
    found = whole.confidence
    if found is None or split is None:
        why = "The run has no classes, so it cannot be sure of one."
        if whole.classifies:
            why = "None of the drawn mixes is of two classes that both have 20 % of the label."
        return Section(title, why)
    intro = (
        f"{READ_SURE} Mixes are drawn as in training, by {whole.mixed_by}; of {len(found.both)} in "
        "which both classes have 20 % of the label or more, the network gives the two together "
        f"{float(found.both.mean()):.0%} on average, and its "
        f"shares are {float((found.split - found.weight).abs().mean()):.0%} away from the label's."
    )
    picture = Figure(split, READ_SPLIT, "share of the network against share of the label")
    return Section(title, intro, [*confidence_strips(found), picture])


def confidence_strips(found: Confidence) -> list[Strip]:
    """Return one strip a mix, the most confident ones first."""
    return [
        *(_judged(one, "most confident", "ok") for one in found.most),
        *(_judged(one, "least confident", "bad") for one in found.least),
    ]


def draw_split(path: str | Path, found: Confidence) -> None:
    """Draw the network's share of the original against that of the label.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        found: What was measured.
    """
    canvas = Canvas(figsize=(5.6, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1.0, linestyle=":")
    dots = axes.scatter(
        found.weight.tolist(), found.split.tolist(), c=found.both.tolist(), s=14, vmin=0, vmax=1,
        cmap="viridis", linewidths=0, alpha=0.85,
    )  # fmt: skip
    bar = canvas.colorbar(dots, ax=axes)
    bar.set_label("probability of the two classes together", fontsize=9)
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.set_xlabel("share of the original in the label", fontsize=10)
    axes.set_ylabel("share that the network gives it", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save(canvas, path)


def _judged(one: Judged, badge: str, state: State) -> Strip:
    mix = one.mix
    other = f"; next: {one.other} {percent(one.other_sure)}" if one.other else ""
    line = (
        f"Network: {mix.names[0]} {percent(one.sure[0])}, {mix.names[1]} {percent(one.sure[1])}"
        f"{other}. Label: {percent(mix.weight)} and {percent(mix.partner_weight)}."
    )
    title = f"{between(mix.names)}: {percent(one.both)} together"
    pictures = _sources(mix)
    pictures.insert(2, thumb(mix.mask, "mask", f"area {mix.area:.2f}"))
    return Strip(pictures, title=title, lines=[line], badge=badge, state=state)


def _sources(mix: Mix) -> list[Thumb]:
    first, second = mix.names
    return [
        thumb(mix.original, f"original: {first}" if first else "original"),
        thumb(mix.partner, f"partner: {second}" if second else "partner"),
        thumb(mix.mixed, "mix", f"lam {mix.lam:.2f}"),
    ]
