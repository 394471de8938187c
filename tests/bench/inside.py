"""What happens in a mount and is timed there, in a process of its own; it prints JSON.

`python -m tests.bench.inside COMMAND ARGUMENT…`: the commands are the functions with a `command_`
before their name.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 32
"""Threads of a crowd."""


def command_random(path: str, count: str, block: str) -> dict[str, float]:
    """Seconds from before the open until the first of the reads is done, and until the last is."""
    size, unit = os.stat(path).st_size, int(block)
    places = random.Random(size)
    begun = time.perf_counter()
    file = os.open(path, os.O_RDONLY)
    first = 0.0
    for _ in range(int(count)):
        read = os.pread(file, unit, places.randrange(size - unit))
        assert len(read) == unit
        first = first or time.perf_counter() - begun
    whole = time.perf_counter() - begun
    os.close(file)
    return {"first": first, "all": whole}


def command_mkdirs(folder: str, first: str, last: str) -> float:
    """Seconds for new folders with these numbers."""
    begun = time.perf_counter()
    for number in range(int(first), int(last)):
        os.mkdir(f"{folder}/j{number}")
    return time.perf_counter() - begun


def command_notice(executions: str, length: str, times: str) -> list[float]:
    """Seconds between the end of a job, as it tells it itself, and the end of a read of `wait`."""
    late = []
    for number in range(int(times)):
        execution = Path(executions, f"n{length}-{number}".replace(".", "_"))
        execution.mkdir()
        (execution / "input" / "a").write_text(length)
        (execution / "start").write_text("1\n")
        (execution / "wait").read_text()
        noticed = time.time()
        late.append(noticed - float((execution / "output" / "r").read_text()))
        execution.rmdir()
    return late


def command_write(folder: str, count: str, source: str) -> dict[str, float]:
    """Seconds for so many files, each with what `source` has."""
    content = Path(source).read_bytes()
    return _crowd(count, lambda number: Path(folder, f"c{number}").write_bytes(content))


def command_read(folder: str, count: str) -> dict[str, float]:
    """Seconds for as many that are read, and their bytes."""
    return _crowd(count, lambda number: len(Path(folder, f"c{number}").read_bytes()))


def _crowd(count: str, work: Callable[[int], int]) -> dict[str, float]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        begun = time.perf_counter()
        total = sum(threads.map(work, range(int(count))))
        return {"seconds": time.perf_counter() - begun, "bytes": total}


def main(words: Sequence[str]) -> None:
    print(json.dumps(globals()[f"command_{words[0]}"](*words[1:])))


if __name__ == "__main__":
    main(sys.argv[1:])
