"""Where programs run. An engine launches them; what a run means is decided in `runs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pifopfs.server.sandbox.launch import Exit, Launch
from pifopfs.server.sandbox.stepdown import User


class MemoryTooSmall(Exception):
    """The memory limit of a run does not even let its program start."""


class SetUpFailed(OSError):
    """What keeps a program apart cannot be set up. The message may name files of this machine."""


class Job(Protocol):
    """A program that was launched."""

    trace: str
    """By which `Engine.clear_up` finds it after this server has died."""

    async def release(self) -> None:
        """Let it begin: its trace is recorded."""

    async def wait(self) -> Exit:
        """Pass its output on until it has ended, with all it has started.

        To be called once, right after the launch.
        """

    async def stop(self) -> None:
        """Ask it to end, and make it after a grace. Returns when it has ended."""

    async def kill(self) -> None:
        """End it at once, with all it has started. Returns when it has ended."""


class Engine(Protocol):
    """Launches programs."""

    isolation: str
    """What keeps programs apart, for the API and the log: `bubblewrap`, or `none`."""
    user: User | None
    """Whom the files of a run must belong to; None for this process's own user."""

    async def launch(self, launch: Launch, output: Callable[[bytes], None]) -> Job:
        """Start a program, which waits to be released; `output` gets what it prints.

        Raises OSError where it can't start, SetUpFailed, MemoryTooSmall.
        """

    def clear_up(self, trace: str) -> None:
        """End what a server that has died left running. Raises ValueError, OSError."""

    def sweep(self) -> None:
        """End what it left of its launches otherwise, before anything is launched."""
