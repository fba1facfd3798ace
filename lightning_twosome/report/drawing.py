"""Figures by matplotlib: SVG that takes its colours from the page, and PNG for papers.

An SVG is drawn in placeholder colours, one for each role, which are then replaced by CSS variables: one picture serves
the light and the dark page. Text stays text, so that it can be selected, read out and scaled.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import EngFormatter, MaxNLocator

from lightning_twosome.report.content import Figure, Panel, Series
from lightning_twosome.report.estimates import number

# Told apart by people with any kind of colour vision, after Okabe and Ito; markers and line styles say the same again.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
MARKERS = "osD^vP"
STYLES = {"solid": "-", "faint": "-", "dashed": "--"}
INK, MUTED, GRID = "#222222", "#666666", "#dddddd"
# What the SVG is drawn with, and what stands in the page instead.
_PLACEHOLDERS = {f"#0102{index:02x}": f"var(--series-{index})" for index in range(len(PALETTE))}
_PLACEHOLDERS |= {"#010300": "var(--ink)", "#010301": "var(--muted)", "#010302": "var(--grid)"}
_SVG = "{http://www.w3.org/2000/svg}"
_LONG = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is enough
_LINK = "{http://www.w3.org/1999/xlink}href"
WIDTH, HEIGHT = 3.5, 2.5  # inches of a panel
DPI = 300

SETTINGS: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8.5, "axes.titlelocation": "left", "axes.labelsize": 8, "legend.fontsize": 8,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "axes.linewidth": 0.7, "axes.spines.top": False,
    "axes.spines.right": False, "xtick.major.width": 0.7, "ytick.major.width": 0.7, "lines.linewidth": 1.5,
    "lines.markersize": 3.5, "svg.fonttype": "none", "svg.hashsalt": "report", "text.parse_math": False,
    "axes.unicode_minus": True,
}  # fmt: skip


class _Colours:
    """The palette with its roles, as themselves or as placeholders."""

    def __init__(self, placeholders: bool) -> None:
        names = list(_PLACEHOLDERS)
        self.series = names[: len(PALETTE)] if placeholders else list(PALETTE)
        self.ink, self.muted, self.grid = names[-3:] if placeholders else (INK, MUTED, GRID)

    def of(self, series: Series) -> str:
        return self.series[series.colour % len(self.series)]


def svg(figure: Figure, index: int) -> str:
    """One panel as an SVG element for a page: no ids but its own, a title and a description for screen readers."""
    panel = figure.panels[index]
    buffer = io.BytesIO()
    with rc_context({**SETTINGS, "savefig.transparent": True}):
        canvas = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained")
        _draw(canvas.subplots(), panel, _Colours(placeholders=True))
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(buffer.getvalue(), f"{figure.name}-{index + 1}", panel)


def write_png(figure: Figure, path: Path) -> None:
    """The whole figure with its key at 300 dpi, on white."""
    columns = min(figure.columns, len(figure.panels))
    rows = math.ceil(len(figure.panels) / columns)
    with rc_context(SETTINGS):
        canvas = Canvas(figsize=(WIDTH * columns, HEIGHT * rows + 0.25), layout="constrained", facecolor="white")
        places = list(canvas.subplots(rows, columns, squeeze=False).flat)
        for axes, panel in zip(places, figure.panels, strict=False):
            _draw(axes, panel, _Colours(placeholders=False))
        for axes in places[len(figure.panels) :]:
            axes.set_visible(False)
        handles: dict[str, Any] = {}
        for axes in places[: len(figure.panels)]:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        if len(handles) > 1:
            place: dict[str, Any] = {"loc": "outside lower center", "ncols": min(3, len(handles)), "frameon": False}
            canvas.legend(list(handles.values()), list(handles), **place)
        canvas.savefig(path, dpi=DPI)


@dataclass(frozen=True)
class Key:
    """What a figure's lines are called, empty where there is one only."""

    series: list[Series]
    levels: list[str]


def key(figure: Figure) -> Key:
    """The different lines of a figure's panels."""
    series: dict[str, Series] = {}
    for panel in figure.panels:
        for line in panel.series:
            series.setdefault(line.label, line)
    levels = list(dict.fromkeys(level.label for panel in figure.panels for level in panel.levels))
    return Key(list(series.values()), levels) if len(series) + len(levels) > 1 else Key([], [])


