"""Charts of an explanation: the map with the ways of mixes, masks over lam, and confusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from samix.pages.charts import (
    BOTTOM,
    GRID,
    LEFT,
    LINE,
    RIGHT,
    TOP,
    WIDTH,
    AxisScale,
    Panel,
    Point,
    Style,
    axis_of,
    class_style,
    framed,
)
from samix.pages.mixer import area_chart
from samix.pages.mixes import photo_words
from samix.pages.panels import matrix_panel
from samix.pages.parts import Chart, Part, Section, Strip, Table, Thumb
from samix.pages.pictures import heated, thumb
from samix.pages.words import Text, Words, clipped, paragraph, rounded, word

from .results import Confidence, Confusion, Explanation, MapStudy, MixerStudy, Route, Spread, Sweep

Frame = tuple[float, float, float, float]  # left, right, bottom and top, in units of a panel
_BARE: Frame = (2.0, WIDTH - 2.0, 230.0, 2.0)  # without axes
_WAYS = (Style("#4d4d4d", "square"), Style("#c02d8b", "diamond", hollow=True))
_MOST_CLASSES = 10  # that have a colour
_GREY = "#9a9a9a"
_LETTERS = 18


def names_words(names: Sequence[str]) -> Words:
    """Return what a mix is of."""
    first, second = names
    known = bool(first or second)
    return word("see-between", first=first, second=second) if known else word("see-two-photos")


def map_section(whole: Explanation) -> Section:
    """Return the map, the ways, and the numbers."""
    study = whole.map
    intro = word("see-map-intro", share=rounded(sum(study.variance)))
    legend: list[tuple[Text, Style]] = [
        (clipped(name, _LETTERS), class_style(place))
        for place, name in enumerate(study.classes[:_MOST_CLASSES])
    ]
    if len(study.classes) > _MOST_CLASSES:
        legend.append((word("see-others"), Style(_GREY, "circle")))
    if bool((study.target < 0).any()):
        legend.append((word("see-no-label"), Style(_GREY, "circle")))
    parts: list[Part] = [
        Chart("map", word("see-map-title"), word("see-map-read"), [_map_panel(study)], legend),
        _routes_chart(study),
        _spread_table(study.spread),
    ]
    return Section(word("see-map"), intro, parts, key="map")


def _scales(study: MapStudy, frame: Frame) -> tuple[AxisScale, AxisScale]:
    ways = [points for route in study.routes for points in route.points.values()]
    everything = torch.cat([study.points, *ways])
    across, up = (everything[:, axis].tolist() for axis in (0, 1))
    left, right, bottom, top = frame
    return axis_of(across, left, right), axis_of(up, bottom, top)


def _map_panel(study: MapStudy) -> Panel:
    x, y = _scales(study, (LEFT, RIGHT, BOTTOM, TOP))
    names = [
        word(f"axis-{name}", share=rounded(share))
        for name, share in zip(("first", "second"), study.variance, strict=True)
    ]
    panel = framed(x, y, names[0], names[1])
    _dots(panel, study, x, y, 2.6, 0.75)
    return panel


def _dots(
    panel: Panel, study: MapStudy, x: AxisScale, y: AxisScale, radius: float, opacity: float
) -> None:
    for target in torch.unique(study.target).tolist():
        coloured = 0 <= target < _MOST_CLASSES
        colour = class_style(target).colour if coloured else _GREY
        panel.dots(_placed(study.points[study.target == target], x, y), colour, radius, opacity)


def _placed(points: Tensor, x: AxisScale, y: AxisScale) -> list[Point]:
    return [(x(a), y(b)) for a, b in points.tolist()]


def _routes_chart(study: MapStudy) -> Chart:
    x, y = _scales(study, _BARE)
    ways = list(study.routes[0].points) if study.routes else []
    styles = dict(zip(ways, _WAYS, strict=False))
    rows: list[list[Text]] = [
        [names_words(route.names), name, f"{route.detour[name]:.2f}", rounded(route.stride[name])]
        for route in study.routes
        for name in route.points
    ]
    header = [word(f"col-{key}") for key in ("mix-of", "mixed-by", "length", "longest")]
    return Chart(
        "ways", word("see-routes-title"), word("see-routes-read"),
        [_route_panel(study, route, x, y, styles) for route in study.routes],
        list(styles.items()),
        Table(header, rows, word("see-routes-table"), title=word("data-behind"), words=range(2),
              folded=True),
    )  # fmt: skip


def _route_panel(
    study: MapStudy, route: Route, x: AxisScale, y: AxisScale, styles: dict[str, Style]
) -> Panel:
    left, right, bottom, top = _BARE
    panel = Panel(bottom + top, names_words(route.names))
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    panel.line(corners, GRID)
    _dots(panel, study, x, y, 1.8, 0.4)
    for name, points in route.points.items():
        style, places = styles[name], _placed(points, x, y)
        panel.line(places, style.colour, width=1.6, dash="5 3" if style.hollow else "")
        panel.dots(places, style.colour, 1.8, 1.0)
        panel.put(*places[0], Style(style.colour, "square"), name, 4.6)
        panel.put(*places[-1], Style(style.colour, "star"), name, 6.5)
    return panel


def _spread_table(spread: Spread) -> Table:
    rows: list[list[Text]] = []
    if spread.alignment is not None:
        what = word(f"see-distance-{spread.of}")
        rows.append([word("see-alignment"), f"{spread.alignment:.2f}", what])
    if spread.apart is not None:
        others = {"class": "see-distance-classes", "view": "see-distance-photos"}[spread.of]
        rows.append([word("see-compare"), f"{spread.apart:.2f}", word(others)])
    rows.append([word("see-uniformity"), f"{spread.uniformity:.2f}", word("see-even")])
    header: list[Text] = ["", word("col-value"), word("col-about")]
    return Table(header, rows, word("see-spread-read"), words=(0, 2))


_FLAT = 0.1  # as training judges whether a Mixer is alive
_BLUE, _DARK = "#0072B2", "#4d4d4d"
_OF_PHOTO = {
    "original": Style("#D55E00", "circle"), "partner": Style(_BLUE, "square"),
    "unrelated": Style(_GREY, "diamond"),
}  # fmt: skip


def mixer_section(whole: Explanation) -> Section:
    """Return the masks of a few pairs, and the curves."""
    study = whole.mixer
    title = word("see-mixer", policy=whole.policy) if study.looks else word("see-rule")
    read = "see-masks-read" if study.looks else "see-rule-read"
    intro = [word(read, policy=whole.mixed_by)]
    if study.follows:
        intro.append(follow_sentence(study))
    shown = study.sweeps if study.looks else study.sweeps[:2]
    parts: list[Part] = [
        Strip(_pictures(study, one), names_words(one.names), dense=True) for one in shown
    ]
    parts.append(_area_chart(study))
    if study.follows:
        parts.append(_follows_chart(study))
    return Section(title, paragraph(intro), parts, key="mixer")


def follow_sentence(study: MixerStudy) -> Words:
    """Return what the correlation of masks and heat says at lam 0.5, in words."""
    middle = study.lam.index(0.5)
    own, theirs = study.follows["original"][middle], study.follows["partner"][middle]
    chance = study.follows.get("unrelated", [None] * len(study.lam))[middle]
    if own is None or theirs is None:
        return word("see-flat")
    told = [word("see-follows", own=f"{own:+.2f}", theirs=f"{theirs:+.2f}")]
    if chance is not None:
        told.append(word("see-chance", chance=f"{chance:+.2f}"))
    if study.deviation < _FLAT:
        told.append(word("see-nearly-flat", deviation=study.deviation))
    return paragraph(told)


def _area_chart(study: MixerStudy) -> Chart:
    """Return the area of masks against lam, and the mean of all pairs."""
    lines = [(row, _BLUE, 1.0, 0.3) for row in study.area.tolist()]
    lines.append((study.area.mean(0).tolist(), _DARK, 2.2, 1.0))
    return area_chart(study.lam, lines, word("see-area-read", count=len(study.area)))


def _follows_chart(study: MixerStudy) -> Chart:
    """Return the correlation of masks and heat against lam."""
    values = [v for line in study.follows.values() for v in line if v is not None]
    x, y = AxisScale(0.0, 1.0, LEFT, RIGHT), axis_of([-0.3, 0.3, *values], BOTTOM, TOP)
    panel = framed(x, y, word("axis-lam"), word("axis-correlation"), signed=(False, True))
    panel.line([(LEFT, y(0)), (RIGHT, y(0))], LINE, dash="4 3")
    legend: list[tuple[Text, Style]] = []
    for name, line in study.follows.items():
        style = _OF_PHOTO[name]
        legend.append((word(f"see-of-{name}"), style))
        known = [(lam, v) for lam, v in zip(study.lam, line, strict=True) if v is not None]
        if places := [(x(lam), y(value)) for lam, value in known]:
            panel.line(places, style.colour, width=1.6)
        for place in places:
            panel.put(*place, style, legend[-1][0], 4.0)
    return Chart("follows", word("see-follows-title"), word("see-follows-read"), [panel], legend)


def _pictures(study: MixerStudy, sweep: Sweep) -> list[Thumb]:
    pictures = []
    for side, name in enumerate(("original", "partner")):
        pictures.append(thumb(sweep.photos[side], photo_words(name, sweep.names[side])))
        if sweep.heats is not None and study.looks:
            heat = heated(sweep.photos[side], sweep.heats[side])
            looks = "see-looks" if float(sweep.heats[side].max()) > 0 else "see-looks-nowhere"
            pictures.append(thumb(heat, word(looks), word(f"picture-{name}")))
    for at, lam in enumerate(study.lam):
        note = word("see-area", area=sweep.area[at])
        pictures.append(thumb(sweep.masks[at], f"lam {lam:g}", note))
    return pictures


def split_chart(found: Confidence) -> Chart:
    """Return the network's share of the original against that of the label."""
    x, y = AxisScale(0.0, 1.0, LEFT, RIGHT), AxisScale(0.0, 1.0, BOTTOM, TOP)
    panel = framed(x, y, word("axis-label-share"), word("axis-network-share"))
    panel.line([(x(0), y(0)), (x(1), y(1))], LINE, dash="4 3")
    both = found.both.clamp(0, 1)
    for low in range(4):  # the more probability the two classes get, the darker
        own = ((both * 4).long().clamp(max=3) == low).nonzero()[:, 0]
        points = torch.stack([found.weight[own], found.split[own]], 1)
        if len(points):
            panel.dots(_placed(points, x, y), _BLUE, 2.4, (0.2, 0.4, 0.65, 1.0)[low])
    return Chart("split", word("see-split-title"), word("see-split-read"), [panel])


