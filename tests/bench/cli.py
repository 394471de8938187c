"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import fnmatch
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.bench.place import QUICK, Place, Scale, open_place
from tests.bench.plots import write_plots
from tests.bench.processes import RowFailed, RowSkipped
from tests.bench.report import Report
from tests.bench.rows import ROWS, find_row

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Measure, print, write. 1 where a row has failed; falling short is no failure."""
    options = _parser().parse_args()
    patterns = options.rows or ["*"]
    unknown = [pattern for pattern in patterns if not fnmatch.filter(ROWS, pattern)]
    if unknown:
        print(f"there is no row {', '.join(unknown)}, only {', '.join(ROWS)}", file=sys.stderr)
        return 2
    rows = [name for name in ROWS if any(fnmatch.fnmatch(name, each) for each in patterns)]
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    scale = _scale(options)
    report = Report(scale)
    report.begin()
    try:
        with open_place(scale) as place:
            for name in rows:
                measure(name, place, report)
    except KeyboardInterrupt:  # by _interrupt
        print("interrupted", file=sys.stderr)
        return 130
    except RowFailed as error:
        report.fail("clean-up", str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    report.write(options.out / "bench.json")
    (options.out / "bench.md").write_text(report.markdown())
    written = write_plots(report.results, options.out)
    print("", report.markdown(), options.out / "bench.json", *written, sep="\n")
    return 1 if report.failures else 0


def measure(name: str, place: Place, report: Report) -> None:
    """Add the results of a row to the report, or why there are none."""
    try:
        for result in find_row(name)(place):
            report.add(result)
    except RowSkipped as error:
        report.skip(name, str(error))
    except RowFailed as error:
        report.fail(name, str(error))
    except Exception as error:  # whatever it is: the other rows can be measured
        report.fail(name, f"{type(error).__name__}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="How fast pifopfs is, beside what users would take instead.",
    )
    parser.add_argument(
        "rows",
        metavar="ROW",
        nargs="*",
        help=f"or a pattern, such as 'slurm-*', of {', '.join(ROWS)} (all)",
    )
    parser.add_argument("--runs", type=int, help=f"of each side, in turns ({Scale().runs})")
    parser.add_argument("--size", type=_size, help="of a large body, such as 256MiB (1GiB)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/bench"),
        help="folder for JSON and plots (%(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="little of everything: does it work?")
    return parser


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)?", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 256MiB")
    return int(match[1]) << {None: 0, "KiB": 10, "MiB": 20, "GiB": 30}[match[2]]


def _scale(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else Scale()
    given = {"runs": options.runs, "size": options.size}
    scale = replace(scale, **{name: value for name, value in given.items() if value})
    return replace(scale, sizes=tuple(size for size in scale.sizes if size <= scale.size))


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End in order, which nothing then interrupts."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
