"""What /proc says of processes, at one moment: each question is asked once.

Everything here is best effort: a process that is gone, or not ours to look at, has no signal and
waits for nothing. Names of processes are any bytes, so /proc is read as bytes.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PF_EXITING = 4
FLAGS_FIELD = 9 - 3
EXIT_CODE_FIELD = 52 - 3
"""Fields of /proc/PID/stat, counted from 1 in proc(5), here from the one after the name."""

WAITING_FOR_US = b"request_wait_answer"
"""The kernel function in which a caller of a FUSE filesystem sleeps."""

UNINTERESTING = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
"""By default these do nothing; programs that catch them do not mean to be interrupted."""

STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
"""A call that is answered soon need not fail for these: the process stops then."""

Threads = tuple[tuple[int, int], ...]
"""(process, thread) for each."""


class Processes:
    """A snapshot, taken as it is asked for. Use it for a moment only."""

    def __init__(self) -> None:
        self.exists = cache(_exists)
        self.waits = cache(_waits)
        self.pending = cache(_pending)
        self.waiting = cache(self._waiting)
        self.all_waiting = cache(self._all_waiting)

    def _waiting(self, ancestor: int) -> Threads:
        """The threads of `ancestor` and its descendants that wait for us."""
        found, processes = [], [ancestor]
        while processes:
            process = processes.pop()
            for thread in _numbers(f"/proc/{process}/task"):
                children = _read(f"/proc/{process}/task/{thread}/children")
                processes += [int(child) for child in children.split()]
                if self.waits(process, thread):
                    found.append((process, thread))
        return tuple(found)

    def _all_waiting(self) -> Threads:
        """The same for every process."""
        return tuple(
            (process, thread)
            for process in _numbers("/proc")
            for thread in _numbers(f"/proc/{process}/task")
            if self.waits(process, thread)
        )


def thread_group(thread: int) -> int:
    """The process of a thread; the thread's own number where that cannot be seen."""
    for line in _read(f"/proc/{thread}/status").splitlines():
        if line.startswith(b"Tgid:"):
            return int(line.split()[1])
    return thread


def dies_of_a_signal(process: int) -> bool:
    """Whether it is on its way out, killed by a signal."""
    text = _read(f"/proc/{process}/stat")
    fields = text[text.rfind(b")") + 2 :].split()
    if len(fields) <= EXIT_CODE_FIELD:
        return False
    exiting = int(fields[FLAGS_FIELD]) & PF_EXITING
    return bool(exiting and int(fields[EXIT_CODE_FIELD]) & 0x7F)


def holds(process: int, ino: int) -> bool:
    """Whether it has a descriptor on an inode."""
    wanted = f"ino:\t{ino}\n".encode()
    return any(
        wanted in _read(f"/proc/{process}/fdinfo/{number}")
        for number in _numbers(f"/proc/{process}/fdinfo")
    )


def _exists(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _waits(process: int, thread: int) -> bool:
    """Whether a thread waits for us to answer."""
    return WAITING_FOR_US in _read(f"/proc/{process}/task/{thread}/wchan")


def _pending(process: int, thread: int, stops: bool) -> bool:
    """Whether a signal that is neither blocked nor ignored is pending for a thread.

    `stops`: those that only stop it count, too.
    """
    masks = dict.fromkeys((b"SigPnd", b"ShdPnd", b"SigBlk", b"SigIgn"), 0)
    for line in _read(f"/proc/{process}/task/{thread}/status").splitlines():
        name, _, value = line.partition(b":")
        if name in masks:
            masks[name] = int(value, 16)
    held = masks[b"SigBlk"] | masks[b"SigIgn"]
    deadly = ~held | _mask((signal.SIGKILL, signal.SIGSTOP))
    meant = ~_mask(UNINTERESTING if stops else UNINTERESTING | STOPS)
    return bool((masks[b"SigPnd"] | masks[b"ShdPnd"]) & deadly & meant)


def _mask(signals: Iterable[signal.Signals]) -> int:
    return sum(1 << (number - 1) for number in signals)


def _numbers(folder: str) -> Iterator[int]:
    try:
        names = [path.name for path in Path(folder).iterdir()]
    except OSError:
        return
    for name in names:
        if name.isdecimal():
            yield int(name)


def _read(path: str) -> bytes:
    """A file of /proc, empty where its process has gone or is another's."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
