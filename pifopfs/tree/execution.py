"""One execution as this mount knows it: what the service said last, how fresh that is, what failed.

Here: status, times, the last failure, the commit (`start`) and `stop`. Its inputs, outputs and
log are objects of their own; how files show all this is in `files` and `directories`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import trio
from cachetools import LRUCache

from pifopfs import wire
from pifopfs.errors import (
    ExecutionUnknown,
    NoAnswer,
    NotSent,
    PifopfsError,
    ServiceBusy,
    Terminated,
    TreeError,
    Unclear,
)
from pifopfs.tree.background import SingleFlight
from pifopfs.tree.failure import Failure
from pifopfs.tree.rows import ExecutionRow
from pifopfs.tree.shared import Shared
from pifopfs.wire import FileSpec, Status

log = logging.getLogger(__name__)

TRANSIENT = (NotSent, Unclear, ServiceBusy)
"""Failures that may pass by themselves, and say nothing of the execution."""

GONE = "gone"
"""In the place of a status: the service does not know it any more."""

RANK = {Status.PENDING: 0, Status.RUNNING: 1, Status.ENDED: 2}
"""A status never goes back: an answer that says so was overtaken on its way."""


_READ: LRUCache[Execution, wire.Execution] = LRUCache(100)
"""The records that were looked into last: those of thousands would fill the memory."""


class Execution:
    """The state of one execution. Times are nanoseconds of this machine's clock."""

    def __init__(self, row: ExecutionRow, shared: Shared) -> None:
        self.serial = row.serial
        self.id = row.id
        self.name = row.name
        self.created_ns = row.created_ns
        self.started_ns = row.started_ns
        self.ended_ns = row.ended_ns
        self.changed_ns = row.ended_ns or row.started_ns or row.created_ns
        self.shared = shared
        self.gone = False
        """The service no longer knows it."""
        self.dead = False
        """It was terminated or forgotten here. Never becomes False again."""
        self.starting = False
        """A commit is past its checks: no input may be opened for writing."""
        self.input_changes = 0
        """How often an input was made, written, renamed or removed here."""
        self._changed: trio.Event | None = None
        """Made when somebody waits: there may be many executions."""
        self._recorded = row.document
        self._recorded_state: Status | None = None
        """What that says of the status, once somebody has looked."""
        self._told: wire.Execution | None = None
        self._unrecorded = False
        """The record could not be written last time."""
        self._checked = float("-inf")
        self._failure: Failure | None = None
        self._fetch = SingleFlight(shared.background, self._ask)

    @cached_property
    def commit_lock(self) -> trio.Lock:
        """Held by whoever starts it."""
        return trio.Lock()

    @property
    def changed(self) -> trio.Event:
        """Set, and replaced, whenever status, gone or dead has changed."""
        if self._changed is None:
            self._changed = trio.Event()
        return self._changed

    # ── What is known ────────────────────────────────────────────────────────────────────────

    @property
    def _seen(self) -> wire.Execution:
        """What the service said last; before that, what an earlier mount has recorded of it."""
        if self._told is not None:
            return self._told
        seen = _READ.get(self)
        if seen is None:
            seen = _READ[self] = wire.Execution.from_json(dict(self._recorded.items()))
        return seen

    @property
    def status(self) -> Status:
        return self._seen.status

    @property
    def state(self) -> str:
        """GONE, or the status; by the times, where they tell it: to read a record is slower, and
        somebody asks for thousands.
        """
        if self.gone:
            return GONE
        if self.ended_ns is not None:
            return Status.ENDED
        if self.started_ns is not None:
            return Status.RUNNING
        if self._told is not None:  # what was adopted may have been started elsewhere
            return self._told.status
        if self._recorded_state is None:
            self._recorded_state = Status(self._recorded["status"])
        return self._recorded_state

    @property
    def ended(self) -> bool:
        """Nothing more will happen at the service."""
        return self.gone or self.status is Status.ENDED

    @property
    def over(self) -> bool:
        """Terminated here, or nothing more will happen at the service."""
        return self.dead or self.state in (GONE, Status.ENDED)

    @property
    def pending(self) -> bool:
        """Inputs are still accepted."""
        return not self.gone and self.status is Status.PENDING

    @property
    def end_reason(self) -> str:
        """The service's word, or empty."""
        return self._seen.end_reason or ""

    @property
    def exit_code(self) -> int | None:
        return self._seen.exit_code

    @property
    def outputs(self) -> tuple[FileSpec, ...]:
        """The outputs that can be read, empty before the end."""
        if self.status is not Status.ENDED:
            return ()
        if self._seen.output is None:  # not told: what the function declares may be there
            return self.shared.function.current.output or ()
        return self._seen.output

    @property
    def document(self) -> bytes:
        """`status.json`: the Execution object as the service sent it, without its log."""
        document = dict(self._seen.document)
        if self.gone:
            document["status"] = GONE
        return json.dumps(document, indent=2).encode() + b"\n"

    @property
    def age(self) -> float:
        """Seconds since this mount saw it start."""
        return max(0.0, (time.time_ns() - (self.started_ns or self.created_ns)) / 1e9)

    # ── Freshness ────────────────────────────────────────────────────────────────────────────

    async def refresh(self) -> None:
        """Ask for the status if what is known is older than somebody who looks may see.

        Raises ServiceError when nothing fresh can be had, except for an execution whose end is
        known: that stays true. An unknown execution is no error here: it becomes `gone`.
        """
        settings = self.shared.settings
        running = self.status is Status.RUNNING
        limit = settings.status_age(self.age) if running else settings.freshness
        if self.ended:
            limit = max(limit, settings.gone_recheck)
        if self.dead or trio.current_time() - self._checked <= limit:
            return
        try:
            await self._fetch()
        except TRANSIENT:
            if not self.ended:
                raise

    async def look(self) -> None:
        """As `refresh`, for a look in passing: it waits for a moment only. Raises ServiceError."""
        patience = self.shared.settings.patience
        with trio.move_on_after(patience) as scope:
            await self.refresh()
        if scope.cancelled_caught:
            raise NoAnswer(f"status of {self.id}", f"no answer within {patience:g} s")

    async def ask(self) -> None:
        """Ask for the status now, or join a request under way. Raises ServiceError."""
        await self._fetch()

    async def _ask(self) -> None:
        try:
            seen = await self.shared.client.execution(self.id)
        except ExecutionUnknown:
            self.become_gone()
        else:
            self.observe(seen)

    def observe(self, seen: wire.Execution) -> None:
        """Take in what the service just said of this execution."""
        if self.dead or RANK[seen.status] < RANK[self.status]:
            return
        self._checked = trio.current_time()
        self.gone = False
        if seen == self._seen and not self._unrecorded:
            return
        now = time.time_ns()
        if seen.status is not Status.PENDING and self.started_ns is None:
            self.started_ns = now
        if seen.status is Status.ENDED and self.ended_ns is None:
            self.ended_ns = max(now, self.started_ns or now)
        changed = seen.status is not self.status
        self._told = seen
        if changed:
            log.info("%s (%s) is %s", self.name, self.id, self.status)
            self._tell(now)
        self._record()

    def _record(self) -> None:
        """Keep what was seen for later mounts. Where that fails, this one still knows."""
        try:
            self.shared.names.observe(
                self.serial, self.started_ns, self.ended_ns, dict(self._seen.document)
            )
            self._unrecorded = False
        except TreeError as error:
            log.warning("what %s is now cannot be recorded: %s", self.name, error)
            self._unrecorded = True

    def become_gone(self) -> None:
        """The service does not know it any more."""
        self._checked = trio.current_time()
        if not self.gone and not self.dead:
            log.warning("%s (%s) is gone at the service", self.name, self.id)
            self.gone = True
            self._tell(time.time_ns())

    def die(self) -> None:
        """It was terminated or forgotten here."""
        self.dead = True
        self._tell(time.time_ns())

    def _tell(self, now: int) -> None:
        self.changed_ns = max(self.changed_ns, now)
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    # ── Failures ─────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def attempt(self, operation: str) -> Iterator[None]:
        """Keep what fails inside for `error`; forget it when the same operation succeeds."""
        with self.noted(operation):
            yield
        if self._failure is not None and self._failure.operation == operation:
            self._failure = None

    @contextmanager
    def noted(self, operation: str) -> Iterator[None]:
        """Keep what fails inside for `error`."""
        try:
            yield
        except PifopfsError as error:
            if isinstance(error, ExecutionUnknown) and error.code is not None:  # it was just said
                self.become_gone()
            self.note_failure(operation, error)
            raise

    def note_failure(self, operation: str, error: PifopfsError) -> None:
        """Show `error` in the file `error`."""
        failure = Failure.of(operation, error)
        if failure != self._failure:
            log.warning("%s (%s): %s: %s", self.name, self.id, operation, error)
        self._failure = failure

    @property
    def failure(self) -> bytes:
        """The file `error`."""
        return self._failure.content if self._failure else b""

    def check_known(self, tried: str) -> None:
        """Raises ExecutionUnknown."""
        if self.gone:
            raise ExecutionUnknown(tried, "the service does not know it any more")

    def check_alive(self) -> None:
        """Raises Terminated."""
        if self.dead:
            raise Terminated(self.name)
