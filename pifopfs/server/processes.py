"""The traces by which a later server finds what an earlier one has launched."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from pifopfs.machine import look, processes

ROUNDS = 20
"""Looks for processes that were started while others were killed."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The leader of a session, told from any other process before or after a reboot."""

    boot: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.boot}:{self.pid}:{self.started}"

    @classmethod
    def parse(cls, text: str) -> Trace:
        """Raises ValueError."""
        boot, pid, started = text.split(":")
        return cls(boot, int(pid), int(started))

    @classmethod
    def of(cls, pid: int) -> Trace:
        """The trace of a process that is there."""
        process = look(pid)
        return cls(boot_id(), pid, process.started if process else 0)

    @property
    def there(self) -> bool:
        """Whether it still runs, or is a zombie."""
        found = look(self.pid)
        return self.boot == boot_id() and found is not None and found.started == self.started


def boot_id() -> str:
    """Tells this boot of the machine from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def kill_session(trace: Trace) -> None:
    """Kill what is left of a session, also where its leader has died; nothing of any other.

    A number is not given to a new process while a session has it, so that the members of a
    session without a leader are known by it.
    """
    if trace.boot != boot_id():
        return
    leader = look(trace.pid)
    if leader is not None and leader.started != trace.started:
        return
    for _ in range(ROUNDS):
        members = [process for process in processes() if process.session == trace.pid]
        if all(process.dead for process in members):
            return
        for process in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)


def marked(mark: str) -> list[int]:
    """The processes whose command line has this word, save zombies: those have none."""
    word = b"\0" + mark.encode() + b"\0"
    found = []
    for process in processes():
        with contextlib.suppress(OSError):  # it has ended
            if word in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                found.append(process.pid)
    return found
