"""The executions that this mount knows: create, adopt, rename, terminate, forget.

The API cannot list executions, so names and ids live in the mount's own record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import trio
from cachetools import TTLCache

from pifopfs import wire
from pifopfs.errors import (
    BadAnswer,
    DirectoryNotEmpty,
    ExecutionUnknown,
    NameTaken,
    NoAnswer,
    NoSuchName,
    PifopfsError,
    Unclear,
)
from pifopfs.tree import layout
from pifopfs.tree.execution import Execution
from pifopfs.tree.job import Job
from pifopfs.tree.rows import ExecutionRow
from pifopfs.tree.shared import Shared
from pifopfs.wire import ExecutionId, Status

log = logging.getLogger(__name__)


class _Creation:
    """A `mkdir` under way, which its caller may abandon."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.abandoned = False
        self.job: Job | None = None
        self.error: Exception | None = None


class Executions:
    """Names to executions, and ids to names."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._by_name: dict[str, Job] = {}
        self._by_id: dict[ExecutionId, Job] = {}
        self._unknown: TTLCache[str, bool] = TTLCache(
            1000, shared.settings.freshness, timer=trio.current_time
        )
        """Ids that the service did not know a moment ago: tools ask several times in a row."""
        self._creating: dict[str, _Creation] = {}
        self.changed_ns = time.time_ns()
        for row in shared.names.executions():
            self._add(row)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Job:
        """The execution of this name. Raises NoSuchName."""
        try:
            return self._by_name[name]
        except KeyError:
            raise NoSuchName(f"executions/{name}") from None

    def find(self, name: str) -> Job | None:
        """The execution of this name."""
        return self._by_name.get(name)

    def by_id(self, execution: str) -> Job | None:
        """The execution of this id."""
        return self._by_id.get(ExecutionId(execution))

    def _add(self, row: ExecutionRow) -> Job:
        job = Job(Execution(row, self._shared))
        self._by_name[row.name] = self._by_id[row.id] = job
        self.changed_ns = time.time_ns()
        return job

    def _record(self, seen: wire.Execution, name: str) -> Job:
        now, document = time.time_ns(), dict(seen.document)
        serial = self._shared.names.add(seen.id, name, now, document)
        job = self._add(ExecutionRow(serial, seen.id, name, now, None, None, document))
        job.execution.observe(seen)
        return job

    # ── mkdir ────────────────────────────────────────────────────────────────────────────────

    async def create(self, name: str) -> Job:
        """Create an execution: one request, whose outcome this waits for.

        A caller that is cancelled leaves a creation that deletes what comes of it. Raises
        NameInvalid, NameTooLong, NameTaken, ServiceError.
        """
        layout.check_execution_name(name)
        if name in self._by_name or name in self._creating:
            raise NameTaken(f"executions/{name}")
        creation = _Creation()
        self._creating[name] = creation
        self._shared.background.start_to_finish(self._create, creation, name)
        try:
            await creation.over.wait()
        except trio.Cancelled:
            creation.abandoned = True
            self._end(creation, name)  # nothing will have the name
            raise
        if creation.error is not None:
            raise creation.error.with_traceback(None)
        assert creation.job is not None  # noqa: S101  # it is there where no error is
        return creation.job

    async def _create(self, creation: _Creation, name: str) -> None:
        try:
            seen = await self._shared.client.create()
            self._check_new(seen)
            if creation.abandoned:
                log.info("mkdir %s was interrupted: deleting %s", name, seen.id)
                await self._shared.client.terminate(seen.id)
            else:
                creation.job = await self._record_or_delete(seen, name)
        except Unclear as error:
            log.warning("mkdir %s: %s; an orphan execution may exist at the service", name, error)
            creation.error = error
        except PifopfsError as error:
            log.warning("mkdir %s: %s", name, error)
            creation.error = error
        finally:
            if creation.job is None and creation.error is None:
                creation.error = NoSuchName(f"executions/{name}", "its creation was given up")
            self._end(creation, name)
            creation.over.set()

    def _end(self, creation: _Creation, name: str) -> None:
        if self._creating.get(name) is creation:
            del self._creating[name]

    def _check_new(self, seen: wire.Execution) -> None:
        """Raises BadAnswer for the answer to another request: that one is not to be deleted."""
        if seen.id in self._by_id or seen.status is not Status.PENDING:
            raise BadAnswer(
                f"create an execution of {self._shared.client.name}",
                f"the answer is {seen.id}, which is not new",
            )

    async def _record_or_delete(self, seen: wire.Execution, name: str) -> Job:
        """An execution whose name cannot be kept would be lost: it is deleted again."""
        try:
            return self._record(seen, name)
        except PifopfsError:
            await self._shared.client.terminate(seen.id)
            raise

    # ── Adoption ─────────────────────────────────────────────────────────────────────────────

    async def adopt(self, name: str) -> Job:
        """An execution created elsewhere, by its id. Raises NoSuchName, ServiceError."""
        if name in self._unknown:
            raise NoSuchName(f"executions/{name}")
        patience = self._shared.settings.patience
        try:
            with trio.fail_after(patience):  # the kernel holds the lock of the directory
                seen = await self._shared.client.execution(ExecutionId(name))
        except trio.TooSlowError:
            raise NoAnswer(f"status of {name}", f"no answer within {patience:g} s") from None
        except ExecutionUnknown:
            self._unknown[name] = True
            raise NoSuchName(f"executions/{name}") from None
        known = self.by_id(name)  # somebody else may have been faster
        return known if known is not None else self._record(seen, name)

    # ── mv and rmdir ─────────────────────────────────────────────────────────────────────────

    def rename(self, old: str, new: str) -> None:
        """Raises NoSuchName, NameInvalid, NameTooLong, DirectoryNotEmpty for a taken name."""
        job = self.get(old)
        if old == new:
            return
        layout.check_execution_name(new)
        if new in self._by_name or new in self._creating:
            raise DirectoryNotEmpty(f"executions/{new}", "an execution has this name")
        self._shared.names.rename(job.execution.serial, new)
        job.execution.name = new
        del self._by_name[old]
        self._by_name[new] = job
        self.changed_ns = time.time_ns()

    async def terminate(self, name: str) -> None:
        """Delete it at the service, then forget it here. Raises NoSuchName, ServiceError."""
        job = self.get(name)
        with job.execution.attempt("terminate"):
            await job.terminate()
            self._remove(job)

    def forget(self, name: str) -> ExecutionId:
        """Drop the name; the execution stays at the service. Raises NoSuchName."""
        job = self.get(name)
        self._remove(job)
        return job.execution.id

    def _remove(self, job: Job) -> None:
        execution = job.execution
        if execution.dead:
            return
        self._shared.names.forget(execution.serial)
        del self._by_name[execution.name]
        del self._by_id[execution.id]
        self.changed_ns = time.time_ns()
        job.die()