_LEAST = 0.005
_LEAST_TOP = 0.5  # probability that is darkest, at least


def confusion_section(whole: Explanation) -> Section:
    """Return both matrices, the second where there are three classes."""
    title, found = word("see-confusion"), whole.confusion
    if found is None:
        return Section(title, word("see-confusion-none"), key="confusion")
    draws = word("see-confusion-draws", count=found.draws, policy=whole.mixed_by)
    told = [word("see-confusion-read"), draws]
    if found.left_out:
        told.append(word("see-confusion-left", shown=len(found.classes), left=found.left_out))
    if len(found.classes) < 3:
        told.append(word("see-confusion-two"))
    worst = worst_pair(found)
    panels = [_photos_panel(found)]
    if bool((~found.strength.isnan()).any()):
        panels.append(_mixes_panel(found))
    chart = Chart("confusion", word("see-confusion-both"), paragraph([*told, worst]), panels)
    return Section(title, "", [chart], key="confusion")


def worst_pair(found: Confusion) -> Text:
    """Return the pair of classes whose mixes look most like a third class, in words."""
    known = found.strength.nan_to_num(-1.0)
    known = known.masked_fill(torch.eye(len(known), dtype=torch.bool), -1.0)
    if not len(known) or float(known.max()) < 0:
        return ""
    row, column = divmod(int(known.argmax()), len(known))
    return word(
        "see-worst", first=found.classes[row], second=found.classes[column],
        third=found.other[row][column], share=rounded(float(known[row, column])),
    )  # fmt: skip


def _photos_panel(found: Confusion) -> Panel:
    others = float(found.clean[:, -1].max()) > _LEAST
    shares = (found.clean if others else found.clean[:, :-1]).tolist()
    columns: list[Text] = [*found.classes, *([word("see-others")] if others else [])]
    notes = [word("photos-alone", photos=count) for count in found.photos]
    told = [[f"{100 * s:.0f}" if s > _LEAST else "" for s in line] for line in shares]
    title = word("see-confusion-photos")
    return matrix_panel(
        found.classes, columns, shares, told, across=word("confusion-said"), title=title,
        notes=notes,
    )  # fmt: skip


def _mixes_panel(found: Confusion) -> Panel:
    known = found.strength.nan_to_num(0.0)
    top = max(float(known.max()), _LEAST_TOP)
    return matrix_panel(
        found.classes, found.classes, (known / top).tolist(), found.other,
        across=word("see-second-source"), title=word("see-confusion-mixes"), colour="#D55E00",
    )  # fmt: skip
