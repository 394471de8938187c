"""scripts/bench measures what it says, tells all of it, and leaves nothing behind.

No figure is judged here. The rows that need nginx run where it is installed: scripts/install
--bench.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench import cli
from tests.bench.measure import Result, alternate, at_least, at_most
from tests.bench.origin import NGINX
from tests.bench.place import QUICK, Place, open_place
from tests.bench.processes import RowFailed, RowSkipped
from tests.bench.report import Report
from tests.fakeservice import until

BENCH = [sys.executable, "-m", "tests.bench", "--quick"]
WITH_SERVER = ("notice",)
WITH_NGINX = ("upload-https", "write-4k") if NGINX else ()


def start(root: Path, *rows: str) -> subprocess.Popen[str]:
    (root / "tmp").mkdir()
    return subprocess.Popen(
        [*BENCH, *rows, "--out", str(root / "out")],
        env=os.environ | {"TMPDIR": str(root / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(root: Path) -> list[Path]:
    return list((root / "tmp").iterdir())


def test_each_row_has_figures_in_the_table_and_in_the_json(root: Path) -> None:
    bench = start(root, *WITH_SERVER, *WITH_NGINX)
    table, complaint = bench.communicate(timeout=60)
    assert bench.returncode == 0, table + complaint
    document = json.loads((root / "out" / "bench.json").read_text())
    assert document["failures"] == {}
    assert document["machine"]["cpus"] == os.cpu_count()
    assert document["scale"]["runs"] == 1
    rows = {row["row"]: row for row in document["rows"]}
    assert set(rows) == {"notice-0.2s", *WITH_NGINX}
    for name, row in rows.items():
        check(row)
        assert f"\n{name} " in table
    assert left(root) == []


def check(row: dict[str, Any]) -> None:
    figures = [*row["ours"], *row["rival"], *row["ratios"], row["figure"]]
    assert row["ours"]
    assert all(math.isfinite(figure) for figure in figures)
    assert bool(row["rival"]) == bool(row["rival_name"]) == bool(row["ratios"])
    assert row["verdict"] in ("ok", "falls short")
    assert row["target"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_bench_leaves_nothing_behind(root: Path, number: signal.Signals) -> None:
    bench = start(root, "tail")
    until(lambda: str(root) in Path("/proc/self/mountinfo").read_text(), what="it has mounted")
    bench.send_signal(number)
    _, complaint = bench.communicate(timeout=30)
    assert bench.returncode == 130, complaint
    assert left(root) == []
    assert str(root) not in Path("/proc/self/mountinfo").read_text()
    assert not (root / "out").exists()


def test_a_row_that_does_not_exist_is_refused(root: Path) -> None:
    bench = start(root, "sp*d")
    _, complaint = bench.communicate(timeout=30)
    assert bench.returncode == 2
    assert "no row sp*d" in complaint


def test_a_row_that_fails_is_told_and_the_others_go_on(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_: Place) -> Iterator[Result]:
        yield Result("begun", "s", [1])
        raise RowFailed("no such server")

    def wrong(_: Place) -> Iterator[Result]:
        yield Result("never", "s", [1 / 0])

    rows = {"failing": failing, "wrong": wrong, "good": lambda _: iter([Result("good", "s", [2])])}
    monkeypatch.setattr(cli, "find_row", rows.__getitem__)
    report = Report(QUICK)
    with open_place(QUICK) as place:
        for name in rows:
            cli.measure(name, place, report)
    report.write(root / "bench.json")
    document = json.loads((root / "bench.json").read_text())
    assert [row["row"] for row in document["rows"]] == ["begun", "good"]
    assert document["failures"]["failing"] == "no such server"
    assert "ZeroDivisionError" in document["failures"]["wrong"]
    assert "no such server" in capsys.readouterr().out


def test_a_row_that_is_not_for_this_machine_is_told_with_the_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def skipped(_: Place) -> Iterator[Result]:
        yield from ()
        raise RowSkipped("only root can do that")

    monkeypatch.setattr(cli, "find_row", lambda _: skipped)
    report = Report(QUICK)
    with open_place(QUICK) as place:
        cli.measure("for-root", place, report)
    report.write(root / "bench.json")
    document = json.loads((root / "bench.json").read_text())
    assert document["skipped"] == {"for-root": "only root can do that"}
    assert document["failures"] == {}
    assert "skipped: only root can do that" in capsys.readouterr().out


def test_the_table_for_the_documentation_has_a_line_for_each_row() -> None:
    report = Report(QUICK)
    report.begin()
    report.add(Result("fast", "s", [1], [2], "rival", at_most(1.2)))
    report.add(Result("alone", "ms", [3]))
    _, _, *lines = report.markdown().splitlines()
    assert lines == [
        "| `fast` | 1.00 s | 2.00 s rival | 0.5 (0.5 to 0.5) | ≤ 1.2 | ok |",
        "| `alone` | 3.00 ms |  |  |  | |",
    ]


def test_a_target_is_about_the_median_of_the_pairs() -> None:
    result = Result("row", "MB/s", [90, 50, 80], [100, 100, 100], "rival", at_least(0.8))
    assert result.ratios == [0.9, 0.5, 0.8]
    assert result.verdict == "ok"
    assert Result("row", "s", [3, 1, 2], target=at_most(1.5)).verdict == "falls short"


def test_a_target_of_the_worst_counts_the_worst() -> None:
    result = Result("row", "ms", [1, 1, 9], target=at_most(5), worst=True)
    assert result.verdict == "falls short"


def test_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str, figure: float) -> float:
        order.append(name)
        return figure

    figures = alternate(2, lambda: side("a", 1), lambda: side("b", 2))
    assert order == ["a", "b", "a", "b"]
    assert figures == [[1, 1], [2, 2]]
