"""The small C programs beside this module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.place import Place
from tests.bench.processes import run

SOURCES = Path(__file__).parent


def compiled(place: Place, name: str) -> Path:
    """The program of NAME.c. Raises RowFailed."""
    return place.shared(f"{name}.c", lambda: _compiling(place.folder / name))


@contextmanager
def _compiling(program: Path) -> Iterator[Path]:
    run(["gcc", "-O2", "-Wall", "-o", program, SOURCES / f"{program.name}.c"])
    yield program