# One panel


def _draw(axes: Axes, panel: Panel, colours: _Colours) -> None:
    axes.set_title(panel.title, color=colours.ink)
    axes.set_xlabel(panel.x_label, color=colours.ink)
    axes.grid(color=colours.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.muted, labelcolor=colours.ink, length=2.5)
    for spine in axes.spines.values():
        spine.set_color(colours.muted)
    draw = _points if panel.points else _line
    order: Sequence[Series] = sorted(panel.series, key=lambda series: series.look != "faint")
    for place, series in enumerate(order):
        draw(axes, series, colours.of(series), place - (len(order) - 1) / 2)
    for level in panel.levels:
        style: dict[str, Any] = {"color": colours.muted, "linestyle": (0, (1, 1.5)), "linewidth": 1.1}
        axes.axhline(level.value, label=level.label, **style)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    if not panel.points:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlim(left=0)
    axes.margins(y=0.08)
    if panel.from_zero:
        axes.set_ylim(bottom=0)


def _line(axes: Axes, series: Series, colour: str, place: float) -> None:
    """A line with a band; of few points each has its marker."""
    faint = series.look == "faint"
    marker = MARKERS[series.colour % len(MARKERS)] if len(series.x) <= 25 and not faint else ""
    style: dict[str, Any] = {"linestyle": STYLES[series.look], "marker": marker, "linewidth": 0.9 if faint else 1.5}
    axes.plot(series.x, series.y, color=colour, alpha=0.5 if faint else 1, label=series.label, **style)
    if series.low:
        axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.18, linewidth=0)


def _points(axes: Axes, series: Series, colour: str, place: float) -> None:
    """Points beside those of the other series, so that their intervals do not cover each other."""
    ends = [
        [middle - low for middle, low in zip(series.y, series.low, strict=True)],
        [high - middle for middle, high in zip(series.y, series.high, strict=True)],
    ]
    style: dict[str, Any] = {"fmt": MARKERS[series.colour % len(MARKERS)] + STYLES[series.look], "linewidth": 1}
    style |= {"markerfacecolor": "none"} if series.look == "dashed" else {}
    moved = [x + 0.12 * place for x in series.x]
    style |= {"yerr": ends if series.low else None, "capsize": 2, "elinewidth": 0.8}
    axes.errorbar(moved, series.y, color=colour, label=series.label, **style)


# SVG for a page


def _for_page(text: bytes, name: str, panel: Panel) -> str:
    """Take out what a page has no use for, make the ids its own, colours variables and fonts the page's."""
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    style_texts = [*root.iterfind(f".//{_SVG}style")]
    linked = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text.decode()))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        old = element.attrib.pop("id", None)
        if old in linked:
            element.set("id", f"{name}-{old}")
        if _LINK in element.attrib:
            element.set("href", f"#{name}-{element.attrib.pop(_LINK)[1:]}")
        for attribute, value in list(element.attrib.items()):
            shorter = _LONG.sub(r"\1", value) if attribute in ("d", "x", "y") else value
            element.set(attribute, shorter.replace("url(#", f"url(#{name}-"))
        if "style" in element.attrib:
            element.set("style", _page_style(element.attrib["style"]))
    for style in style_texts:
        style.text = (style.text or "").replace("*{", f"#{name} *{{")
    root.attrib = {"viewBox": root.attrib["viewBox"], "id": name, "role": "img", "aria-label": description(panel)}
    return ElementTree.tostring(root, encoding="unicode")


def _page_style(style: str) -> str:
    for placeholder, variable in _PLACEHOLDERS.items():
        style = style.replace(placeholder, variable)
    style = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", style)
    return re.sub(r"font-family: [^;]*;? ?", "", style)


def description(panel: Panel) -> str:
    """The panel in words, for those who do not see it."""
    parts = [f"{panel.title} against {panel.x_label}."]
    for series in panel.series:
        if len(series.x):
            ends = [f"{number(series.y[i])} at {number(series.x[i], 0)}" for i in (0, -1)]
            course = f"from {ends[0]} to {ends[1]}" if len(series.x) > 1 else ends[0]
            parts.append(f"{series.label}: {course}, lowest {number(min(series.y))}, highest {number(max(series.y))}.")
    parts += [f"Horizontal line, {level.label}: {number(level.value)}." for level in panel.levels]
    return " ".join(parts)
