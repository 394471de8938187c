"""What the requests do. Raises Refusals, knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from pifopfs.errors import FunctionFileInvalid, OptionInvalid
from pifopfs.server.callers import Caller
from pifopfs.server.catalog import Catalog
from pifopfs.server.function_file import FILE_NAME, ServedFunction
from pifopfs.server.limits import DEFAULT, Limits
from pifopfs.server.logs import LogReader, Span
from pifopfs.server.refusals import (
    Broken,
    CannotRunNow,
    TooManyExecutions,
    Unknown,
    WrongState,
)
from pifopfs.server.runs import Runs
from pifopfs.server.states import Action, refusal
from pifopfs.server.store import Record, Store
from pifopfs.server.uploads import aside, receive
from pifopfs.server.workspace import open_output
from pifopfs.wire import FileSpec, InputInfo, Status


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server behaves. Times in seconds, sizes in bytes."""

    stop_grace: float = 2.0
    limits: Limits = DEFAULT
    """Of every run."""
    upload_stall: float = 60.0
    """How long an upload may stand still."""
    discard_pending: float | None = 3600.0
    """After this long without a request; None: never."""
    discard_ended: float | None = 86400.0


class Executions:
    """The executions of a store, as callers see them."""

    def __init__(self, store: Store, catalog: Catalog, runs: Runs, settings: Settings) -> None:
        self._store = store
        self._catalog = catalog
        self._runs = runs
        self._settings = settings
        self._used: dict[str, float] = {}
        """When each was last asked for, on the monotonic clock."""

    @property
    def isolation(self) -> str:
        """What keeps programs apart: see `engines`."""
        return self._runs.isolation

    # ── Functions ────────────────────────────────────────────────────────────────────────────

    def function(self, author: str, function: str) -> ServedFunction:
        """Raises Unknown, CannotRunNow."""
        try:
            served = self._catalog.find(author, function)
            if served is not None:
                self.check(served)
        except FunctionFileInvalid as error:
            folder = f"{error.path.parent}/"  # no caller's business
            raise CannotRunNow(str(error).replace(folder, "")) from error
        if served is None:
            raise Unknown(f"there is no function {author}/{function}")
        return served

    def function_of(self, record: Record) -> ServedFunction | None:
        """That of an execution, where it is still there and right."""
        try:
            return self.function(record.author, record.function)
        except (Unknown, CannotRunNow):
            return None

    def check(self, function: ServedFunction) -> None:
        """Whether the engine takes what the function tells it. Raises FunctionFileInvalid."""
        try:
            self._runs.check(function)
        except OptionInvalid as error:
            path, mend = function.folder / FILE_NAME, "mend it, or leave it out"
            raise FunctionFileInvalid(path, "engines", str(error), mend) from error

    def exists(self, author: str, function: str) -> bool:
        """Whether there is such a function, be its description right or not."""
        try:
            return self._catalog.find(author, function) is not None
        except FunctionFileInvalid:
            return True

    def create(self, caller: Caller, author: str, function: str) -> Record:
        """A new execution. Raises Unknown, CannotRunNow."""
        self.function(author, function)
        return self._store.create(author, function, caller.key)

    # ── One execution ────────────────────────────────────────────────────────────────────────

    def get(self, caller: Caller, author: str, function: str, execution: str) -> Record:
        """An execution that the caller may see. Raises Unknown."""
        record = self._store.find(execution)
        if (
            record is None
            or (record.author, record.function) != (author, function)
            or not (caller.is_master or record.owner == caller.key)
        ):
            raise Unknown(f"{author}/{function} has no execution {execution}")
        self._use(record)
        return record

    async def upload(
        self, record: Record, input_id: str, pieces: AsyncIterator[bytes]
    ) -> InputInfo:
        """Take an input's bytes as they come; a broken upload changes nothing.

        Raises Unknown, WrongState, TooLarge, TooSlow, Broken.
        """
        try:
            function = self.function(record.author, record.function)
        except CannotRunNow as error:
            raise Broken(error.message) from error
        spec = next((spec for spec in function.input if spec.id == input_id), None)
        if spec is None:
            raise Unknown(f"{record.author}/{record.function} has no input {input_id}")
        self._check(record, Action.UPLOAD)
        folder = self._store.folder(record.id)
        with aside(folder) as path:
            largest = self._settings.limits.tightened(function.limits).input
            stall = self._settings.upload_stall
            size = await receive(pieces, path, largest, stall, lambda: self._use(record))
            self._check(self._again(record), Action.UPLOAD)  # it may have been started meanwhile
            path.replace(folder / "inputs" / spec.id)
        return InputInfo(spec.id, spec.path, size)

    def start(self, caller: Caller, record: Record) -> Record:
        """Raises WrongState, Unknown, CannotRunNow, TooManyExecutions."""
        self._check(record, Action.START)
        function = self.function(record.author, record.function)
        self._check_number(caller)
        limits = self._settings.limits.tightened(function.limits).tightened(caller.limits)
        return self._runs.start(record, function, limits)

    def _check_number(self, caller: Caller) -> None:
        if caller.max_executions is None:
            return
        running = self._store.running(caller.key)
        if running >= caller.max_executions:
            raise TooManyExecutions(
                f"{running} executions of this API key run, and no more are allowed; wait for the "
                "end of one, or stop one"
            )

    async def stop(self, record: Record) -> Record:
        """End a running execution; returns once it has ended. Raises WrongState."""
        self._check(record, Action.STOP)
        await self._runs.end(record.id)
        return self._again(record)

    def position(self, record: Record) -> int | None:
        """How many runs wait in a queue before it; None where it does not wait."""
        return self._runs.position(record.id)

    async def until_ended(self, record: Record) -> None:
        """Return when it has ended, or gone."""
        while True:
            found = self._store.find(record.id)
            if found is None or found.status is Status.ENDED:
                return
            await self._runs.ends.wait(record.id)

    async def end(self, record: Record) -> Record:
        """End an execution at once, whatever it does; its last state."""
        await self._runs.end(record.id, at_once=True)
        return self._store.find(record.id) or record

    async def drop(self, record: Record) -> None:
        """Delete an execution, and its files."""
        await self._runs.end(record.id, at_once=True)  # it may have been started meanwhile
        self._store.delete(record.id)
        self._runs.ends.tell(record.id)
        self._used.pop(record.id, None)
        await trio.to_thread.run_sync(self._store.remove_files, record.id)

    def log(self, record: Record) -> LogReader:
        """The log as it is now. For a thread."""
        return LogReader(self._store.folder(record.id) / "log")

    def new_output(self, record: Record, reader: LogReader, *, moves: bool) -> Span:
        """What its log has since this was asked last, by anybody; `moves`: it is told now."""
        cursor = (self._store.find(record.id) or record).stdout_cursor
        span = reader.span(cursor)
        if moves and span.end > cursor:
            self._store.keep(record, stdout_cursor=span.end)
        return span

    def output(self, record: Record, output_id: str) -> tuple[FileSpec, int]:
        """An output, and a descriptor of its file. Raises WrongState, Unknown."""
        self._check(record, Action.OUTPUT)
        for spec in record.output or ():
            if spec.id == output_id:
                file = open_output(self._store.folder(record.id), spec)
                if file is not None:
                    return spec, file
        raise Unknown(f"{record.id} has produced no output {output_id}")

    # ── Stale executions ─────────────────────────────────────────────────────────────────────

    async def discard_stale(self) -> None:
        """Drop executions that nobody has asked for in a long time; never a running one."""
        now = time.monotonic()
        limits = {
            Status.PENDING: self._settings.discard_pending,
            Status.ENDED: self._settings.discard_ended,
        }
        for record in self._store.all():
            limit = limits.get(record.status)
            unused = now - self._used.setdefault(record.id, now)
            if limit is not None and unused > limit:
                await self.drop(record)

    def _again(self, record: Record) -> Record:
        """As it is now. Raises Unknown."""
        found = self._store.find(record.id)
        if found is None:
            raise Unknown(f"{record.author}/{record.function} has no execution {record.id}")
        self._use(found)
        return found

    def _use(self, record: Record) -> None:
        self._used[record.id] = time.monotonic()

    def _check(self, record: Record, action: Action) -> None:
        reason = refusal(action, record.status)
        if reason is not None:
            raise WrongState(reason)
