"""Programs as process groups on this machine, without a sandbox.

A program that leaves its process group escapes `stop`. Until it is released, a shell waits in its
place: should the server die before that, the shell reads the end of its input and ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
from collections.abc import Callable

import trio

from pifopfs.server.engines import Exit, Launch
from pifopfs.server.engines.processes import Trace, kill_session

PIECE = 1 << 16

WAITING = 'read -r go || exit; ulimit -S -n {descriptors}; exec "$@" </dev/null'
"""What the shell does. POSIX has it read no further than the line's end."""


class LocalEngine:
    """Runs each program in a process group of its own."""

    def __init__(self, stop_grace: float, descriptors: int) -> None:
        """`stop_grace`: seconds between SIGTERM and SIGKILL. `descriptors`: how many open files
        a program may have before it asks for more.
        """
        self._stop_grace = stop_grace
        self._waiting = WAITING.format(descriptors=descriptors)

    async def launch(self, launch: Launch, output: Callable[[bytes], None]) -> LocalJob:
        _check_program(launch)
        gate, opening = os.pipe()
        reading, writing = os.pipe()
        try:
            process = await trio.lowlevel.open_process(
                ["/bin/sh", "-c", self._waiting, "pifopfs", *launch.command],
                stdin=gate,
                stdout=writing,
                stderr=writing,
                cwd=launch.work,
                env=_environment(launch),
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            os.close(opening)
            raise
        finally:
            os.close(writing)
            os.close(gate)
        return LocalJob(process, opening, reading, output, self._stop_grace)

    def clear_up(self, trace: str) -> None:
        kill_session(Trace.parse(trace))


def _check_program(launch: Launch) -> None:
    """Raises OSError where there is no such program: the shell could only say so in the log."""
    program = launch.command[0]
    path = os.path.join(launch.work, program) if "/" in program else program  # noqa: PTH118  # ./
    if shutil.which(path, path=_environment(launch)["PATH"]) is None:
        code = errno.EACCES if "/" in program and os.path.exists(path) else errno.ENOENT  # noqa: PTH110
        raise OSError(code, os.strerror(code), program)


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
        opening: int,
        reading: int,
        output: Callable[[bytes], None],
        stop_grace: float,
    ) -> None:
        self._process = process
        self._opening: int | None = opening
        self._pipe = trio.lowlevel.FdStream(reading)
        self._output = output
        self._stop_grace = stop_grace
        self.trace = str(Trace.of(process.pid))

    def release(self) -> None:
        if self._opening is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
                os.write(self._opening, b"go\n")
        self._close_gate()

    def _close_gate(self) -> None:
        if self._opening is not None:
            os.close(self._opening)
            self._opening = None

    async def wait(self) -> Exit:
        async with self._pipe, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on)
            code = await self._process.wait()
            _kill_group(self._process.pid, signal.SIGKILL)  # what it left in the background
            nursery.cancel_scope.deadline = trio.current_time() + self._stop_grace
        return Exit(code if code >= 0 else 128 - code)

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
        self._close_gate()
        _kill_group(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def _kill_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
