"""Executions while they run: from the start to the recorded end."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from pifopfs.errors import ServerNotStarted
from pifopfs.machine import LOCAL
from pifopfs.server.ends import Ends
from pifopfs.server.engines import Engine, Job, MemoryTooSmall
from pifopfs.server.function_file import ServedFunction
from pifopfs.server.limits import Limits
from pifopfs.server.logs import LogWriter
from pifopfs.server.occupancy import Occupancy
from pifopfs.server.outcomes import CUT_OFF, LOST, NEVER_LAUNCHED, Outcome, for_callers
from pifopfs.server.sandbox.launch import Launch
from pifopfs.server.store import Record, Store, now
from pifopfs.server.supervision import LOOKS, Asked, Supervision, out_of_memory
from pifopfs.server.workspace import prepare, produced
from pifopfs.wire import EndReason, ExecutionId, FileSpec, Status

log = logging.getLogger(__name__)

COPIES = 40
"""Folders that are copied at once: other work has threads of its own."""
KILL_TIMEOUT = 5.0
"""Seconds for which the end of a killed program is awaited while the server ends."""
DISK_PAUSE, DISK_LOOKS = 1.0, 50
"""Seconds between looks at what a run has on disk, and how many there are a second at the most."""
LOOK_TIMEOUT = 60.0
LOOK_PAUSE = 0.5
"""Seconds for which, and between which, outputs are looked for while the server itself fails."""


class _NotWanted(Exception):
    """A run was asked to end while it was prepared."""


@dataclass(eq=False, slots=True)
class _Run:
    record: Record
    output: tuple[FileSpec, ...]
    """What the function declares."""
    job: Job | None = None
    asked: Asked = field(default_factory=Asked)
    done: trio.Event = field(default_factory=trio.Event)

    def still_wanted(self) -> None:
        """For a thread that prepares it: raises where there is no point in going on."""
        trio.from_thread.check_cancelled()
        if self.asked.end.is_set():
            raise _NotWanted


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
        self.ends = Ends()
        self._copies = trio.CapacityLimiter(COPIES)
        self._looks = trio.CapacityLimiter(LOOKS)

    @property
    def isolation(self) -> str:
        """What keeps programs apart."""
        return self._engine.isolation

    def position(self, execution: ExecutionId) -> int | None:
        """How many runs wait in a queue before this one; None where it does not wait."""
        run = self._running.get(execution)
        return None if run is None or run.job is None else run.job.position

    def check(self, function: ServedFunction) -> None:
        """Whether its engine can do what a function asks of it. Raises OptionInvalid."""
        self._engine.check(function.engines.get(self._engine.name, {}))

    async def take_up(self, find: Callable[[Record], ServedFunction | None]) -> None:
        """Resume what an earlier server left running; what does not last was cut off. `find`: the
        function of a run, for those that were not launched yet.

        Raises ServerNotStarted where another engine has them, sqlite3.Error.
        """
        running = [record for record in self._store.all() if record.status is Status.RUNNING]
        self._check_engine(running)
        for record in running:
            if not await self._resumed(record, find):
                self._record_end(record, CUT_OFF)
        self._engine.sweep()

    def _check_engine(self, running: list[Record]) -> None:
        """Nobody would ever tell how a run of another one has ended."""
        for record in running:
            engine = record.engine or LOCAL
            if engine != self._engine.name:
                raise ServerNotStarted(
                    f"runs of the engine {engine} have not ended, such as {record.id}: start with "
                    f"--engine {engine}, and change it when none runs"
                )

    async def _resumed(
        self, record: Record, find: Callable[[Record], ServedFunction | None]
    ) -> bool:
        run = _Run(record, record.output or ())
        if record.trace is not None:
            run.job = await self._job_of(record, record.trace)
            if run.job is not None:
                self._begin(run, partial(self._go_on, run, again=True))
        elif self._engine.lasting:
            function = find(record)
            if function is not None:
                self._begin(run, partial(self._execute, run, function))
        return record.id in self._running

    async def _job_of(self, record: Record, trace: str) -> Job | None:
        try:
            return await self._engine.resume(trace, self._launch_of(record))
        except (OSError, ValueError):
            log.exception("what was launched as %s cannot be ended", trace)
            return None

    def start(self, record: Record, function: ServedFunction, limits: Limits) -> Record:
        """Begin a run; from now on the execution is running. Raises sqlite3.Error."""
        record = self._store.change(
            record,
            status=Status.RUNNING,
            start_date=now(),
            output=function.output,
            limits=limits,
            engine=self._engine.name,
        )
        run = _Run(record, function.output)
        self._begin(run, partial(self._execute, run, function))
        return record

    def _begin(self, run: _Run, execute: Callable[[], Awaitable[Outcome]]) -> None:
        self._running[run.record.id] = run
        self._nursery.start_soon(self._run, run, execute)

    async def end(self, execution: ExecutionId, *, at_once: bool = False) -> None:
        """End a run, with a grace or at once; returns when the end is recorded."""
        run = self._running.get(execution)
        if run is not None:
            if at_once:
                run.asked.die.set()
            run.asked.end.set()
            await run.done.wait()

    async def end_all(self) -> None:
        """End every run."""
        async with trio.open_nursery() as nursery:
            for execution in list(self._running):
                nursery.start_soon(self.end, execution)

    # ── One run ──────────────────────────────────────────────────────────────────────────────

    async def _run(self, run: _Run, execute: Callable[[], Awaitable[Outcome]]) -> None:
        outcome = CUT_OFF
        try:
            with self._occupancy.held():
                outcome = await execute()
        except Exception:
            log.exception("the run of %s failed", run.record.id)
            outcome = LOST
        finally:
            if not (outcome is CUT_OFF and self._engine.lasting):
                await self._end(run, outcome)
            del self._running[run.record.id]
            run.done.set()

    async def _end(self, run: _Run, outcome: Outcome) -> None:
        try:
            if outcome in (CUT_OFF, LOST) and run.job is not None:
                await _kill(run.job)
        finally:
            self._record_end(run.record, outcome)
        if run.job is not None:
            try:
                await run.job.forget()
            except Exception:
                log.exception("what was kept of %s cannot be removed", run.record.id)

    async def _execute(self, run: _Run, function: ServedFunction) -> Outcome:
        folder = self._store.folder(run.record.id)
        try:
            copy = partial(prepare, function, folder, run.still_wanted, self._engine.user)
            await trio.to_thread.run_sync(copy, limiter=self._copies)
            run.job = await self._launch(run, function)
        except _NotWanted:
            return NEVER_LAUNCHED
        except MemoryTooSmall:
            return Outcome(EndReason.OUT_OF_MEMORY, note=out_of_memory(run.record.limits))
        except (OSError, sqlite3.Error) as error:
            return await self._failed(run, error, launched=False)
        return await self._go_on(run)

    async def _launch(self, run: _Run, function: ServedFunction) -> Job:
        """Its program begins when its trace is recorded. Raises _NotWanted, OSError."""
        if run.asked.end.is_set():
            raise _NotWanted
        launch = self._launch_of(run.record, function)
        run.job = job = await self._engine.launch(launch)
        if run.asked.end.is_set():
            await job.kill()
            raise _NotWanted
        run.record = self._store.change(run.record, trace=job.trace)
        await job.release()
        return job

    async def _failed(
        self, run: _Run, error: OSError | sqlite3.Error, *, launched: bool
    ) -> Outcome:
        log.warning("%s cannot be run: %s", run.record.id, error)
        if run.job is not None:
            await _kill(run.job)
        note = for_callers(error, self._store.folder(run.record.id), launched=launched)
        return Outcome(EndReason.SYSTEM_ERROR, note=note)

    async def _go_on(self, run: _Run, *, again: bool = False) -> Outcome:
        """From the launch on, or `again` after a server before this one."""
        job, record, folder = run.job, run.record, self._store.folder(run.record.id)
        assert job is not None  # noqa: S101  # it was launched
        try:
            with LogWriter(folder / "log", record.limits.log, again=again) as output:
                supervision = Supervision(
                    job,
                    record.limits,
                    folder / "work",
                    run.asked,
                    self._looks,
                    self._disk_pause,
                    output.write,
                )
                ended, verdict = await supervision.until_the_end()
                output.drop(ended.dropped)
        except OSError as error:
            return await self._failed(run, error, launched=True)
        found = await self._produced(run)
        code = None if ended.failure else ended.code
        return Outcome(verdict.end_reason, code, verdict.note, found, verdict.stopped)

    def _disk_pause(self) -> float:
        """With many runs, a filesystem is not asked more often for all of them."""
        return max(DISK_PAUSE, len(self._running) / DISK_LOOKS)

    def _launch_of(self, record: Record, function: ServedFunction | None = None) -> Launch:
        """Without its function, where it was launched before."""
        folder = self._store.folder(record.id)
        if function is None:
            return Launch(record.id, (), folder, record.limits)
        options = function.engines.get(self._engine.name, {})
        return Launch(record.id, function.command, folder, record.limits, function.sandbox, options)

    async def _produced(self, run: _Run) -> tuple[FileSpec, ...]:
        """What was produced; a failure of the server's own, such as too many open files, may pass.

        Raises OSError where it does not.
        """
        folder, patience = self._store.folder(run.record.id), trio.current_time() + LOOK_TIMEOUT
        while True:
            try:
                return produced(run.output, folder)
            except OSError as error:
                if run.asked.die.is_set():  # nobody will ask for them
                    return ()
                if trio.current_time() > patience:
                    raise
                log.warning("the outputs of %s cannot be looked at yet: %s", run.record.id, error)
            await trio.sleep(LOOK_PAUSE)

    # ── What must not fail ───────────────────────────────────────────────────────────────────

    def _record_end(self, record: Record, outcome: Outcome) -> None:
        """Recorded it is in any case: where the disk does not take it, first in memory."""
        try:
            if outcome.note:
                with LogWriter(self._store.folder(record.id) / "log") as output:
                    output.note(outcome.note)
        except OSError as error:
            log.warning("the log of %s lacks its last line: %s", record.id, error)
        self._store.keep(
            record,
            status=Status.ENDED,
            end_reason=outcome.end_reason.value,
            exit_code=outcome.exit_code,
            stopped=outcome.stopped,
            end_date=now(),
            output=outcome.output,
            trace=None,
        )
        self.ends.tell(record.id)


async def _kill(job: Job) -> None:
    """End a program in any case, within bounds."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_TIMEOUT):
        try:
            await job.kill()
        except OSError:
            log.exception("a program cannot be killed")
