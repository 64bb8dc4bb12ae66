"""Three pictures of a run: what a delivery costs, how each aim stands, how old messages arrive.

Rule: they are drawn from a run as `report.document` keeps it, and only from that; what a run did
not measure is not drawn. Every bar carries its figure, so there are no value axes to read.
Colours are Okabe and Ito's, told apart by the colour-blind, too.
"""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from bench.summary import bound, row_of

WIDTH_INCHES, DPI = 9, 100
OURS, OTHER, MISSED, INK, FAINT = "#0072B2", "#B4BCC4", "#D55E00", "#222222", "#6A7178"
OUR_ROWS = ("Danmaku", "shard", "server")
COST_WORKLOADS = (("peers", "peers_15k"), ("fanout", "fanout_15k"))
SHARE_SHOWN = 1.6
PALETTE = 64
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 1}
ROW_INCHES, EDGE_INCHES = 0.34, 0.95

Run = dict[str, Any]


def draw(run: Run, folder: Path) -> list[Path]:
    """Write what can be drawn of `run` as PNG files to `folder`; their paths."""
    folder.mkdir(exist_ok=True)
    figures = {"cost": cost(run), "aims": aims(run), "latency": latency(run)}
    written = []
    for name, figure in figures.items():
        if figure is not None:
            path = folder / f"{name}.png"
            _write(figure, path)
            written.append(path)
    return written


def _write(figure: Figure, path: Path) -> None:
    """As a PNG of few colours, a third of the size."""
    full = BytesIO()
    figure.savefig(full, dpi=DPI)
    with Image.open(full) as image:
        few = image.convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


def cost(run: Run) -> Figure | None:
    """CPU of a delivery in multiples of the floor: us, a bare CPython loop, each peer."""
    found = {section["workload"]: section for section in run["sections"]}
    for workloads in COST_WORKLOADS:
        sections = [found[name] for name in workloads if name in found]
        if sections:
            break
    else:
        return None
    names = sorted(_ratios(sections[0]), key=_ratios(sections[0]).__getitem__, reverse=True)
    most = max(max(_ratios(section).values()) for section in sections)
    figure, panels = _panels(len(names), len(sections), "CPU of one delivery, × a C send loop")
    for panel, section in zip(panels, sections, strict=True):
        ratios = _ratios(section)
        there = [name for name in names if name in ratios]
        rows = [names.index(name) for name in there]
        colours = [OURS if name.startswith(OUR_ROWS) else OTHER for name in there]
        panel.barh(rows, [ratios[name] for name in there], color=colours, height=0.68)
        for row, name in zip(rows, there, strict=True):
            at = ratios[name] + most * 0.015
            panel.text(at, row, f"{ratios[name]:.2f}", va="center", color=INK, bbox=CLEAR)
        _line(panel, len(names), f"C loop {_floor_us(section):.2f} µs")
        panel.set_xlim(0, most * 1.12)
        panel.set_title(_viewers(section), fontsize=10, color=INK)
    panels[0].set_yticks(range(len(names)), names)
    return figure


def aims(run: Run) -> Figure | None:
    """Every aim as a share of its bound: left of the line is met."""
    rows = [(section["workload"], aim) for section in run["sections"] for aim in section["aims"]]
    if not rows:
        return None
    rows.reverse()
    figure, [panel] = _panels(len(rows), 1, "Aims, as a share of their bounds: shorter is better")
    shares = [min(share(aim), SHARE_SHOWN) for _, aim in rows]
    edge = max([1.0, *shares])
    colours = [OURS if aim["met"] else MISSED for _, aim in rows]
    panel.barh(range(len(rows)), shares, color=colours, height=0.68)
    for row, (_, aim) in enumerate(rows):
        text = f"{_short(aim['value'])}   ({bound(aim)})" + ("" if aim["met"] else "   missed")
        panel.text(edge + 0.05, row, text, va="center", color=INK if aim["met"] else MISSED)
    _line(panel, len(rows), "bound")
    panel.set_xlim(0, edge * 1.7)
    panel.set_yticks(range(len(rows)), [_label(*row) for row in rows])
    return figure


def share(aim: dict[str, Any]) -> float:
    """A figure against its bound, so that 1 or less is met, whichever way the bound points."""
    if aim["at_most"] is None:
        return float(aim["at_least"] / aim["value"]) if aim["value"] else SHARE_SHOWN
    if not aim["at_most"]:
        return SHARE_SHOWN if aim["value"] > 0 else 0.0
    return float(aim["value"] / aim["at_most"])


def latency(run: Run) -> Figure | None:
    """From p50 to p99 of every row that an aim for its p99 was taken from, with the bound."""
    found = [
        (section["workload"], section["rows"][name], aim)
        for section in run["sections"]
        for aim in section["aims"]
        if "p99" in aim["what"] and (name := row_of(section, aim))
    ]
    if not found:
        return None
    found.reverse()
    figure, [panel] = _panels(1.6 * len(found), 1, "Latency from p50 to p99, in milliseconds")
    panel.set_xscale("log")
    for at, (_, row, aim) in enumerate(found):
        low, high = row["p50_ms"], row["p99_ms"]
        # An aim may be a multiple of another row's p99; the bound is drawn in milliseconds.
        most = aim["at_most"] * high / aim["value"]
        colour = OURS if aim["met"] else MISSED
        panel.barh(at, high - low, left=low, color=colour, height=0.34)
        text = f"{_short(low)} to {_short(high)}"
        panel.text(low / 1.06, at, text, ha="right", va="center", color=INK)
        panel.plot([most, most], [at - 0.3, at + 0.3], color=INK, linewidth=1.5)
        panel.text(most, at + 0.34, f"≤ {_short(most)}", ha="center", color=FAINT)
    panel.set_xlim(min(row["p50_ms"] for _, row, _ in found) / 3, None)
    panel.set_ylim(-0.6, len(found) - 0.3)
    panel.set_yticks(range(len(found)), [_label(workload, aim) for workload, _, aim in found])
    return figure


def _panels(rows: float, count: int, title: str) -> tuple[Figure, list[Axes]]:
    """A figure of `count` bare axes side by side, high enough for so many rows."""
    size = (WIDTH_INCHES, EDGE_INCHES + ROW_INCHES * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.012, ha="left", weight="bold", color=INK, fontsize=12)
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for panel in panels:
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0, labelcolor=INK, labelsize=10)
        panel.xaxis.set_visible(False)
    return figure, panels


def _line(panel: Axes, rows: int, text: str) -> None:
    """The line at 1, named above the bars."""
    panel.plot([1.0, 1.0], [-0.5, rows - 0.5], color=INK, linewidth=1.2)
    panel.set_ylim(-0.6, rows + 0.1)
    panel.text(1.0, rows - 0.4, text, ha="center", color=FAINT, fontsize=9)


def _ratios(section: Run) -> dict[str, float]:
    rows = section["rows"].items()
    return {name: row["ratio"] for name, row in rows if "floor" not in name}


def _viewers(section: Run) -> str:
    found = re.search(r"[\d,]+ viewers", section["title"])
    return found[0] if found else ""


def _floor_us(section: Run) -> float:
    return next(float(row["us"]) for name, row in section["rows"].items() if "floor" in name)


def _label(workload: str, aim: Run) -> str:
    return f"{workload}: {aim['what'].removesuffix(', ms')}"


def _short(value: float) -> str:
    return f"{value:,.2f}" if value < 10 and value % 1 else f"{value:,.0f}"
