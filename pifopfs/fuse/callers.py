"""What /proc says of the processes that make calls.

A process that waits for our answer cannot be killed until it has one, so we look whether a signal
waits for it. Everything here is best effort: a process that is gone, or not ours to look at, has
no signal and was not killed.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path

PF_EXITING = 4
FLAGS_FIELD = 9 - 3
EXIT_CODE_FIELD = 52 - 3
"""Fields of /proc/PID/stat, counted from 1 in proc(5), here from the one after the name."""

WAITING_FOR_US = "request_wait_answer"
"""The kernel function in which a caller of a FUSE filesystem sleeps."""


UNINTERESTING = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
"""By default these do nothing; programs that catch them do not mean to be interrupted."""


def _mask(signals: Iterable[signal.Signals]) -> int:
    return sum(1 << (number - 1) for number in signals)


def was_killed(pid: int) -> bool:
    """Whether the process is exiting because of a signal: its files close without its doing."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    fields = text[text.rindex(")") + 2 :].split()
    exit_code = int(fields[EXIT_CODE_FIELD])
    return bool(int(fields[FLAGS_FIELD]) & PF_EXITING and exit_code & 0x7F)


def has_signal(pid: int) -> bool:
    """Whether a signal that is neither blocked nor ignored is pending for the process.

    Also for those of its threads and descendants that wait for our answer: a shell opens a file
    that its child then reads.
    """
    return _pending(pid, pid) or any(
        _pending(process, thread) for process, thread in _waiting(pid) if thread != pid
    )


def _waiting(pid: int) -> list[tuple[int, int]]:
    """(process, thread) for the threads of `pid` and its descendants that wait for an answer."""
    found, processes = [], [pid]
    while processes:
        process = processes.pop()
        try:
            threads = [int(path.name) for path in Path(f"/proc/{process}/task").iterdir()]
            for thread in threads:
                task = Path(f"/proc/{process}/task/{thread}")
                processes += [int(child) for child in (task / "children").read_text().split()]
                if WAITING_FOR_US in (task / "wchan").read_text():
                    found.append((process, thread))
        except (OSError, ValueError):
            continue
    return found


def _pending(process: int, thread: int) -> bool:
    try:
        text = Path(f"/proc/{process}/task/{thread}/status").read_text()
    except OSError:
        return False
    masks = dict.fromkeys(("SigPnd", "ShdPnd", "SigBlk", "SigIgn"), 0)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in masks:
            masks[name] = int(value, 16)
    held = masks["SigBlk"] | masks["SigIgn"] | _mask(UNINTERESTING)
    pending = masks["SigPnd"] | masks["ShdPnd"]
    return bool(pending & (~held | _mask((signal.SIGKILL, signal.SIGSTOP))))
