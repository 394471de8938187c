"""wait, through the files `wait` of a mount: the daemon asks the service, once for all who wait."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from pifopfs.cli.mountfiles import (
    NoExecution,
    NotStarted,
    open_file,
    status,
    translated,
)
from pifopfs.cli.naming import InMount
from pifopfs.cli.outcomes import Outcome
from pifopfs.errors import ServiceFailure
from pifopfs.machine import raise_descriptor_limit
from pifopfs.run.ends import End

LONGEST = (1 << 31) - 1
"""Milliseconds that poll(2) takes."""


def wait_in_mount(
    executions: Sequence[InMount], timeout: float | None, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Wait for all of them, so many seconds at most; `tell` hears of each at its end.

    Raises MountpointInvalid, ServiceFailure.
    """
    raise_descriptor_limit()  # there may be thousands
    deadline = None if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        waits = [_Wait(execution) for execution in executions]
        for wait in waits:
            stack.callback(wait.close)
            wait.open()
        _wait_for(waits, deadline, tell)
        return [wait.outcome or wait.given_up() for wait in waits]


def _wait_for(
    waits: Sequence[_Wait], deadline: float | None, tell: Callable[[Outcome], None]
) -> None:
    poller = select.poll()
    under_way = {wait.file: wait for wait in waits if wait.file >= 0}
    for file in under_way:
        poller.register(file, select.POLLIN)
    while under_way:
        left = None if deadline is None else (deadline - time.monotonic()) * 1000
        ready = poller.poll(left if left is None else min(max(left, 0), LONGEST))
        for file, _ in ready:
            poller.unregister(file)
            tell(under_way.pop(file).end())
        if left is not None and left <= 0 and not ready:
            return


class _Wait:
    """For one execution."""

    def __init__(self, where: InMount) -> None:
        self._where = where
        self.file = -1
        """Of its `wait`; -1 where there is nothing to wait for."""
        self.outcome: Outcome | None = None

    def open(self) -> None:
        """Begin."""
        try:
            self.file = open_file(self._where, "wait")
        except NotStarted:
            self.outcome = Outcome(self._where.given, End.NOT_STARTED)
        except NoExecution:
            self.outcome = Outcome(self._where.given, End.GONE)

    def end(self) -> Outcome:
        """There is an answer: what came of it."""
        try:
            with translated(self._where, "wait"):
                os.read(self.file, 4096)
            self.outcome = self._look()
        except NoExecution:
            self.outcome = Outcome(self._where.given, End.GONE)
        return self.outcome

    def given_up(self) -> Outcome:
        """The time is over: what it is now."""
        try:
            return self._look()
        except NoExecution:
            return Outcome(self._where.given, End.GONE)
        except ServiceFailure:  # nobody waits for the service now
            return Outcome(self._where.given, End.TIME_OVER)

    def _look(self) -> Outcome:
        execution = status(self._where)
        if execution is None:
            raise NoExecution
        return Outcome.of(self._where.given, execution)

    def close(self) -> None:
        """Whatever came of it."""
        if self.file >= 0:
            os.close(self.file)
