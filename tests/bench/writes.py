"""Small writes into an input, beside a filesystem that does nothing with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.compiling import compiled
from tests.bench.measure import Result, alternate, at_least, rates
from tests.bench.place import Place
from tests.bench.processes import eventually, module, run, started


def write_4k(place: Place) -> Iterator[Result]:
    """Writes of 4 KiB."""
    return _written(place, "write-4k", 4096)


def fputc(place: Place) -> Iterator[Result]:
    """One byte at a time through stdio."""
    return _written(place, "fputc", 0)


def _written(place: Place, row: str, unit: int) -> Iterator[Result]:
    """The time of the writes, without the close: there the rival has nothing to do."""
    program, amount = compiled(place, "fputc"), place.scale.written
    dropping = place.shared("dropping", lambda: _dropping(place.folder / "dropping"))
    closes: list[float] = []
    block: list[int] = []

    def ours() -> float:
        execution = place.https.make()
        file = execution / "input" / "written"
        written, closed = _seconds(program, file, amount, unit)
        closes.append(closed - written)
        block.append(int(run(["stat", "-c", "%o", file])))
        run(["rmdir", execution])
        return written

    times = alternate(
        place.scale.runs, ours, lambda: _seconds(program, dropping / "f", amount, unit)[0]
    )
    yield Result(
        row,
        "MB/s",
        rates(amount / 1e6, times[0]),
        rates(amount / 1e6, times[1]),
        "dropping pyfuse3",
        at_least(0.9),
        facts={"seconds of close": closes, "st_blksize": block[0]},
    )


def _seconds(program: Path, file: Path, amount: int, unit: int) -> tuple[float, float]:
    """Until all is written, and until it is closed."""
    written, closed = run([program, file, str(amount), str(unit)]).split()
    return float(written), float(closed)


@contextmanager
def _dropping(mountpoint: Path) -> Iterator[Path]:
    mountpoint.mkdir()
    with started(module("dropfs", mountpoint)):
        mounts = Path("/proc/self/mountinfo")
        eventually(lambda: f" {mountpoint} " in mounts.read_text(), "the rival has mounted")
        try:
            yield mountpoint
        finally:
            run(["fusermount3", "-u", mountpoint])
