"""Programs on this machine, each apart from the others as the isolation has it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import trio

from pifopfs.errors import OptionInvalid
from pifopfs.server.engines import MemoryTooSmall, SetUpFailed
from pifopfs.server.engines.child import Child
from pifopfs.server.engines.gate import Gate
from pifopfs.server.engines.output import Output
from pifopfs.server.memory import Confinement, MemoryGuard
from pifopfs.server.processes import Trace, kill_session, marked
from pifopfs.server.sandbox.body import Body, kill_tree
from pifopfs.server.sandbox.isolation import MISSING, READY, Command, Isolation
from pifopfs.server.sandbox.launch import Exit, Launch

SET_UP_TIME = 60.0
"""Seconds that the set-up of a program may take, on a machine that is busy."""
DRAIN_TIME = 2.0
"""Seconds in which what was printed must have come, once its program has ended."""
REPORT_TIME = 1.0
"""Seconds in which the exit code comes, once all that was asked to end has."""
MOST_SAID = 1000
SWEEPS = 20
"""Looks for processes that were started while others were killed."""


class LocalEngine:
    """Runs programs in an isolation, under a memory guard."""

    name = "local"

    def __init__(
        self, isolation: Isolation, guard: MemoryGuard, mark: str, stop_grace: float
    ) -> None:
        """`mark`: the word in the command lines of the isolation. `stop_grace`: seconds between
        SIGTERM and SIGKILL.
        """
        self._isolation = isolation
        self._guard = guard
        self._mark = mark
        self._stop_grace = stop_grace
        self.isolation = isolation.name
        self.user = isolation.user
        self.lasting = False

    def check(self, options: Mapping[str, str]) -> None:
        if options:
            raise OptionInvalid(f"the engine local has no options, such as {', '.join(options)}")

    async def launch(self, launch: Launch) -> LocalJob:
        memory = launch.limits.memory
        confinement = None
        if memory is not None:
            confinement = self._guard.confine(secrets.token_hex(8), memory)
        starting = None
        try:
            starting = _Starting(self._isolation, launch, confinement.join if confinement else ())
            body = await starting.body()
        except BaseException as error:
            with trio.CancelScope(shield=True):
                if starting is not None:
                    await starting.give_up()
                too_small = confinement is not None and confinement.exceeded()
                if confinement is not None:
                    await confinement.close()
            if too_small and isinstance(error, OSError):
                raise MemoryTooSmall from error
            raise
        return LocalJob(starting, body, confinement, self._stop_grace)

    async def resume(self, trace: str, _: Launch) -> None:
        found = Trace.parse(trace)
        if found.there:
            kill_tree(found.pid)
        kill_session(found)

    def sweep(self) -> None:
        """Bubblewrap that dies at a wrong moment leaves its child, which waits for it for ever."""
        for _ in range(SWEEPS):
            left = marked(self._mark)
            if not left:
                break
            for pid in left:
                kill_tree(pid)
        self._guard.clear_up()


class _Starting:
    """A process that has been started, and waits at its gate, or will."""

    def __init__(self, isolation: Isolation, launch: Launch, groups: tuple[Path, ...]) -> None:
        self._isolation = isolation
        self._launch = launch
        with ExitStack() as cleanup:
            self.gate = Gate()
            cleanup.callback(self.gate.close)
            self.output = Output(terminal=launch.sandbox.terminal)
            cleanup.callback(self.output.close)
            command = isolation.command(launch, groups)
            self.reports = command.reports
            cleanup.callback(self.close_reports)
            self.child = self._started(command)
            cleanup.pop_all()

    def _started(self, command: Command) -> Child:
        try:
            return Child(command, self.gate.hand_over(), self.output.hand_over())
        finally:
            command.close_descriptors()
            self.gate.handed_over()
            self.output.handed_over()

    async def body(self) -> Body:
        """Its processes, once it waits at the gate. Raises OSError."""
        with trio.move_on_after(SET_UP_TIME):
            answer = await self.gate.answer()
            if answer == READY:
                return await self._isolation.body(self.child.pid, self.reports, self._launch)
            program = self._launch.command[0]
            if answer == MISSING:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
            said = await self._said()
            raise SetUpFailed(errno.EIO, f"{self._isolation.name} failed: {said}")
        raise SetUpFailed(errno.ETIMEDOUT, f"{self._isolation.name} took over {SET_UP_TIME:g} s")

    async def _said(self) -> str:
        """What was printed in place of a start."""
        pieces: list[bytes] = []
        with trio.move_on_after(DRAIN_TIME):
            await self.output.read(pieces.append)
        text = b"".join(pieces).decode("utf-8", "replace").strip()
        return text[-MOST_SAID:] or "it said nothing"

    async def give_up(self) -> None:
        """End it in any case; nothing stays."""
        self.gate.close()
        if not self.child.over:
            kill_tree(self.child.pid)
            await self.child.wait()
        self.output.close()
        self.close_reports()

    def close_reports(self) -> None:
        if self.reports is not None:
            os.close(self.reports)
            self.reports = None


class LocalJob:
    """A program that was started, with all that it starts."""

    def __init__(
        self,
        starting: _Starting,
        body: Body,
        confinement: Confinement | None,
        stop_grace: float,
    ) -> None:
        self._starting = starting
        self._child = starting.child
        self._body = body
        self._confinement = confinement
        self._stop_grace = stop_grace
        self._waited_for = False
        self._asked: trio.Event | None = None
        """Set when the grace is over, which a stop has given."""
        self.trace = str(Trace.of(self._child.pid))

    @property
    def position(self) -> None:
        return None

    async def release(self) -> None:
        await self._starting.gate.open()

    async def begun(self) -> float:
        return 0.0

    async def wait(self, output: Callable[[bytes], None]) -> Exit:
        self._waited_for = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._starting.output.read, output)
                code = await self._until_the_end()
                nursery.cancel_scope.deadline = trio.current_time() + DRAIN_TIME
            return Exit(code, self._out_of_memory())
        finally:
            with trio.CancelScope(shield=True):
                await self._close()

    async def _until_the_end(self) -> int:
        async with trio.open_nursery() as nursery:
            if self._confinement is not None:
                nursery.start_soon(self._kill_when_exceeded, self._confinement)
            code = await self._child.wait()
            nursery.cancel_scope.cancel()
        if self._asked is not None:  # others may still use their grace
            await self._asked.wait()
        await self._body.gone()
        return code

    async def _kill_when_exceeded(self, confinement: Confinement) -> None:
        await confinement.until_exceeded(self._body)
        self._kill()

    def _out_of_memory(self) -> bool:
        return self._confinement is not None and self._confinement.exceeded()

    async def _close(self) -> None:
        self._kill()
        await self._child.wait()
        await self._starting.give_up()
        if self._confinement is not None:
            await self._confinement.close()

    async def stop(self) -> None:
        self._asked = self._asked or trio.Event()
        try:
            if not self._child.over:
                await self._body.ask_to_end(self._stop_grace)
                with trio.move_on_after(REPORT_TIME):
                    await self._child.wait()
        finally:
            self._asked.set()
        await self.kill()

    async def kill(self) -> None:
        self._starting.gate.close()
        self._kill()
        await self._child.wait()
        if not self._waited_for:
            await self._close()

    async def forget(self) -> None:
        """Nothing is kept."""

    def _kill(self) -> None:
        """While its number is its own."""
        if not self._child.over:
            self._body.kill()
            if self._confinement is not None:
                with contextlib.suppress(OSError):  # the other way was enough
                    self._confinement.kill()
