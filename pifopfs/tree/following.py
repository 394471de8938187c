"""An execution that is watched with inotify: kept fresh as for any reader who waits, and what
changes is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import trio

from pifopfs.errors import NotWaitable, PifopfsError, WaitEnded
from pifopfs.tree.execution import TRANSIENT
from pifopfs.tree.files import VALUES
from pifopfs.tree.job import Job
from pifopfs.tree.raised import CREATE
from pifopfs.tree.settings import CROWD
from pifopfs.wire import Status

Tell = Callable[[Job, str, int], None]
"""Called with an execution, the path of a file in its directory, and events of inotify(7)."""

PAUSE = 10.0
"""Seconds before the service is asked again that has failed in a way that hardly passes."""


class Follower:
    """Follows one execution until nothing of what is wished for can change any more."""

    def __init__(self, job: Job, tell: Tell) -> None:
        self._job = job
        self._tell = tell
        self._events: dict[str, int] = {}
        self._values = {name: value.render(job.execution) for name, value in VALUES.items()}
        """As they were told last."""
        self._log = job.log.shown
        self._has_outputs = self._outputs_are_there
        self._stirred = trio.Event()
        """Set, and replaced, when the wishes or the state of the execution have changed."""
        self._scope = trio.CancelScope()
        self.share = 1
        """How many executions are followed."""

    # ── Wishes ───────────────────────────────────────────────────────────────────────────────

    def wish(self, events: Mapping[str, int], since: Mapping[str, int]) -> None:
        """From now on these events are waited for, by the name of a file.

        `since`: what may have been watched unnoticed, from what time on (nanoseconds): what has
        changed meanwhile is told again.
        """
        for name, began in since.items():
            self._forget_told(name, began)
        if events != self._events:
            self._events = dict(events)
            self._stir()

    def _forget_told(self, name: str, since: int) -> None:
        execution = self._job.execution
        if name == "log":
            if self._job.log.grown_ns >= since:
                self._log = 0
        elif execution.changed_ns < since or execution.pending:
            pass
        elif name == "output":
            self._has_outputs = False
        else:
            self._values[name] = b""

    # ── News ─────────────────────────────────────────────────────────────────────────────────

    @property
    def _outputs_are_there(self) -> bool:
        return self._job.execution.status is Status.ENDED

    def tell_news(self) -> None:
        """Tell what has changed since it was told last."""
        if not self._job.execution.dead:
            for name, path in [*self._news()]:
                events = self._events.get(name, 0)
                if events:
                    self._tell(self._job, path, events | (CREATE if name == "output" else 0))

    def tell_failure(self) -> None:
        """As `tell_news`, where there is a new failure, of which nobody is told."""
        if self._job.execution.failure != self._values["error"]:
            self.tell_news()

    def _news(self) -> Iterator[tuple[str, str]]:
        """The wishes that have news, and the paths of the files; the status comes last."""
        job = self._job
        if self._outputs_are_there and not self._has_outputs:
            self._has_outputs = True
            yield from (("output", f"output/{output.name}") for output in job.outputs)
        if self._log != job.log.shown:
            self._log = job.log.shown
            yield "log", "log"
        for name in reversed(VALUES):
            content = VALUES[name].render(job.execution)
            if content != self._values[name]:
                self._values[name] = content
                yield name, name

    # ── Following ────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Nobody watches it any more."""
        self._scope.cancel()

    async def run(self) -> None:
        """Return when nothing can change any more that is wished for, or when stopped."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell_changes)
                async with trio.open_nursery() as following:
                    following.start_soon(self._follow_log)
                    await self._follow_status()
                nursery.cancel_scope.cancel()
            self.tell_news()

    async def _tell_changes(self) -> None:
        while True:
            changed = self._job.execution.changed
            self.tell_news()
            self._stir()
            await changed.wait()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = trio.Event()

    async def _follow_status(self) -> None:
        """Return when the execution has ended."""
        execution = self._job.execution
        while not execution.over:
            try:
                if execution.pending or self.share > CROWD:
                    await self._ask_later()
                else:
                    with contextlib.suppress(NotWaitable, WaitEnded):
                        await self._job.end.ended()
                    await trio.lowlevel.checkpoint()
            except TRANSIENT:
                pass  # it is waited for and asked again
            except PifopfsError as error:
                execution.note_failure("status", error)
                await trio.sleep(PAUSE)

    async def _ask_later(self) -> None:
        """Ask for the status after an interval, unless its change is noticed sooner."""
        execution = self._job.execution
        settings, pending = execution.shared.settings, execution.pending
        interval = settings.watched_interval(execution.age, self.share, pending=pending)
        with trio.move_on_after(interval) as pause:
            await execution.changed.wait()
        if pause.cancelled_caught:
            await execution.ask()

    # ── The log ──────────────────────────────────────────────────────────────────────────────

    @property
    def _wants_log(self) -> bool:
        return bool(self._events.get("log")) and not self._job.log.settled

    async def _follow_log(self) -> None:
        """Keep the log fresh while that is wished for. Return when it cannot grow any more."""
        execution = self._job.execution
        while self._wants_log or not execution.over:
            stirred = self._stirred
            if self._wants_log and not execution.pending:
                await self._read_log()
            else:
                await stirred.wait()

    async def _read_log(self) -> None:
        """Follow the log as a reader at its end does, until it is complete or not wished for."""
        log, execution = self._job.log, self._job.execution
        settings = execution.shared.settings
        try:
            await log.join()
            try:
                while self._wants_log:
                    self.tell_news()
                    with trio.move_on_after(log.due * settings.crowding(self.share)):
                        await execution.changed.wait()
                    await log.follow()
            finally:
                log.leave()
        except PifopfsError:  # `error` tells it
            await trio.sleep(PAUSE)
