"""Processes that the bench starts: each has a deadline, and none outlives the bench.

Whatever touches a mount runs in one of them, so that a mount that hangs stops no more than a row.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 120.0
"""Seconds that a command may take where nothing else is said."""
PROJECT = Path(__file__).parent.parent.parent
Command = Sequence[object]
"""A program and its arguments, each as `str` gives it."""
END_PATIENCE = 10.0
"""Seconds that a process has to end, before it is killed, and to be gone then."""


def module(name: str, *words: object) -> list[str]:
    """The command that runs a module beside this one."""
    return [sys.executable, "-m", f"tests.bench.{name}", *map(str, words)]


class RowFailed(Exception):
    """A row has no figures; the message says why."""


class RowSkipped(Exception):
    """A row cannot be measured on this machine; the message says why."""


def run(command: Command, *, within: float = PATIENCE, env: Mapping[str, str] | None = None) -> str:
    """What it prints. Raises RowFailed where it fails, or takes longer than `within` seconds."""
    return _finished(_start(command, env), within)


def timed(
    command: Command, *, within: float = PATIENCE, env: Mapping[str, str] | None = None
) -> float:
    """The seconds it takes. Raises RowFailed."""
    begun = time.perf_counter()
    run(command, within=within, env=env)
    return time.perf_counter() - begun


def run_together(commands: Sequence[Command], *, within: float) -> list[str]:
    """What each prints, all started at once. Raises RowFailed."""
    processes = [_start(command) for command in commands]
    end = time.monotonic() + within
    try:
        return [_finished(each, max(0.1, end - time.monotonic())) for each in processes]
    finally:
        for process in processes:
            _end(process)


@contextmanager
def started(
    command: Command, *, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that runs while the block does; it can be written to and read from."""
    process = _start(command, env, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        _end(process)


def eventually(condition: object, what: str, *, within: float = 20.0) -> None:
    """Wait until `condition()` is true. Raises RowFailed."""
    assert callable(condition)
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise RowFailed(f"not within {within:g} s: {what}")
        time.sleep(0.01)


def _start(
    command: Command,
    env: Mapping[str, str] | None = None,
    *,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """In a session of its own: Ctrl-C is for the bench, which ends all else in order."""
    try:
        return subprocess.Popen(
            [str(word) for word in command],
            env={"PYTHONPATH": str(PROJECT), **(os.environ if env is None else env)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise RowFailed(f"{error.filename} is missing") from error


def _finished(process: subprocess.Popen[str], within: float) -> str:
    try:
        printed, complaint = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        raise RowFailed(f"not done within {within:g} s: {_words(process)}") from None
    finally:
        _end(process)
    if process.returncode != 0:
        reason = complaint.strip() or printed.strip() or "it says nothing"
        reason = reason.splitlines()[-1]  # of a traceback, the error
        raise RowFailed(f"{_words(process)} ended with {process.returncode}: {reason[-400:]}")
    return printed


def read_line(process: subprocess.Popen[str], *, within: float = 30.0) -> str:
    """The next line that it prints. Raises RowFailed where none comes in time."""
    assert process.stdout is not None
    assert process.stderr is not None
    alarm = threading.Timer(within, process.kill)
    alarm.start()
    try:
        line = process.stdout.readline()
        if not line:
            reason = process.stderr.read().strip() or "it says nothing"
            raise RowFailed(f"{_words(process)} ended: {reason.splitlines()[-1]}")
        return line
    finally:
        alarm.cancel()


def _words(process: subprocess.Popen[str]) -> str:
    assert isinstance(process.args, list)
    return " ".join(map(str, process.args))[:200]


def _end(process: subprocess.Popen[str]) -> None:
    """Nothing is left of it, unless the kernel keeps it."""
    for end in (process.terminate, process.kill):
        if process.poll() is None:
            end()
            try:
                process.wait(END_PATIENCE)
            except subprocess.TimeoutExpired:
                continue
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for each in found:
        found.extend(child for child, parent in parents.items() if parent == each)
    return found


TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that these processes, and those they came after, have taken by now."""
    return sum(sum(cpu_times(pid)) for pid in pids)


def cpu_times(pid: int) -> tuple[float, float]:
    """Processor seconds of a process, and of those it has started and seen the end of."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0, 0.0
    user, system, of_user, of_system = map(int, fields[11:15])
    return (user + system) / TICKS, (of_user + of_system) / TICKS


def busy_seconds() -> float:
    """Processor seconds that this whole machine has been at work."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / TICKS


def memory(pids: Sequence[int]) -> dict[str, float]:
    """VmHWM and VmRSS of the first, with what the others have of their own (Private_Dirty): they
    are forked from it. In megabytes of 2^20.
    """
    first, *others = pids
    own = sum(_field(pid, "smaps_rollup", "Private_Dirty") for pid in others)
    return {name: _field(first, "status", name) + own for name in ("VmHWM", "VmRSS")}


def _field(pid: int, file: str, name: str) -> float:
    """Megabytes that a file of /proc/PID tells; none where the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(next(found, "0")) / 1024
