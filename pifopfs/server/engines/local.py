"""Programs as process groups on this machine, without a sandbox.

A program that leaves its process group escapes `stop`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable

import trio

from pifopfs.machine import start_time
from pifopfs.server.engines import Launch

PIECE = 1 << 16


class LocalEngine:
    """Runs each program in a process group of its own."""

    def __init__(self, stop_grace: float) -> None:
        """`stop_grace`: seconds between SIGTERM and SIGKILL."""
        self._stop_grace = stop_grace

    async def launch(self, launch: Launch, output: Callable[[bytes], None]) -> LocalJob:
        reading, writing = os.pipe()
        try:
            process = await trio.lowlevel.open_process(
                list(launch.command),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                cwd=launch.work,
                env=_environment(launch),
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return LocalJob(process, reading, output, self._stop_grace)

    def clear_up(self, trace: str) -> None:
        pid, _, started = trace.partition(":")
        if start_time(int(pid)) == int(started):
            _kill_group(int(pid), signal.SIGKILL)


def _environment(launch: Launch) -> dict[str, str]:
    """Nothing of the server's own but the search path; output is not held back."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(launch.work),
        "TMPDIR": str(launch.temporary),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


class LocalJob:
    """A process group, and the pipe that it prints to."""

    def __init__(
        self,
        process: trio.Process,
        reading: int,
        output: Callable[[bytes], None],
        stop_grace: float,
    ) -> None:
        self._process = process
        self._pipe = trio.lowlevel.FdStream(reading)
        self._output = output
        self._stop_grace = stop_grace
        self.trace = f"{process.pid}:{start_time(process.pid) or 0}"

    async def wait(self) -> int:
        async with self._pipe, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on)
            code = await self._process.wait()
            _kill_group(self._process.pid, signal.SIGKILL)  # what it left in the background
            nursery.cancel_scope.deadline = trio.current_time() + self._stop_grace
        return code if code >= 0 else 128 - code

    async def _pass_on(self) -> None:
        """Until the pipe's end: when the last process that holds it has gone."""
        while piece := await self._pipe.receive_some(PIECE):
            self._output(piece)

    async def stop(self) -> None:
        _kill_group(self._process.pid, signal.SIGTERM)
        with trio.move_on_after(self._stop_grace):
            await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        _kill_group(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def _kill_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
