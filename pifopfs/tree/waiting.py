"""Waiting for the end of an execution: one poll for any number of waiters.

Nothing is asked while nobody waits. Outages are ridden out for a bounded time.
"""

from __future__ import annotations

import trio

from pifopfs.errors import (
    ExecutionUnknown,
    NotWaitable,
    PifopfsError,
    ServiceError,
    WaitEnded,
)
from pifopfs.tree.execution import TRANSIENT, Execution
from pifopfs.tree.longpolls import SECONDS


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
        execution, shared = self._execution, self._execution.shared
        answered, long = trio.current_time(), True
        while not execution.ended and not execution.dead:
            try:
                if long and shared.long_polls.possible:
                    long = await self._ask_for_the_end()
                else:
                    await self._ask_later()
                answered = trio.current_time()
            except TRANSIENT:
                long = False  # something on the way may cut off what takes its time
                if trio.current_time() - answered > shared.settings.wait_outage:
                    raise
        self.check()

    async def _ask_for_the_end(self) -> bool:
        """Ask in a way that is answered at the end, unless somebody else learns of it sooner.

        Whether to ask so again. Raises ServiceError.
        """
        execution, polls = self._execution, self._execution.shared.long_polls
        began, changed = trio.current_time(), execution.changed
        failure: ServiceError | None = None
        waited = True
        with polls.one():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, changed, nursery.cancel_scope)
                try:
                    seen = await execution.shared.client.execution(execution.id, wait=SECONDS)
                except ExecutionUnknown:
                    execution.become_gone()
                except ServiceError as error:  # the nursery would wrap it
                    failure = error
                else:
                    waited = seen.waited
                    execution.observe(seen)
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return changed.is_set() or polls.worth_it(trio.current_time() - began, waited=waited)

    async def _ask_later(self) -> None:
        """Ask after the interval, unless somebody else has learnt something meanwhile."""
        execution = self._execution
        interval = execution.shared.settings.poll_interval(execution.age)
        with trio.move_on_after(interval) as pause:
            await execution.changed.wait()
        if pause.cancelled_caught:
            await execution.ask()


async def _cancel_when(changed: trio.Event, scope: trio.CancelScope) -> None:
    await changed.wait()
    scope.cancel()
