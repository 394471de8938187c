"""Where programs run. An engine launches them; what a run means is decided in `runs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pifopfs.server.sandbox.launch import Exit, Launch
from pifopfs.server.sandbox.stepdown import User


class MemoryTooSmall(Exception):
    """The memory limit of a run does not even let its program start."""


class LaunchRefused(OSError):
    """A program is not taken as it is. The message is for callers."""


class SetUpFailed(OSError):
    """What keeps a program apart cannot be set up. The message may name files of this machine."""


class Job(Protocol):
    """A program that was launched."""

    trace: str
    """By which `Engine.resume` finds it after this server has died."""

    @property
    def position(self) -> int | None:
        """How many programs wait before it in a queue of this server's; None once it runs."""

    async def release(self) -> None:
        """Let it begin: its trace is recorded. Raises OSError, and what `launch` raises."""

    async def begun(self) -> float:
        """Return when it runs: there may be a queue before that. For how many seconds it has."""

    async def wait(self, output: Callable[[bytes], None]) -> Exit:
        """Pass its output on until it has ended, with all it has started.

        To be called once, right after the launch. Of a job that was resumed all output comes again,
        from its beginning on. Raises OSError where it cannot be followed.
        """

    async def stop(self) -> None:
        """Ask it to end, and make it after a grace. Returns when it has ended."""

    async def kill(self) -> None:
        """End it at once, with all it has started. Returns when it has ended."""

    async def forget(self) -> None:
        """Its end is recorded: let go of what was kept to tell it."""


class Engine(Protocol):
    """Launches programs."""

    name: str
    """By which it is found, and function files speak to it."""
    isolation: str
    """What keeps programs apart, for the API and the log: `bubblewrap`, or `none`."""
    user: User | None
    """Whom the files of a run must belong to; None for this process's own user."""
    lasting: bool
    """Its jobs go on when this server ends, and the next one resumes them."""

    def check(self, options: Mapping[str, str]) -> None:
        """Whether a function may ask this of it. Raises OptionInvalid."""

    async def launch(self, launch: Launch) -> Job:
        """Start a program, which waits to be released.

        Raises OSError where it can't start, SetUpFailed, MemoryTooSmall.
        """

    async def resume(self, trace: str, launch: Launch) -> Job | None:
        """A job of a server that has died, or has ended. Where its jobs do not last: end what is
        left of it, and None. Raises ValueError, OSError.
        """

    def sweep(self) -> None:
        """End what such a server left of its launches otherwise, before anything is launched."""
