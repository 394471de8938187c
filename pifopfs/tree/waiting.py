"""Waiting for the end of an execution: one poll for any number of waiters.

Nothing is asked while nobody waits. Outages are ridden out for a bounded time.
"""

from __future__ import annotations

import trio

from pifopfs.errors import (
    NotWaitable,
    PifopfsError,
    ServiceError,
    WaitEnded,
)
from pifopfs.tree.execution import TRANSIENT, Execution


class _Watch:
    """One run of the poll, and what it came to."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        self.error: PifopfsError | None = None


class EndWatcher:
    """Tells any number of waiters when the execution has ended."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._waiters = 0
        self._watch: _Watch | None = None

    def check(self) -> None:
        """Raises NotWaitable when pending, WaitEnded when it is no more."""
        execution = self._execution
        if execution.dead or execution.gone:
            raise WaitEnded(execution.name)
        if execution.pending:
            raise NotWaitable(execution.name)

    async def ended(self) -> None:
        """Return when the execution has ended.

        Raises NotWaitable, WaitEnded, or the service's last error when it has not answered for
        the time set.
        """
        self.check()
        if self._execution.ended:
            return
        watch = self._join()
        try:
            await watch.over.wait()
        finally:
            self._leave(watch)
        if watch.error is not None:
            raise watch.error.with_traceback(None)

    def _join(self) -> _Watch:
        if self._watch is None:
            self._watch = _Watch()
            self._execution.shared.background.start(self._run, self._watch)
        self._waiters += 1
        return self._watch

    def _leave(self, watch: _Watch) -> None:
        if self._watch is watch:
            self._waiters -= 1
            if self._waiters == 0:
                self._forget(watch)
                watch.scope.cancel()

    def _forget(self, watch: _Watch) -> None:
        if self._watch is watch:
            self._watch, self._waiters = None, 0

    async def _run(self, watch: _Watch) -> None:
        try:
            with watch.scope:
                await self._poll()
        except PifopfsError as error:
            watch.error = error
            if isinstance(error, ServiceError):
                self._execution.note_failure("wait", error)
        finally:
            self._forget(watch)
            watch.over.set()

    async def _poll(self) -> None:
        execution, settings = self._execution, self._execution.shared.settings
        answered = trio.current_time()
        while not execution.ended and not execution.dead:
            changed = execution.changed
            with trio.move_on_after(settings.poll_interval(execution.age)):
                await changed.wait()
                continue
            try:
                await execution.ask()
                answered = trio.current_time()
            except TRANSIENT:
                if trio.current_time() - answered > settings.wait_outage:
                    raise
        self.check()
