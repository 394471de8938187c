"""Plots of what has a curve: throughput by size, time by the number of known executions."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BODIES = {"read": "Cold reads of an output", "upload": "Uploads of an input"}
LOOKS = {"ls": "ls -l", "find": "find"}
MEGA = 1e6


def write_plots(results: Sequence[Result], folder: Path) -> list[Path]:
    """bench.png and bench.svg, with a panel for each curve that was measured; none without."""
    drawn = [each for each in _panels(results) if each[1]]
    if not drawn:
        return []
    from matplotlib.figure import Figure  # what has no curve does without

    figure = Figure(figsize=(5 * len(drawn), 4), layout="constrained")
    for axes, (kind, points) in zip(
        figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True
    ):
        (_draw_looks if kind == "looks" else _draw_bodies)(axes, kind, points)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    paths = [folder / "bench.png", folder / "bench.svg"]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def _panels(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    for kind in BODIES:
        yield kind, [each for each in results if each.facts.get("plot") == kind]
    yield "looks", [each for each in results if each.facts.get("plot") in LOOKS]


def _draw_bodies(axes: Axes, kind: str, points: Sequence[Result]) -> None:
    """Megabytes a second by the size of the body, both axes logarithmic."""
    sizes = [float(str(each.facts["bytes"])) for each in points]
    for name, figures in {
        "pifopfs, cp": [each.ours for each in points],
        "curl": [each.rival for each in points],
    }.items():
        seconds = [statistics.median(each) / 1e3 for each in figures]
        rates = [size / MEGA / each for size, each in zip(sizes, seconds, strict=True)]
        axes.plot(sizes, rates, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(each.row).partition("-")[2] for each in points])
    axes.set(title=f"{BODIES[kind]}, https", xlabel="size", ylabel="MB/s")


def _draw_looks(axes: Axes, kind: str, points: Sequence[Result]) -> None:
    """Milliseconds by the number of executions, both axes logarithmic."""
    for tool, label in LOOKS.items():
        own = [each for each in points if each.facts["plot"] == tool]
        counts = [float(str(each.facts["executions"])) for each in own]
        axes.plot(counts, [each.figure for each in own], marker="o", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(title="Looking, warm", xlabel="known executions", ylabel="ms")
