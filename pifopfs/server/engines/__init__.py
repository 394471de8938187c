"""Where programs run. An engine launches them; what a run means is decided in `runs`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pifopfs.server.limits import NONE, Limits


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run."""

    command: tuple[str, ...]
    work: Path
    """The working directory: the run's own copy of the function's folder."""
    temporary: Path
    """A folder for temporary files."""
    limits: Limits = NONE
    """Of these, an engine enforces memory and processes."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended."""

    code: int
    """128 + N for signal N."""
    out_of_memory: bool = False
    """It was killed because of its memory limit."""


class Job(Protocol):
    """A program that was launched."""

    trace: str
    """By which `Engine.clear_up` finds it after this server has died."""

    def release(self) -> None:
        """Let it begin: its trace is recorded."""

    async def wait(self) -> Exit:
        """Pass its output on until it has ended.

        To be called once, right after the launch.
        """

    async def stop(self) -> None:
        """Ask it to end, and make it after a grace. Returns when it has ended."""

    async def kill(self) -> None:
        """End it at once, with all it has started. Returns when it has ended."""


class Engine(Protocol):
    """Launches programs."""

    async def launch(self, launch: Launch, output: Callable[[bytes], None]) -> Job:
        """Start a program, which waits to be released; `output` gets what it prints.

        Raises OSError where it can't start.
        """

    def clear_up(self, trace: str) -> None:
        """End what a server that has died left running. Raises ValueError, OSError."""
