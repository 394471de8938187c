"""The table, as rows finish, and the JSON with every single figure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.machine import facts
from tests.bench.measure import Result
from tests.bench.place import Scale

WIDTHS = (18, 15, 27, 22, 8, 11)
HEADINGS = ("row", "ours", "rival", "ratio (min to max)", "target", "")


@dataclass
class Report:
    """What was found so far."""

    scale: Scale
    results: list[Result] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    _cells: list[Sequence[str]] = field(default_factory=list)

    def begin(self) -> None:
        self._line(HEADINGS)

    def add(self, result: Result) -> None:
        """A row, or a part of one, is done."""
        self.results.append(result)
        rival = f"{_figure(result.rival, result.unit)} {result.rival_name}" if result.rival else ""
        target = "" if result.target is None else str(result.target)
        self._line(
            (
                result.row,
                _figure(result.ours, result.unit),
                rival,
                _spread(result),
                target,
                result.verdict,
            )
        )

    def fail(self, row: str, error: str) -> None:
        """A row has no figures, or not all."""
        self.failures[row] = error
        print(f"{row:{WIDTHS[0]}}  failed: {error}", flush=True)

    def skip(self, row: str, reason: str) -> None:
        """A row cannot be measured here."""
        self.skipped[row] = reason
        print(f"{row:{WIDTHS[0]}}  skipped: {reason}", flush=True)

    def markdown(self) -> str:
        """The table of docs/PERFORMANCE.md."""
        head, *rows = self._cells
        lines = [head, ["---"] * len(head), *([f"`{row[0]}`", *row[1:]] for row in rows)]
        return "".join(f"| {' | '.join(cells)} |\n".replace("|  |\n", "| |\n") for cells in lines)

    def write(self, path: Path) -> None:
        """As JSON."""
        document = {
            "machine": facts(),
            "scale": {name: getattr(self.scale, name) for name in Scale.__slots__},
            "rows": [_document(result) for result in self.results],
            "failures": self.failures,
            "skipped": self.skipped,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")

    def _line(self, cells: Sequence[str]) -> None:
        self._cells.append(cells)
        padded = (f"{cell:{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
        print("  ".join(padded).rstrip(), flush=True)


def _document(result: Result) -> dict[str, object]:
    return {
        "row": result.row,
        "unit": result.unit,
        "ours": list(result.ours),
        "rival": list(result.rival),
        "rival_name": result.rival_name,
        "ratios": result.ratios,
        "figure": result.figure,
        "target": None if result.target is None else str(result.target),
        "verdict": result.verdict,
        "facts": dict(result.facts),
    }


def _figure(values: Sequence[float], unit: str) -> str:
    return f"{_number(statistics.median(values))} {unit}".rstrip()


def _spread(result: Result) -> str:
    """The ratios, or, without a rival, how far apart our figures are."""
    ends = f"{_number(min(result.compared))} to {_number(max(result.compared))}"
    if result.rival:
        return f"{_number(result.figure)} ({ends})"
    return f"({ends})" if len(result.ours) > 1 else ""


def _number(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 0.995 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
