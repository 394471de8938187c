"""What runs on nodes print, read as it comes from the files that the nodes write.

A filesystem of many machines may be slow, so looks are made in a thread: in one for all runs whose
turn it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import trio

from pifopfs.server.engines.slurm.files import End, Files

log = logging.getLogger(__name__)

READ, MOST_READS = 1 << 16, 64
"""Bytes at a time, and how often in one look: others wait for theirs."""
SOONEST, LATEST = 0.05, 1.0
"""Seconds between looks at a run: from just after something has come, to when nothing does."""
GROWTH = 1.25
WAITING = 10.0
"""Seconds between looks while Slurm does not say that it runs."""
PATIENCE = 60.0
"""Seconds for which looks may fail, and in which the last of it must be seen here, once its job has
ended.
"""


class Following:
    """Of one run, from the beginning on, first what is told of the queue. Nothing before the
    program begins: that is not the program's.
    """

    def __init__(
        self,
        files: Files,
        output: Callable[[bytes], None],
        begun: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        """`begun` is called when the program begins, `ended` when its exit code is there: Slurm is
        about to tell of that.
        """
        self._files = files
        self._output = output
        self._tell_begun = begun
        self._tell_ended: Callable[[], None] | None = ended
        self._begun = False
        self._end: End | None = None
        self._waited = _Part(files.waited)
        self._printed = _Part(files.printed)
        self._lock = Lock()
        self._failed = trio.Event()
        self._failure: BaseException | None = None
        self._failing = 0.0
        """Since when looks have failed."""
        self.pause = SOONEST

    async def run(self, looks: Looks, soon: trio.Event) -> None:
        """Have it looked at, until cancelled, or until that fails: `finish` raises it. `soon`: it
        may begin now; looks are rare before.
        """
        self.looked(await trio.to_thread.run_sync(self.look))
        while not (soon.is_set() or self._begun or self._failure):
            with trio.move_on_after(WAITING):
                await soon.wait()
            self.looked(await trio.to_thread.run_sync(self.look))
        with looks.at(self):
            await self._failed.wait()

    async def finish(self, *, told: bool) -> None:
        """The rest, once its job has ended: as much as it says that there is. `told`: it does.

        Raises what looks have failed with.
        """
        with trio.move_on_after(PATIENCE):
            while self._failure is None:
                news = await trio.to_thread.run_sync(self.look)
                self.looked(news)
                if news is False and self._all_seen(told=told):
                    return
                if news is not True:
                    await trio.sleep(SOONEST)
        if self._failure is not None:
            raise self._failure
        log.warning("%s: the last of what was printed does not come", self._files.folder)

    def _all_seen(self, *, told: bool) -> bool:
        if self._end is None:
            return not told
        return not self._begun or self._printed.at >= self._end.printed

    def tell(self, line: str) -> None:
        """Put a line of the server's own before all that is printed."""
        try:
            with self._lock:
                if self._files.began() is not None:
                    return
                with self._files.waited.open("a") as file:
                    file.write(line)
        except OSError as error:  # a full disk: the run itself may still do
            log.warning("%s cannot be told in its log: %s", line.strip(), error)
            return
        self.looked(self.look())

    def look(self) -> bool | OSError | _NotTaken:
        """Whether there was something new, which was passed on. For a thread. One run whose files
        are not as they should be is no trouble for the others.
        """
        try:
            with self._lock:
                return self._look()
        except (OSError, _NotTaken) as error:
            return error

    def _look(self) -> bool:
        some = False
        if not self._begun:
            some = self._waited.pass_on(self._output)
            self._begun = self._files.said() == "ready"
        if self._begun:
            some = self._printed.pass_on(self._output) or some
        if not some:
            self._end = self._files.end()
        return some

    def looked(self, news: bool | OSError | _NotTaken) -> None:
        """Tell what a look has found. What fails may pass, such as too many open files."""
        if isinstance(news, OSError | _NotTaken):
            self._failed_with(news)
            return
        self._failing = 0.0
        self.pause = SOONEST if news else min(LATEST, self.pause * GROWTH)
        if self._begun:
            self._tell_begun()
        if self._end is not None and self._tell_ended is not None:
            self._tell_ended()
            self._tell_ended = None

    def _failed_with(self, error: OSError | _NotTaken) -> None:
        now = trio.current_time()
        self._failing = self._failing or now
        self.pause = LATEST
        if isinstance(error, _NotTaken) or now > self._failing + PATIENCE:
            self._failure = error.__cause__ if isinstance(error, _NotTaken) else error
            self._failed.set()


class Looks:
    """At all runs that are followed."""

    def __init__(self) -> None:
        self._due: dict[Following, float] = {}
        self._more = trio.Event()

    @contextmanager
    def at(self, following: Following) -> Iterator[None]:
        """For as long as the block lasts."""
        self._due[following] = trio.current_time()
        self._more.set()
        try:
            yield
        finally:
            del self._due[following]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            now = trio.current_time()
            due = [following for following, when in self._due.items() if when <= now]
            if due:
                found = await trio.to_thread.run_sync(partial(_look_at, due))
                for following, news in zip(due, found, strict=True):
                    following.looked(news)
                    if following in self._due:
                        self._due[following] = trio.current_time() + following.pause
            self._more = trio.Event()
            with trio.move_on_at(min(self._due.values(), default=float("inf"))):
                await self._more.wait()
            await trio.sleep(SOONEST / 2)  # what is due at about the same time is looked at at once


def _look_at(due: list[Following]) -> list[bool | OSError | _NotTaken]:
    return [following.look() for following in due]


class _NotTaken(Exception):
    """What was printed could not be passed on, for the reason that is its cause: never again."""


class _Part:
    """A file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.at = 0
        """How much of it was passed on."""

    def pass_on(self, output: Callable[[bytes], None]) -> bool:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            before = self.at
            for _ in range(MOST_READS):
                piece = os.pread(file, READ, self.at)
                if not piece:
                    break
                try:
                    output(piece)
                except Exception as error:
                    raise _NotTaken from error
                self.at += len(piece)
            return self.at > before
        finally:
            os.close(file)
