"""An execution with all its parts, and what can be done to it: start, stop, die."""

from __future__ import annotations

import contextlib
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from pifopfs.errors import (
    AlreadyEnded,
    AlreadyRunning,
    ExecutionUnknown,
    NotSent,
    NotStarted,
    Refused,
)
from pifopfs.tree import layout
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputfolder import InputFolder
from pifopfs.tree.log import LiveLog
from pifopfs.tree.outputs import OutputFolder
from pifopfs.tree.settings import Settings
from pifopfs.tree.waiting import EndWatcher
from pifopfs.wire import Status


def staging(settings: Settings) -> Path:
    """The folder with one folder of staged inputs for each execution, by its serial number."""
    return settings.state_dir / "staging"


class Job:
    """One execution as a directory shows it. The parts come to be when somebody looks."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._unclear: int | None = None
        """A start was sent whose answer never came, when the inputs had changed so many times: if
        it runs now, that was this start.
        """
        self.acted: dict[str, set[Any]] = {}
        """The open handles on `start` and `stop` that have acted: see `controlfiles`."""
        self._slots = count(layout.FIRST_FREE_SLOT)
        self._renewed: dict[int, int] = {}
        self._staging = staging(execution.shared.settings) / str(execution.serial)

    def path(self, name: str) -> str:
        """Where a file of it is, from the mountpoint."""
        return f"executions/{self.execution.name}/{name}"

    def ino(self, slot: int) -> int:
        """The inode number of one of the fixed files."""
        return layout.ino(self.execution.serial, self._renewed.get(slot, slot))

    def renew(self, slot: int) -> None:
        """Give a directory that was removed without effect a new inode number: to the kernel the
        old one is dead, and nothing could be made in it.
        """
        self._renewed[slot] = next(self._slots)

    def _next_ino(self) -> int:
        return self.ino(next(self._slots))

    @cached_property
    def inputs(self) -> InputFolder:
        return InputFolder(self.execution, self._staging, self._next_ino)

    @cached_property
    def outputs(self) -> OutputFolder:
        return OutputFolder(self.execution, self._next_ino)

    @cached_property
    def log(self) -> LiveLog:
        return LiveLog(self.execution)

    @cached_property
    def end(self) -> EndWatcher:
        return EndWatcher(self.execution)

    # ── Start and stop ───────────────────────────────────────────────────────────────────────

    async def check_start(self) -> None:
        """Raises what `start` would refuse with, as far as it shows without uploading."""
        with self.execution.noted("start"):
            await self._check_status()
            self.inputs.check_startable()

    async def _check_status(self) -> None:
        execution = self.execution
        tried = f"start of {execution.id}"
        await self._check_known(tried)
        if execution.ended:
            raise AlreadyEnded(tried, "it has ended")
        if not execution.pending:
            raise AlreadyRunning(tried, "it is running")

    async def _check_known(self, tried: str) -> None:
        """Raises Terminated, ExecutionUnknown, ServiceError."""
        self.execution.check_alive()
        await self.execution.refresh()
        self.execution.check_known(tried)

    async def start(self) -> None:
        """The commit: upload what the service lacks, refuse what is not right, start.

        Raises ServiceError, AlreadyRunning, AlreadyEnded, InputOpen, InputUndeclared,
        InputWithdrawn, InputTorn, Terminated.
        """
        execution = self.execution
        with execution.attempt("start"):
            async with execution.commit_lock:
                if await self._started_before():
                    return
                await self._check_status()
                await self.inputs.upload_lacking()
                execution.check_alive()
                self.inputs.check_startable()
                self.inputs.check_sent()
                await self._start()

    async def _started_before(self) -> bool:
        """Whether an earlier start whose answer never came was one, on the inputs as they are.

        Raises AlreadyRunning where they have changed since.
        """
        execution, changes = self.execution, self._unclear
        if changes is None:
            return False
        await execution.ask()
        self._unclear = None
        if execution.status is Status.PENDING:
            return False
        if execution.input_changes != changes:
            raise AlreadyRunning(
                f"start of {execution.id}", "an earlier start came through, on the inputs of then"
            )
        return True

    async def _start(self) -> None:
        execution = self.execution
        execution.starting, self._unclear = True, execution.input_changes
        try:
            execution.observe(await execution.shared.client.start(execution.id))
            self._unclear = None
        except (NotSent, Refused):
            self._unclear = None
            raise
        finally:
            execution.starting = False

    async def check_stop(self) -> None:
        """Raises what `stop` would refuse with."""
        with self.execution.noted("stop"):
            await self._check_stop()

    async def _check_stop(self) -> None:
        tried = f"stop of {self.execution.id}"
        await self._check_known(tried)
        if self.execution.pending:
            raise NotStarted(tried, "it has not been started")

    async def stop(self) -> None:
        """Stop it; success when it has ended already. Raises ServiceError, NotStarted."""
        execution = self.execution
        with execution.attempt("stop"):
            await self._check_stop()
            if not execution.ended:
                execution.observe(await execution.shared.client.stop(execution.id))

    # ── The end ──────────────────────────────────────────────────────────────────────────────

    async def terminate(self) -> None:
        """Delete it at the service, where it may be unknown already. Raises ServiceError."""
        with contextlib.suppress(ExecutionUnknown):
            await self.execution.shared.client.terminate(self.execution.id)

    def die(self) -> None:
        """Terminated or forgotten: local bytes go, open handles keep what they have."""
        self.execution.die()
        self.inputs.die()
        self.outputs.die()
        self.log.die()
