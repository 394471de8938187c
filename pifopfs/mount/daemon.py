"""Into the background: the caller waits until the mount is usable, or hears why it is not.

The child tells through a pipe. It is forked before any thread or event loop exists.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the mount began: exit code 0 when it is usable."""

    exit_code: int
    message: str = ""


def open_standard_streams() -> None:
    """Give those that are closed (`>&-`) /dev/null: the next file would get their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def in_background(
    run: Callable[[Callable[[], None]], Outcome],
    log_file: Path,
    keep: Collection[int] = (),
    *,
    stay: bool = False,
) -> Outcome:
    """Run `run(ready)` in a daemon; return once it has called `ready`, or has ended before.

    Of the descriptors that this process has, it gets the standard ones and `keep`. `stay`: it
    leaves the process group when it is ready, not before.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_daemon(run, writing, log_file, keep, stay=stay)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            text = pipe.read()
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    if not text:
        return Outcome(1, f"the daemon died before the mount was usable; see {log_file}")
    return Outcome(**json.loads(text))


def _become_daemon(
    run: Callable[[Callable[[], None]], Outcome],
    writing: int,
    log_file: Path,
    keep: Collection[int],
    *,
    stay: bool,
) -> NoReturn:
    """In the child: leave the terminal, run, and exit without the parent's cleanup."""
    told = False

    def tell(outcome: Outcome) -> None:
        nonlocal told
        if not told:
            told = True
            if stay:
                os.setsid()
            _redirect(log_file)
            message = {"exit_code": outcome.exit_code, "message": outcome.message}
            with contextlib.suppress(BrokenPipeError):  # who waited has gone
                os.write(writing, json.dumps(message).encode())
            os.close(writing)

    exit_code = 1
    try:
        _close_inherited({writing, *keep})
        if not stay:
            os.setsid()
        os.chdir("/")
        outcome = run(lambda: tell(Outcome(0)))
        exit_code = outcome.exit_code
        tell(outcome)
    except BaseException:  # noqa: BLE001  # nobody above could report it
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(exit_code)


def _close_inherited(keep: Collection[int]) -> None:
    """Let go of what the caller's shell had open: the mount would hold its locks for life."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in keep:
            with contextlib.suppress(OSError):  # that of the listing itself is closed
                os.close(number)


def _redirect(log_file: Path) -> None:
    """Let go of the terminal: standard output and error go to the log."""
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, descriptor in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(source, descriptor)
