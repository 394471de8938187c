"""The raiser's process: started when there is something to tell, ended when there has been nothing
for a while.

The daemon cannot raise events itself: its own calls into the mount would wait for itself. Whatever
becomes of the process, nothing else of the mount waits for it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from pifopfs.mount import raiser
from pifopfs.tree.job import Job

log = logging.getLogger(__name__)

LINGER = 30.0
"""Seconds without an event after which the process ends."""
ANSWER = 30.0
"""Seconds that it may take for the events of one file."""
PAUSE = 1.0
"""Seconds before the next one is started, where one has failed or could not be started."""
MOST_TRIES = 5
"""How often the events of one file are tried that a process has died of."""
LAST = 2.0
"""Seconds that it has to end when it is killed."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is to be told of one file."""

    job: Job
    path: str
    """Within the execution's directory."""
    events: int

    @property
    def place(self) -> str:
        """Its path within the mount."""
        return f"executions/{self.job.execution.name}/{self.path}"


class Announcements:
    """What is to be told: events of inotify(7) by file. Those of one file become one."""

    def __init__(self) -> None:
        self._events: dict[tuple[Job, str], int] = {}
        self._tries: dict[tuple[Job, str], int] = {}
        """Of those that have failed."""
        self._some = trio.Event()

    def add(self, job: Job, path: str, events: int) -> None:
        """`path`: within the execution's directory."""
        self._events[job, path] = self._events.get((job, path), 0) | events
        self._some.set()

    async def some(self) -> None:
        """Return when there are some."""
        await self._some.wait()

    def pop(self) -> Announcement | None:
        """The oldest; None where there is none."""
        while self._events:
            job, path = key = next(iter(self._events))
            events = self._events.pop(key)
            if not job.execution.dead:
                return Announcement(job, path, events)
        self._some = trio.Event()
        return None

    def again(self, announced: Announcement) -> None:
        """It has failed, which may pass: after the others, a few times."""
        tries = self._tries[announced.job, announced.path] = (
            self._tries.pop((announced.job, announced.path), 0) + 1
        )
        if tries < MOST_TRIES:
            self.add(announced.job, announced.path, announced.events)
        else:
            self.over(announced)

    def over(self, announced: Announcement) -> None:
        """It is told, or given up."""
        self._tries.pop((announced.job, announced.path), None)


class Raising:
    """Raises what is announced, with a process where there is something to raise."""

    def __init__(
        self, mountpoint: Path, device: int, known_as: Callable[[int | None], None]
    ) -> None:
        """`known_as` is told the number of the process, and None when there is none."""
        self._command = [
            sys.executable, "-I", "-S", raiser.__file__, str(mountpoint), str(device),
        ]  # fmt: skip
        self._known_as = known_as
        self._complained: set[int] = set()
        """Errnos that the log tells already."""
        self.announcements = Announcements()

    async def run(self) -> None:
        """Raise what is announced, until cancelled."""
        while True:
            await self.announcements.some()
            try:
                async with self._process() as process:
                    await self._serve(process)
            except (OSError, trio.TooSlowError, trio.BrokenResourceError, ValueError) as error:
                log.info("the events of a change are not told: %r", error)
                await trio.sleep(PAUSE)

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[trio.Process]:
        environment = {
            name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ
        }
        process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
        self._known_as(process.pid)
        try:
            yield process
        finally:
            self._known_as(None)
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with trio.CancelScope(shield=True):
                        await stream.aclose()
            with trio.move_on_after(LAST, shield=True):
                await process.wait()

    async def _serve(self, process: trio.Process) -> None:
        """Return when there has been nothing to raise for a while.

        Raises TooSlowError, BrokenResourceError, ValueError where the process fails.
        """
        while True:
            with trio.move_on_after(LINGER) as idle:
                await self.announcements.some()
            if idle.cancelled_caught or process.returncode is not None:  # somebody has killed it
                return
            announced = self.announcements.pop()
            if announced is not None:
                await self._tell(process, announced)

    async def _tell(self, process: trio.Process, announced: Announcement) -> None:
        try:
            with trio.fail_after(ANSWER):
                number = await _raise(process, announced.place, announced.events)
        except BaseException:
            self.announcements.again(announced)
            raise
        self.announcements.over(announced)
        if number not in {0, *self._complained}:
            self._complained.add(number)
            log.info("the events on %s are not told: %s", announced.place, os.strerror(number))


async def _raise(process: trio.Process, path: str, events: int) -> int:
    """The errno of what was in the way, 0 where the events are raised."""
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    await process.stdin.send_all(b"%d %s\0" % (events, os.fsencode(path)))
    answer = b""
    while not answer.endswith(b"\n"):
        more = await process.stdout.receive_some()
        if not more:
            raise ValueError("the process that raises events has ended")
        answer += more
    return int(answer)
