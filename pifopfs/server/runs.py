"""Executions while they run: from the start to the recorded end."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import trio

from pifopfs.server.engines import Engine, Job, Launch
from pifopfs.server.function_file import ServedFunction
from pifopfs.server.logs import LogWriter
from pifopfs.server.occupancy import Occupancy
from pifopfs.server.store import Record, Store, now
from pifopfs.server.workspace import prepare, produced
from pifopfs.wire import EndReason, ExecutionId, Status

log = logging.getLogger(__name__)

KILL_TIMEOUT = 5.0
"""Seconds for which the end of a killed program is awaited while the server ends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `note` is a line for its log."""

    end_reason: EndReason
    exit_code: int | None = None
    note: str = ""


CUT_OFF = Outcome(EndReason.SYSTEM_ERROR, note="the run was cut off: the server ended")
LOST = Outcome(EndReason.SYSTEM_ERROR, note="the run was lost: the server failed; see its log")
NEVER_LAUNCHED = Outcome(EndReason.NORMAL, note="it was stopped before its program was launched")


@dataclass(eq=False, slots=True)
class _Run:
    record: Record
    job: Job | None = None
    asked_to_end: trio.Event = field(default_factory=trio.Event)
    at_once: bool = False
    done: trio.Event = field(default_factory=trio.Event)


class Runs:
    """Every running execution of a store. Its tasks live in `nursery`."""

    def __init__(
        self, store: Store, engine: Engine, nursery: trio.Nursery, occupancy: Occupancy
    ) -> None:
        self._store = store
        self._engine = engine
        self._nursery = nursery
        self._occupancy = occupancy
        self._running: dict[ExecutionId, _Run] = {}

    def take_up(self) -> None:
        """End what a server that died left running: it was cut off."""
        for record in self._store.all():
            if record.status is Status.RUNNING:
                if record.trace is not None:
                    self._engine.clear_up(record.trace)
                self._record_end(record, CUT_OFF, stopped=False)

    def start(self, record: Record, function: ServedFunction) -> Record:
        """Begin a run; from now on the execution is running."""
        record = self._store.change(
            record, status=Status.RUNNING, start_date=now(), output=function.output
        )
        run = _Run(record)
        self._running[record.id] = run
        self._nursery.start_soon(self._run, run, function)
        return record

    async def end(self, execution: ExecutionId, *, at_once: bool = False) -> None:
        """End a run, with a grace or at once; returns when the end is recorded."""
        run = self._running.get(execution)
        if run is not None:
            run.at_once = run.at_once or at_once
            run.asked_to_end.set()
            await run.done.wait()

    async def end_all(self) -> None:
        """End every run."""
        async with trio.open_nursery() as nursery:
            for execution in list(self._running):
                nursery.start_soon(self.end, execution)

    async def _run(self, run: _Run, function: ServedFunction) -> None:
        outcome = CUT_OFF
        try:
            with self._occupancy.held():
                outcome = await self._execute(run, function)
        except Exception:
            log.exception("the run of %s failed", run.record.id)
            outcome = LOST
        finally:
            if outcome in (CUT_OFF, LOST) and run.job is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
                    await run.job.kill()
            self._record_end(run.record, outcome, stopped=run.asked_to_end.is_set())
            del self._running[run.record.id]
            run.done.set()

    async def _execute(self, run: _Run, function: ServedFunction) -> Outcome:
        folder = self._store.folder(run.record.id)
        try:
            await trio.to_thread.run_sync(prepare, function, folder)
            if run.asked_to_end.is_set():
                return NEVER_LAUNCHED
            with LogWriter(folder / "log") as output:
                launch = Launch(function.command, folder / "work", folder / "tmp")
                run.job = await self._engine.launch(launch, output.write)
                run.record = self._store.change(run.record, trace=run.job.trace)
                return Outcome(EndReason.NORMAL, await self._until_the_end(run, run.job))
        except OSError as error:
            log.warning("%s cannot be launched: %s", run.record.id, error)
            return Outcome(EndReason.SYSTEM_ERROR, note=f"the program cannot be launched: {error}")

    async def _until_the_end(self, run: _Run, job: Job) -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_when_asked, run, job)
            code = await job.wait()
            nursery.cancel_scope.cancel()
        return code

    def _record_end(self, record: Record, outcome: Outcome, *, stopped: bool) -> None:
        folder = self._store.folder(record.id)
        try:
            if outcome.note:
                with LogWriter(folder / "log") as output:
                    output.note(outcome.note)
            declared = record.output or ()
            failed = outcome.end_reason is EndReason.SYSTEM_ERROR
            output_files = () if failed else produced(declared, folder)
        except OSError:
            log.exception("the files of %s", record.id)
            output_files = ()
        self._store.change(
            record,
            status=Status.ENDED,
            end_reason=outcome.end_reason.value,
            exit_code=outcome.exit_code,
            stopped=stopped,
            end_date=now(),
            output=output_files,
            trace=None,
        )


async def _end_when_asked(run: _Run, job: Job) -> None:
    await run.asked_to_end.wait()
    if run.at_once:
        await job.kill()
    else:
        await job.stop()
