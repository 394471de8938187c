"""What /proc says of the processes that make calls.

A process that waits for our answer cannot be killed until it has one, so we look whether a signal
waits for it. Everything here is best effort: a process that is gone, or not ours to look at, has
no signal and was not killed. Names of processes are any bytes, so /proc is read as bytes.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PF_EXITING = 4
FLAGS_FIELD = 9 - 3
EXIT_CODE_FIELD = 52 - 3
"""Fields of /proc/PID/stat, counted from 1 in proc(5), here from the one after the name."""

WAITING_FOR_US = b"request_wait_answer"
"""The kernel function in which a caller of a FUSE filesystem sleeps."""


UNINTERESTING = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
"""By default these do nothing; programs that catch them do not mean to be interrupted."""


def _mask(signals: Iterable[signal.Signals]) -> int:
    return sum(1 << (number - 1) for number in signals)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opened a file: later requests do not say who asks.

    The thread that opened it may have ended since, its process, too; a child goes on with it.
    """

    process: int
    thread: int
    ino: int
    """The file's inode number, by which others that hold it are found."""

    @classmethod
    def of(cls, thread: int, ino: int) -> Caller:
        """`thread` is what the kernel passes on as the caller."""
        for line in _read(f"/proc/{thread}/status").splitlines():
            if line.startswith(b"Tgid:"):
                return cls(int(line.split()[1]), thread, ino)
        return cls(thread, thread, ino)

    def was_killed(self) -> bool:
        """Whether the file closes because its process dies of a signal, without its doing."""
        if _exists(self.process):
            return _dies_of_a_signal(self.process)
        return any(_dies_of_a_signal(process) for process, _ in _all_waiting())

    def has_signal(self) -> bool:
        """Whether a signal that is neither blocked nor ignored is pending for who waits.

        That may be a descendant: a shell opens a file that its child then reads. Where the
        opener is gone, it is anybody who waits for us and holds the file.
        """
        if _exists(self.process):
            return _pending(self.process, self.thread) or any(
                _pending(process, thread) for process, thread in _waiting(self.process)
            )
        return any(
            _pending(process, thread) and _holds(process, self.ino)
            for process, thread in _all_waiting()
        )


def _read(path: str) -> bytes:
    """A file of /proc, empty where its process has gone or is another's."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _exists(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _dies_of_a_signal(process: int) -> bool:
    text = _read(f"/proc/{process}/stat")
    fields = text[text.rfind(b")") + 2 :].split()
    if len(fields) <= EXIT_CODE_FIELD:
        return False
    exiting = int(fields[FLAGS_FIELD]) & PF_EXITING
    return bool(exiting and int(fields[EXIT_CODE_FIELD]) & 0x7F)


def _numbers(folder: str) -> Iterator[int]:
    try:
        names = [path.name for path in Path(folder).iterdir()]
    except OSError:
        return
    for name in names:
        if name.isdecimal():
            yield int(name)


def _waits(process: int, thread: int) -> bool:
    return WAITING_FOR_US in _read(f"/proc/{process}/task/{thread}/wchan")


def _waiting(ancestor: int) -> Iterator[tuple[int, int]]:
    """(process, thread) for the threads of `ancestor` and its descendants that wait for us."""
    processes = [ancestor]
    while processes:
        process = processes.pop()
        for thread in _numbers(f"/proc/{process}/task"):
            children = _read(f"/proc/{process}/task/{thread}/children")
            processes += [int(child) for child in children.split()]
            if _waits(process, thread):
                yield process, thread


def _all_waiting() -> Iterator[tuple[int, int]]:
    """The same for every process."""
    for process in _numbers("/proc"):
        for thread in _numbers(f"/proc/{process}/task"):
            if _waits(process, thread):
                yield process, thread


def _holds(process: int, ino: int) -> bool:
    """Whether it has a descriptor on the inode."""
    wanted = f"ino:\t{ino}\n".encode()
    return any(
        wanted in _read(f"/proc/{process}/fdinfo/{number}")
        for number in _numbers(f"/proc/{process}/fdinfo")
    )


def _pending(process: int, thread: int) -> bool:
    masks = dict.fromkeys((b"SigPnd", b"ShdPnd", b"SigBlk", b"SigIgn"), 0)
    for line in _read(f"/proc/{process}/task/{thread}/status").splitlines():
        name, _, value = line.partition(b":")
        if name in masks:
            masks[name] = int(value, 16)
    held = masks[b"SigBlk"] | masks[b"SigIgn"] | _mask(UNINTERESTING)
    pending = masks[b"SigPnd"] | masks[b"ShdPnd"]
    return bool(pending & (~held | _mask((signal.SIGKILL, signal.SIGSTOP))))
