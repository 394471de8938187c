"""A child process of the server's main thread.

Bubblewrap dies with the *thread* that has started it, so no thread of trio's may do that.
"""

from __future__ import annotations

import os
import subprocess

import trio

from pifopfs.server.sandbox.isolation import Command


class Child:
    """A process, which can be awaited by several."""

    def __init__(self, command: Command, stdin: int, output: int) -> None:
        """Start it, in a session of its own. Raises OSError."""
        self._process = subprocess.Popen(
            command.argv,
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd=command.cwd,
            env=command.environment,
            pass_fds=command.descriptors,
            start_new_session=True,
        )
        self.pid = self._process.pid
        try:
            self._handle: int | None = os.pidfd_open(self.pid)
        except OSError:  # too many open files
            self._process.kill()
            self._process.wait()
            raise
        self._waiting = trio.Lock()

    async def wait(self) -> int:
        """Its exit code, 128 + N for signal N."""
        async with self._waiting:
            if self._handle is not None:
                await trio.lowlevel.wait_readable(self._handle)
                self._process.wait()
                os.close(self._handle)
                self._handle = None
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    @property
    def over(self) -> bool:
        """Whether it has ended and was waited for: its number may be another process's by now."""
        return self._process.returncode is not None
